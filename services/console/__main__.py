"""`python -m services.console`: settings -> bootstrap -> run."""

from __future__ import annotations

import sys
from functools import partial

from lumen.platform.lifecycle import run
from lumen.platform.logging import configure_logging
from services.console.bootstrap import serve
from services.console.settings import ConsoleSettings


def main() -> int:
    settings = ConsoleSettings()
    configure_logging("console", settings.log_level)
    return run(partial(serve, settings))


if __name__ == "__main__":
    sys.exit(main())
