"""What processes cost includes their children, and a process that is gone is an error rather than a figure."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.load.processes import ProcessGone, ProcessGroup, spent

BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True)\ninput()\n"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n"


def test_cpu_of_children_counts_as_the_parents() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"burnt\n"
        assert ProcessGroup({"it": parent.pid}).cpu_s()["it"] >= 0.28
        parent.communicate(b"\n")


def test_process_that_is_gone_is_named() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises(ProcessGone, match="edge"):
        ProcessGroup({"edge": gone.pid}).cpu_s()


def test_spent_is_the_difference_over_the_named_processes() -> None:
    assert spent({"a": 1.0, "b": 2.0, "c": 9.0}, {"a": 1.5, "b": 4.0, "c": 9.9}, ["a", "b"]) == 2.5
