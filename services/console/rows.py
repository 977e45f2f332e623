"""Reading ClickHouse, with console's own error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.platform.clickhouse import ClickHouse, ClickHouseUnavailable
from services.console.errors import Unavailable


class Rows:
    """Raises Unavailable while ClickHouse is away."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def __call__(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            return await self._clickhouse.rows(sql, parameters)
        except ClickHouseUnavailable as error:
            raise Unavailable("ClickHouse cannot be reached") from error
