"""What admission reads of a request besides its body."""

from __future__ import annotations

from services.edge.client_address import ClientAddresses
from services.edge.client_connection import Scope
from services.edge.http_protocol import Headers


class RequestHead:
    """`fields` by name, in lower case; of repeated ones the last."""

    __slots__ = ("client_ip", "fields", "headers", "path", "query")

    def __init__(self, scope: Scope, addresses: ClientAddresses) -> None:
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: Headers = scope["headers"]
        self.fields: dict[bytes, bytes] = dict(self.headers)
        self.client_ip = addresses.of(scope, self.fields)
