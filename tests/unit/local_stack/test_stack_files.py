"""Ports, environments and files of a local stack."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from deploy.local.catalog_in_use import DEMO_CATALOG, catalog_text, catalog_to_apply
from deploy.local.child import Backoff
from deploy.local.layout import Layout
from deploy.local.next_steps import next_steps
from deploy.local.stack import public_addresses, stack_environment, stack_specs
from deploy.local.supervisor import rotate
from lumen.cli.env_file import find_state_dir, load_env, store_env


def test_ports_are_those_of_the_architecture(tmp_path: Path) -> None:
    ports = {spec.name: spec.ports for spec in stack_specs(Layout(tmp_path, 7080))}
    assert ports == {
        "edge": (7080, 7090),
        "console": (7081, 7094),
        "simulator": (7082,),
        "nats": (7083, 7084),
        "valkey": (7085,),
        "clickhouse": (7086,),
        "auth": (7087, 7091),
        "router": (7088, 7092),
        "billing": (7089, 7093, 7095),
    }


@pytest.mark.parametrize("base_port", [80, 65521])
def test_base_port_must_leave_room_for_all(tmp_path: Path, base_port: int) -> None:
    with pytest.raises(ValueError, match="choose one"):
        Layout(tmp_path, base_port)


def test_addresses_of_another_stack_do_not_leak_into_this_one(tmp_path: Path) -> None:
    inherited = {
        "LUMEN_NATS_URL": "nats://elsewhere",
        "LUMEN_EDGE_NATS_URL": "nats://elsewhere",
        "LUMEN_BILLING_CLICKHOUSE_URL": "http://elsewhere",
        "LUMEN_CONSOLE_ROUTER_ADDRESS": "elsewhere:1",
        "LUMEN_EDGE_PORT": "1",
        "LUMEN_PID_EDGE": "1",
        "LUMEN_STATE_DIR": "/elsewhere",
        "LUMEN_EDGE_CACHE": "off",
        "LUMEN_LOG_LEVEL": "DEBUG",
        "ANTHROPIC_API_KEY": "k",
    }
    environment = stack_environment(Layout(tmp_path, 7080), "token", inherited)
    assert "elsewhere" not in str(environment)
    assert not {"LUMEN_EDGE_NATS_URL", "LUMEN_EDGE_PORT", "LUMEN_PID_EDGE"} & set(environment)
    assert environment["LUMEN_NATS_URL"] == "nats://127.0.0.1:7083"
    assert (environment["LUMEN_EDGE_CACHE"], environment["LUMEN_LOG_LEVEL"]) == ("off", "DEBUG")
    assert (environment["ANTHROPIC_API_KEY"], environment["LUMEN_ADMIN_TOKEN"]) == ("k", "token")


def test_env_file_is_private_and_comes_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "env"
    values = {"A": "plain", "B": 'it\'s $HOME `x` "y"', "C": ""}
    path.write_text("stale")
    path.chmod(0o644)
    store_env(path, values)
    assert load_env(path) == values
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["env"]


def test_state_dir_is_the_option_else_the_variable_else_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUMEN_STATE_DIR", raising=False)
    assert find_state_dir(None) == tmp_path / ".lumen"
    monkeypatch.setenv("LUMEN_STATE_DIR", "/srv/lumen")
    assert find_state_dir(None) == Path("/srv/lumen")
    assert find_state_dir(Path("here")) == tmp_path / "here"


def test_catalog_is_applied_at_the_first_start_and_on_request_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path, 7080)
    known = {"LUMEN_API_KEY": "k", "LUMEN_SIMULATOR_URL": "http://127.0.0.1:7082"}
    mine = tmp_path / "mine.yaml"
    assert catalog_to_apply(layout, None, {}) == DEMO_CATALOG
    assert catalog_to_apply(layout, mine, {}) == mine
    assert catalog_to_apply(layout, mine, known) == mine
    assert catalog_to_apply(layout, None, known) is None


def test_demo_catalog_follows_its_simulator_to_another_port(tmp_path: Path) -> None:
    known = {"LUMEN_API_KEY": "k", "LUMEN_SIMULATOR_URL": "http://127.0.0.1:7082"}
    moved = Layout(tmp_path, 8080)
    moved.catalog_file.write_text(catalog_text(DEMO_CATALOG, 7082))
    assert catalog_to_apply(moved, None, known) == DEMO_CATALOG
    moved.catalog_file.write_text("models: []")
    assert catalog_to_apply(moved, None, known) is None


def test_waits_between_restarts_double_up_to_the_limit() -> None:
    backoff = Backoff(first_s=0.2, longest_s=10)
    assert [backoff.wait_s(failures) for failures in (1, 2, 3, 6, 7, 4000)] == [0.2, 0.4, 0.8, 6.4, 10, 10]


def test_large_log_is_set_aside_at_the_start(tmp_path: Path) -> None:
    log = tmp_path / "edge.log"
    log.write_bytes(b"small")
    rotate(log, bytes_max=10)
    assert log.read_bytes() == b"small"
    log.write_bytes(b"larger than that")
    rotate(log, bytes_max=10)
    assert not log.exists()
    assert (tmp_path / "edge.log.1").read_bytes() == b"larger than that"


def test_next_steps_name_the_three_endpoints_the_key_and_the_way_out(tmp_path: Path) -> None:
    layout = Layout(tmp_path, 7080)
    demo = {"LUMEN_API_KEY": "sk-lumen-demo", "LUMEN_ACCOUNT": "acct-1", "LUMEN_DEMO_PASSWORD": "demo-password"}
    env = {**public_addresses(layout), **demo}
    text = next_steps(tmp_path, env, ".venv/bin/lumen", is_detached=False)
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages"):
        assert f"curl -N http://127.0.0.1:7080{path} " in text
    assert text.count("Bearer sk-lumen-demo") == 3
    assert ".venv/bin/lumen balance acct-1" in text
    assert "http://127.0.0.1:7081" in text
    assert "demo-password" in text
    assert "Ctrl-C" in text
    assert "Ctrl-C" not in next_steps(tmp_path, env, ".venv/bin/lumen", is_detached=True)
