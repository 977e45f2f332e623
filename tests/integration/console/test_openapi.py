"""Whatever the description allows to be sent, the admin API answers as the description says: never a 5xx.

schemathesis makes the requests (https://schemathesis.readthedocs.io), the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.console.stack import CATALOG, TOKEN, Stack
from tests.unit.console.openapi import OPENAPI, OPERATIONS

pytestmark = pytest.mark.slow

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_SECONDS_EACH = ("/admin/v1/reconcile", "/admin/v1/finance/reconciliation", "/admin/v1/ledger/rebuild")
schema = schemathesis.openapi.from_dict(OPENAPI)


@pytest.fixture(scope="module", autouse=True)
def own_catalog_back(stack: Stack) -> Iterator[None]:
    yield
    with stack.client() as client:
        assert client.post("/admin/v1/catalog", json={"content": CATALOG}).status_code == 200


@schema.exclude(path=list(_SECONDS_EACH)).parametrize()
@settings(
    max_examples=5,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: schemathesis.Case[Any], stack: Stack) -> None:
    answer = case.call(base_url=stack.url, headers={"Authorization": f"Bearer {TOKEN}"})
    case.validate_response(answer, checks=_CHECKS)


@pytest.mark.parametrize("path", _SECONDS_EACH)
def test_answers_that_take_seconds_are_as_described(stack: Stack, client: httpx.Client, path: str) -> None:
    method = next(method for method, known in OPERATIONS if known == path)
    operation = schema[path][method]
    answer = client.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code == 200, answer.text
    operation.validate_response(answer)


def test_every_operation_is_described_for_generated_clients() -> None:
    ids = [operation["operationId"] for path in OPENAPI["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)
    for path, operations in OPENAPI["paths"].items():
        assert path.startswith("/admin/v1/")
        for operation in operations.values():
            assert {"401", "403", "404", "422", "503", "default"} <= set(operation["responses"]), path
            assert operation["security"], path
    bodies = {
        name: model for name, model in OPENAPI["components"]["schemas"].items() if name.startswith(("Create", "Post"))
    }
    assert all(model.get("examples") for name, model in bodies.items() if "View" not in name)
