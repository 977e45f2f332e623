"""`python -m services.auth`: settings -> bootstrap -> run."""

from __future__ import annotations

import sys
from functools import partial

from lumen.platform.lifecycle import run
from lumen.platform.logging import configure_logging
from services.auth.bootstrap import serve
from services.auth.settings import AuthSettings


def main() -> int:
    settings = AuthSettings()
    configure_logging("auth", settings.log_level)
    return run(partial(serve, settings))


if __name__ == "__main__":
    sys.exit(main())
