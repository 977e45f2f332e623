"""A Valkey of the lease model's own: it is emptied and restored all the time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.engines import RedisServer


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("lease-model") / "valkey") as server:
        yield server
