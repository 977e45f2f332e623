"""Projects every catalog revision into ClickHouse: the catalog verbatim, and each price that it puts in force.

Revisions are immutable keys, so a projected one never changes and projecting it again is harmless. Posting does not
wait for this: it reads revisions from their keys.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from nats.aio.client import Client

from lumen.catalog.document import Catalog
from lumen.catalog.rates import client_rates, cost_rates
from lumen.catalog.revisions import StoredRevision, decode_revision, revision_number
from lumen.ledger import keyspace
from lumen.money.prices import RateCard
from lumen.money.usage import PRICED_BUCKETS
from lumen.platform.clickhouse import ClickHouse, ClickHouseError
from lumen.platform.nats import kv_stream, kv_subject
from lumen.platform.ordered_reader import OrderedReader, StreamMessage
from services.billing.health import Persistence
from services.billing.tables import CATALOG_REVISIONS, PRICE_BOOK, Row

logger = logging.getLogger(__name__)

_PREFIX = kv_subject(keyspace.KV_CATALOG, "")


def price_rows(revision: int, catalog: Catalog) -> Iterator[Row]:
    """What clients of each group pay, and what each channel's provider charges us, by model, tier and bucket."""
    models = {model.code: model for model in catalog.models}
    for group in catalog.groups:
        for model in models.values():
            yield from _card_rows(revision, "client", group.name, model.code, client_rates(model, group))
    for channel in catalog.channels:
        for code in channel.models:
            if code in models:
                yield from _card_rows(revision, "cost", channel.name, code, cost_rates(channel, models[code]))


def _card_rows(revision: int, side: str, payer: str, model: str, card: RateCard) -> Iterator[Row]:
    for tier in card.tiers:
        for bucket in PRICED_BUCKETS:
            price: int | None = getattr(tier, bucket)
            if price is not None:
                place = (revision, side, payer, model, tier.above_prompt_tokens)
                yield (*place, bucket, tier.sources[bucket], price, card.multiplier)


class PriceBook:
    """`await run()` in a supervised task. Follows the bucket `catalog`, revisions of all times first."""

    def __init__(self, nc: Client, clickhouse: ClickHouse, persistence: Persistence) -> None:
        self._nc = nc
        self._clickhouse = clickhouse
        self._persistence = persistence
        self._known: set[int] = set()

    async def run(self) -> None:
        await self._persistence.until_done("price_book", self._load_known, (ClickHouseError,))
        subjects = [kv_subject(keyspace.KV_CATALOG, ">")]
        reader = OrderedReader(self._nc, kv_stream(keyspace.KV_CATALOG), subjects, start_sequence=None)
        await reader.start()
        try:
            while True:
                for message in await reader.read():
                    await self._project(message)
        finally:
            await reader.stop()

    async def _load_known(self) -> None:
        self._known = {row[0] for row in await self._clickhouse.rows("SELECT revision FROM catalog_revisions FINAL")}

    async def _project(self, message: StreamMessage) -> None:
        number = revision_number(message.subject.removeprefix(_PREFIX))
        if number is None or number in self._known:
            return
        try:
            stored = decode_revision(message.data)
            prices = list(price_rows(number, stored.read_catalog()))
        except ValueError as error:
            logger.error("catalog revision not projected", extra={"revision": number, "error": str(error)[:500]})
            return

        async def store() -> None:
            # the revision last: it says that its prices are there
            await self._insert(number, stored, prices)

        await self._persistence.until_done("price_book", store, (ClickHouseError,))
        self._known.add(number)

    async def _insert(self, number: int, stored: StoredRevision, prices: list[Row]) -> None:
        if prices:
            columns = list(zip(*prices, strict=True))
            await self._clickhouse.insert(PRICE_BOOK.name, columns, PRICE_BOOK.columns, PRICE_BOOK.types)
        row: Row = (number, stored.created_at_s, stored.note, stored.hash, bytes(stored.catalog).decode())
        columns = [(value,) for value in row]
        await self._clickhouse.insert(
            CATALOG_REVISIONS.name, columns, CATALOG_REVISIONS.columns, CATALOG_REVISIONS.types
        )
