"""`python -m services.edge`: settings -> bootstrap -> run; with several workers, a parent that runs them instead."""

from __future__ import annotations

import sys
from functools import partial

from lumen.platform.lifecycle import run
from lumen.platform.logging import configure_logging
from services.edge.settings import EdgeSettings
from services.edge.worker_directories import left_behind


def main() -> int:
    settings = EdgeSettings()
    configure_logging("edge", settings.log_level)
    if settings.workers > 1 or left_behind(settings.state_dir, settings.workers):
        from services.edge.worker_parent import serve_workers  # each way loads only what it needs

        return run(partial(serve_workers, settings))
    from services.edge.bootstrap import serve

    return run(partial(serve, settings))


if __name__ == "__main__":
    sys.exit(main())
