"""The admin API's own description, without a running console."""

from __future__ import annotations

from typing import Any, cast

from prometheus_client import CollectorRegistry

from services.console.authorization import Authorization
from services.console.http_api import create_app
from services.console.metrics import ConsoleMetrics
from services.console.parts import Parts

_METHODS = ("get", "post", "put", "patch", "delete")


def _document() -> dict[str, Any]:
    app = create_app(
        cast(Parts, None),  # nothing is called
        ConsoleMetrics(CollectorRegistry()),
        authorization=cast(Authorization, None),
        body_bytes_max=0,
    )
    return app.openapi()


OPENAPI = _document()
OPERATIONS = [
    (method.upper(), path)
    for path, operations in OPENAPI["paths"].items()
    for method in operations
    if method in _METHODS
]
