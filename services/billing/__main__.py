"""`python -m services.billing`: settings -> bootstrap -> run."""

from __future__ import annotations

import asyncio
import gc
import sys

from lumen.platform.collector import spare_collector
from lumen.platform.lifecycle import Lifecycle, run
from lumen.platform.logging import configure_logging
from services.billing.bootstrap import serve
from services.billing.catalog_rates import compile_rates
from services.billing.settings import BillingSettings

# Entries are containers that live for one group and form no cycles. At Python's own threshold the cyclic collector
# walks thousands of them again and again: more than half of what decoding and rating cost.
_YOUNG_OBJECTS_MAX = 200_000
# The ClickHouse client leaves a few cycles per insert, which hold its columns: too few objects to reach a threshold,
# and megabytes a second under load. A collection of all that is not frozen takes some milliseconds.
_GC_INTERVAL_S = 5.0


async def _collect_cycles() -> None:
    while True:
        await asyncio.sleep(_GC_INTERVAL_S)
        gc.collect()


def main() -> int:
    settings = BillingSettings()
    configure_logging("billing", settings.log_level)
    spare_collector(_YOUNG_OBJECTS_MAX)

    async def serve_billing(lifecycle: Lifecycle) -> None:
        lifecycle.spawn(_collect_cycles(), name="gc")
        await serve(settings, compile_rates, lifecycle)

    return run(serve_billing)


if __name__ == "__main__":
    sys.exit(main())
