"""What admission reads of a request besides its body."""

from __future__ import annotations

from services.edge.client_address import ClientAddresses, Peer
from services.edge.client_connection import Scope
from services.edge.http_protocol import Headers
from services.edge.short_cycle import ShortCycle


class RequestHead:
    """`fields` by name, in lower case; of repeated ones the last."""

    __slots__ = ("client_ip", "fields", "headers", "path", "query")

    def __init__(self, path: str, query: bytes, headers: Headers, peer: Peer, addresses: ClientAddresses) -> None:
        self.path = path
        self.query = query
        self.headers = headers
        self.fields: dict[bytes, bytes] = dict(headers)
        self.client_ip = addresses.of(peer, self.fields)

    @classmethod
    def of_scope(cls, scope: Scope, addresses: ClientAddresses) -> RequestHead:
        return cls(scope["path"], scope["query_string"], scope["headers"], scope.get("client"), addresses)

    @classmethod
    def of_cycle(cls, cycle: ShortCycle, addresses: ClientAddresses) -> RequestHead:
        return cls(cycle.path, cycle.query, cycle.headers, cycle.protocol.client, addresses)
