from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.edge.metering.identity import StateDirDamaged, StateDirInUse, WorkerIdentity


def test_the_id_stays_and_the_boot_counts_up(tmp_path: Path) -> None:
    first = WorkerIdentity.acquire(tmp_path)
    first.close()
    second = WorkerIdentity.acquire(tmp_path)
    second.close()
    assert (first.boot, second.boot) == (1, 2)
    assert first.worker_id == second.worker_id
    assert first.worker_id.startswith("edge-")
    assert "." not in first.worker_id
    assert second.lease_id == f"{first.worker_id}.2"


def test_two_workers_have_two_ids(tmp_path: Path) -> None:
    one, two = WorkerIdentity.acquire(tmp_path / "one"), WorkerIdentity.acquire(tmp_path / "two")
    assert one.worker_id != two.worker_id
    one.close()
    two.close()


def test_a_second_process_on_the_same_state_dir_is_refused(tmp_path: Path) -> None:
    identity = WorkerIdentity.acquire(tmp_path)
    code = (
        "import sys; from pathlib import Path; from services.edge.metering.identity import *\n"
        "try: WorkerIdentity.acquire(Path(sys.argv[1]))\n"
        "except StateDirInUse as error: print(error)"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "in use by another edge" in answer.stdout
    with pytest.raises(StateDirInUse):
        WorkerIdentity.acquire(tmp_path)
    identity.close()
    WorkerIdentity.acquire(tmp_path).close()


@pytest.mark.parametrize(("name", "content"), [("worker_id", "a.b"), ("worker_id", ""), ("boot", "x"), ("boot", "")])
def test_a_damaged_identity_is_not_guessed(tmp_path: Path, name: str, content: str) -> None:
    WorkerIdentity.acquire(tmp_path).close()
    (tmp_path / name).write_text(content)
    with pytest.raises(StateDirDamaged):
        WorkerIdentity.acquire(tmp_path)
