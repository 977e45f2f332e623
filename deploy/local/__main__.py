"""The supervisor behind `lumen up --detach`: `python -m deploy.local STATE_DIR BASE_PORT REPORT_FD [CATALOG]`."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.local.commands import run_detached, up_options


def main() -> int:
    state_dir, base_port, report_fd, *catalog = sys.argv[1:]
    options = up_options(Path(state_dir), int(base_port), Path(catalog[0]) if catalog else None)
    return run_detached(options, int(report_fd))


if __name__ == "__main__":
    sys.exit(main())
