"""How a call is put to one target and its answer read: the client's own dialect, byte for byte."""

from __future__ import annotations

from typing import NamedTuple

from lumen.catalog.resolve import Target
from lumen.protocols.answer import Answer, answer_text_bytes, read_answer
from lumen.protocols.dialects import Dialect, upstream_path
from lumen.protocols.passthrough import rewrite
from lumen.protocols.stream_tap import StreamTap
from services.edge.calls import Call
from services.edge.forwarded_headers import forwarded
from services.edge.http_protocol import Headers
from services.edge.settings import EdgeSettings


class UpstreamMessage(NamedTuple):
    """A request for a provider worker. `path` follows the channel's base URL."""

    dialect: Dialect
    path: bytes
    headers: Headers
    body: bytes


class PassthroughWire:
    """The channel speaks the client's dialect."""

    __slots__ = ("_call", "_target")

    def __init__(self, call: Call, target: Target) -> None:
        self._call = call
        self._target = target

    @property
    def dialect(self) -> Dialect:
        """The upstream's."""
        return self._call.dialect

    def request(self) -> UpstreamMessage:
        call = self._call
        body = rewrite(
            call.peek, call.body, model=self._target.upstream_model, stream=call.is_stream, output_cap=call.output_cap
        )
        path = upstream_path(call.dialect).encode()
        return UpstreamMessage(
            call.dialect, path, forwarded(call.headers, call.dialect, is_stream=call.is_stream), body
        )

    def tap(self, settings: EdgeSettings) -> StreamTap:
        call = self._call
        return StreamTap(
            call.dialect,
            suppress_usage_chunk=call.peek.include_usage is False,
            frame_bytes_max=settings.frame_bytes_max,
            held_bytes_max=settings.held_bytes_max,
            choices=call.peek.choices,
        )

    def read_answer(self, body: bytes) -> Answer:
        """Raises UpstreamProtocolError."""
        return read_answer(self._call.dialect, body)

    def answer_text_bytes(self, body: bytes) -> int:
        return answer_text_bytes(self._call.dialect, body)

    def client_body(self, body: bytes) -> bytes:
        """What the client gets of an answer that was read."""
        return body
