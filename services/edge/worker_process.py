"""`python -m services.edge.worker_process`: one worker of several, started by `worker_parent`."""

from __future__ import annotations

import sys
from functools import partial

from lumen.platform.lifecycle import run
from lumen.platform.logging import configure_logging
from services.edge.bootstrap import serve
from services.edge.settings import EdgeSettings


def main() -> int:
    settings = EdgeSettings()
    configure_logging("edge", settings.log_level)
    return run(partial(serve, settings))


if __name__ == "__main__":
    sys.exit(main())
