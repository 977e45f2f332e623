"""`lumen up` with stand-ins for the services: `python -m ...local_stack.small_stack STATE_DIR BASE_PORT`.

NATS and Valkey are real; the console is a stand-in that answers the admin calls of a first start and logs them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deploy.local.child import Backoff
from deploy.local.errors import LocalStackError
from deploy.local.layout import Layout
from deploy.local.probes import http_url
from deploy.local.process_spec import ProcessSpec
from deploy.local.stack import stack_specs
from deploy.local.up import UpOptions, run_stack


def small_specs(layout: Layout) -> Sequence[ProcessSpec]:
    specs = []
    for spec in stack_specs(layout):
        port = spec.ports[0]
        if spec.name not in ("nats", "valkey"):
            module = "fake_console" if spec.name == "console" else "stand_in"
            argv = (sys.executable, "-m", f"tests.integration.local_stack.{module}", str(port))
            spec = replace(spec, argv=argv, ports=(port,), ready_url=http_url(port))
        specs.append(spec)
    return specs


def main() -> int:
    options = UpOptions(Layout(Path(sys.argv[1]), int(sys.argv[2])), backoff=Backoff(first_s=0.02, longest_s=0.1))
    try:
        asyncio.run(run_stack(options, lambda env: print("READY", flush=True), print, small_specs))
    except LocalStackError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
