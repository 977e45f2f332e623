"""The restore is rehearsed: from a running Lumen into empty engines, and all is there again and agrees."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from lumen.cli.exit_codes import ExitCode
from tests.integration.console.stack import CATALOG, TOKEN, Stack, running_stack, usage_entry

_STORES = ("LUMEN_NATS_URL", "LUMEN_CLICKHOUSE_URL", "LUMEN_REDIS_URL")
_WAIT_S_MAX = 30.0


def stores_command(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return stack.lumen(*arguments, "--json", **{name: stack.env[name] for name in _STORES})


def until_posted(stack: Stack, account: str, nanousd: int) -> None:
    deadline = time.monotonic() + _WAIT_S_MAX
    with stack.client() as client:
        while (found := client.get(f"/admin/v1/accounts/{account}/balance").json())["balance_nanousd"] != nanousd:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)


def contents(stack: Stack) -> dict[str, Any]:
    """What people see of everything that is kept."""
    paths: tuple[str, ...] = (
        "accounts",
        "keys?account=acme",
        "keys?account=shop",
        "users",
        "catalog",
        "catalog/history",
        "tokens",
    )
    paths += ("accounts/acme/balance", "accounts/shop/balance", "usage?account=acme&by=day", "accounts/acme/statement")
    found: dict[str, Any] = {}
    with stack.client() as client:
        for path in paths:
            answer = client.get(f"/admin/v1/{path}")
            assert answer.status_code == 200 or path.endswith("statement"), answer.text
            moving = {"since", "until"}  # of an answer up to now
            found[path] = {name: value for name, value in answer.json().items() if name not in moving}
    return found


def fill(stack: Stack) -> None:
    with stack.client() as client:
        client.post("/admin/v1/catalog", json={"content": CATALOG}).raise_for_status()
        dearer = CATALOG.replace('input: "3"', 'input: "3.5"')
        client.post("/admin/v1/catalog", json={"content": dearer, "note": "dearer"}).raise_for_status()
        for name in ("acme", "shop", "busy"):
            account = client.post("/admin/v1/accounts", json={"name": name}).raise_for_status().json()["id"]
            credit = {"amount_usd": "10", "kind": "topup"}
            client.post(f"/admin/v1/accounts/{account}/credits", json=credit).raise_for_status()
            key = {"account": account, "group": "default", "spend_limit_usd": "5"}
            key_id = client.post("/admin/v1/keys", json=key).raise_for_status().json()["id"]
            if name == "busy":
                continue  # used while the backup is made
            user = {"email": f"{name}@example.com", "role": "member", "account": name, "password": "a long passphrase"}
            client.post("/admin/v1/users", json=user).raise_for_status()
            entries = [usage_entry(account, f"req-{name}-{n}", key_id=key_id) for n in range(20)]
            stack.use(account, entries, f"edge-{name}")
            until_posted(stack, name, 10_000_000_000 - 20 * 20_000)


@contextmanager
def used_all_the_time(stack: Stack, name: str) -> Iterator[None]:
    """An account is charged again and again, from before the block to after it."""
    with stack.client() as client:
        account = client.get(f"/admin/v1/accounts/{name}").json()["id"]
    is_over = threading.Event()
    recorded: list[int] = []

    def use() -> None:
        while not is_over.is_set():
            number = len(recorded)
            stack.use(account, [usage_entry(account, f"req-busy-{number}")], f"edge-busy-{number}")
            recorded.append(number)

    thread = threading.Thread(target=use)
    thread.start()
    try:
        while len(recorded) < 3:
            assert thread.is_alive()
            time.sleep(0.01)
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_backup_restored_into_empty_stores_is_the_same_lumen(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with running_stack(tmp_path / "old") as old:
        fill(old)
        before = contents(old)
        with used_all_the_time(old, "busy"):
            done = stores_command(old, "backup", str(backup))
        assert done.returncode == ExitCode.OK, done.stderr
        told = json.loads(done.stdout)
        batches = told["streams"]["LEDGER"] - 3 - 2  # credits, and the usage from before
        assert batches > 1
        assert "lumen.usage" in told["tables"]
        assert {path.stat().st_mode & 0o777 for path in backup.iterdir()} == {0o600}
        assert stores_command(old, "backup", str(backup)).returncode == ExitCode.CONFLICT
        refused = stores_command(old, "restore", str(backup))
        assert refused.returncode == ExitCode.CONFLICT
        assert "stream LEDGER" in refused.stderr
        assert contents(old) == before

    def restore(new: Stack) -> None:
        broken = stores_command(new, "restore", str(tmp_path))
        assert broken.returncode == ExitCode.INVALID_INPUT, broken.stderr
        restored = stores_command(new, "restore", str(backup))
        assert restored.returncode == ExitCode.OK, restored.stderr
        with redis.Redis.from_url(new.env["LUMEN_REDIS_URL"]) as client:
            assert client.dbsize() == 0  # billing's to rebuild

    with running_stack(tmp_path / "new", restore) as new:
        for name in ("acme", "shop"):
            until_posted(new, name, 10_000_000_000 - 20 * 20_000)
        until_posted(new, "busy", 10_000_000_000 - batches * 20_000)  # of what was charged, nothing half
        assert contents(new) == before
        reconciled = new.lumen("reconcile", "--json", LUMEN_ADMIN_URL=new.url, LUMEN_ADMIN_TOKEN=TOKEN)
        assert reconciled.returncode == ExitCode.OK, reconciled.stdout
        with new.client() as client:  # and it goes on
            account = before["accounts/acme/balance"]["account"]
            client.post(f"/admin/v1/accounts/{account}/credits", json={"amount_usd": "1"}).raise_for_status()
        until_posted(new, "acme", 11_000_000_000 - 20 * 20_000)


@pytest.mark.parametrize("harm", ["changed", "missing", "unfinished"])
def test_a_broken_backup_is_not_restored(tmp_path: Path, harm: str) -> None:
    from lumen.backup.errors import BrokenBackup
    from lumen.backup.manifest import FORMAT, Manifest, StoredFile, StoredTable, load_manifest, store_manifest

    good = StoredFile("t.native", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")  # of "abc"
    (tmp_path / "t.native").write_bytes(b"abc")
    manifest = Manifest(FORMAT, "1", "", "", "lumen", [StoredTable("lumen.t", "CREATE TABLE lumen.t", good)], [])
    store_manifest(tmp_path, manifest)
    assert load_manifest(tmp_path) == manifest
    if harm == "changed":
        (tmp_path / "t.native").write_bytes(b"abd")
    else:
        (tmp_path / ("t.native" if harm == "missing" else "manifest.json")).unlink()
    with pytest.raises(BrokenBackup):
        load_manifest(tmp_path)
