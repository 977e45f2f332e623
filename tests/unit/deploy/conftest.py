"""The chart's tests fetch their tools (helm, promtool) when first needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures import authorities


@pytest.fixture(scope="module", autouse=True)
def public_authorities() -> Iterator[None]:
    with authorities.shown():
        yield
