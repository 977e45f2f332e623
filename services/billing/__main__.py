"""`python -m services.billing`: settings -> bootstrap -> run."""

from __future__ import annotations

import sys

from lumen.platform.lifecycle import Lifecycle, run
from lumen.platform.logging import configure_logging
from services.billing.bootstrap import serve
from services.billing.catalog_rates import compile_rates
from services.billing.settings import BillingSettings


def main() -> int:
    settings = BillingSettings()
    configure_logging("billing", settings.log_level)

    async def serve_billing(lifecycle: Lifecycle) -> None:
        await serve(settings, compile_rates, lifecycle)

    return run(serve_billing)


if __name__ == "__main__":
    sys.exit(main())
