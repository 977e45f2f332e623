"""`python -m services.router`: settings -> bootstrap -> run."""

from __future__ import annotations

import sys
from functools import partial

from lumen.platform.lifecycle import run
from lumen.platform.logging import configure_logging
from services.router.bootstrap import serve
from services.router.settings import RouterSettings


def main() -> int:
    settings = RouterSettings()
    configure_logging("router", settings.log_level)
    return run(partial(serve, settings))


if __name__ == "__main__":
    sys.exit(main())
