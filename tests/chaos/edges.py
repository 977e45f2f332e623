"""More edges beside a stack's own, each a process with its own state, clock and lease."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from deploy.local.layout import Layout
from deploy.local.stack import stack_environment
from lumen.platform.children import die_with_parent
from tests.chaos.faults import is_ready
from tests.fixtures.engines import free_port
from tests.fixtures.stack import Stack, until

_START_S_MAX = 60.0
_STOP_S_MAX = 30.0


@contextmanager
def more_edges(stack: Stack, clock_offsets_s: Sequence[int]) -> Iterator[list[str]]:
    """Their base URLs, when all are ready. Ended in order: they give their leases back."""
    layout = Layout(stack.state_dir, urlsplit(stack.base_url).port or 0)
    shared = stack_environment(layout, stack.env["LUMEN_ADMIN_TOKEN"])
    with ExitStack() as running:
        urls, ops_ports = [], []
        for number, offset_s in enumerate(clock_offsets_s):
            port, ops_port = free_port(), free_port()
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.skewed_edge", str(offset_s)],
                env={
                    **os.environ,
                    **shared,
                    "LUMEN_EDGE_PORT": str(port),
                    "LUMEN_EDGE_OPS_PORT": str(ops_port),
                    "LUMEN_EDGE_STATE_DIR": str(stack.state_dir / f"edge-{number}"),
                },
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=die_with_parent(),
            )
            running.callback(process.wait, _STOP_S_MAX)
            running.callback(process.terminate)
            urls.append(f"http://127.0.0.1:{port}")
            ops_ports.append(ops_port)
        until(lambda: all(map(is_ready, ops_ports)), "the other edges are ready", _START_S_MAX)
        yield urls
