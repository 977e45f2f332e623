"""The admin API's own description, without a running console."""

from __future__ import annotations

from typing import cast

from services.console.http_api import create_admin_api
from services.console.parts import Parts

_METHODS = ("get", "post", "put", "patch", "delete")


OPENAPI = create_admin_api(cast(Parts, None)).openapi()  # nothing is called
OPERATIONS = [
    (method.upper(), path)
    for path, operations in OPENAPI["paths"].items()
    for method in operations
    if method in _METHODS
]
