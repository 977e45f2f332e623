"""How a call is put to one target and its answer read: passed through where the channel speaks the client's dialect,
translated where it does not."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from lumen.catalog.resolve import Target
from lumen.money.usage import TokenUsage
from lumen.protocols import codec
from lumen.protocols.answer import Answer, answer_text_bytes, read_answer
from lumen.protocols.canonical.response import Response
from lumen.protocols.dialects import CLIENT_DIALECTS, Dialect, upstream_path
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.passthrough import rewrite
from lumen.protocols.request_fields import InvalidRequest
from lumen.protocols.stream_tap import StreamTap
from lumen.protocols.translating_tap import TranslatingTap
from lumen.protocols.translation import (
    Translate,
    decode_answer,
    encode_answer,
    plan,
    stream_decoder,
    stream_encoder,
    translate_request,
)
from services.edge.calls import Call
from services.edge.exchanges import UpstreamMessage
from services.edge.failures import inexpressible
from services.edge.forwarded_headers import forwarded
from services.edge.settings import EdgeSettings

Tap = StreamTap | TranslatingTap

_PATHS: Mapping[Dialect, bytes] = {dialect: upstream_path(dialect).encode() for dialect in CLIENT_DIALECTS.values()}


def wire_for(call: Call, target: Target) -> PassthroughWire | TranslatedWire:
    """Also notes with the call what depends on it. Raises AttemptFailed when the channel speaks none we know."""
    planned = plan(call.dialect, target.channel.dialects)
    if planned is None:
        raise inexpressible(
            ApiError(ErrorKind.UPSTREAM_FAILED, "The provider of this model speaks no dialect that Lumen knows.")
        )
    if isinstance(planned, Translate):
        call.upstream_dialect = planned.upstream
        return TranslatedWire(call, target, planned.upstream)
    call.upstream_dialect = call.dialect
    call.modifiers = call.peek.modifiers
    return PassthroughWire(call, target)


class PassthroughWire:
    """Byte for byte."""

    __slots__ = ("_call", "_target")
    dropped: ClassVar[Sequence[str]] = ()

    def __init__(self, call: Call, target: Target) -> None:
        self._call = call
        self._target = target

    def request(self) -> UpstreamMessage:
        call = self._call
        body = rewrite(
            call.peek, call.body, model=self._target.upstream_model, stream=call.is_stream, output_cap=call.output_cap
        )
        path = _PATHS[call.dialect]
        headers = forwarded(call.headers, call.dialect, is_stream=call.is_stream)
        return UpstreamMessage(call.dialect, path, headers, body)

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

    def client_body(self, body: bytes, usage: TokenUsage) -> bytes:
        """What the client gets of an answer that was read."""
        return body


class TranslatedWire:
    """Through the canonical model. `dropped` lists the hints that got lost, once `request` has been called."""

    __slots__ = ("_call", "_issuer", "_reply", "_response", "_target", "_upstream", "dropped")

    def __init__(self, call: Call, target: Target, upstream: Dialect) -> None:
        self._call = call
        self._target = target
        self._upstream = upstream
        self._issuer = call.resolution.model.vendor
        self.dropped: Sequence[str] = ()

    def request(self) -> UpstreamMessage:
        """Raises AttemptFailed (400) for what the upstream's dialect cannot express."""
        call = self._call
        target = codec.Target(
            model=self._target.upstream_model,
            issuer=self._issuer,
            is_stream=call.is_stream,
            max_output_tokens=call.resolution.model.max_output_tokens,
            output_cap=call.output_cap,
        )
        try:
            request, body = translate_request(call.dialect, msgspec.json.decode(call.body), self._upstream, target)
        except codec.Unsupported as error:
            raise inexpressible(
                ApiError(ErrorKind.INVALID_REQUEST, error.message, param=error.param, code="unsupported_parameter")
            ) from error
        except InvalidRequest as error:
            raise ApiError(ErrorKind.INVALID_REQUEST, error.message, param=error.param, code=error.code) from error
        self.dropped = target.dropped
        call.modifiers = _modifiers_in(body, call.peek.modifiers)
        self._reply = codec.Reply(
            request=request,
            model=call.peek.model,
            created_s=int(time.time()),
            new_id=_new_id,
            include_usage=call.peek.include_usage is not False,
        )
        path = upstream_path(self._upstream, model=self._target.upstream_model, is_stream=call.is_stream)
        accept = b"text/event-stream" if call.is_stream else b"application/json"
        return UpstreamMessage(self._upstream, path.encode(), [(b"accept", accept)], body)

    def tap(self, settings: EdgeSettings) -> TranslatingTap:
        return TranslatingTap(
            stream_decoder(self._upstream, issuer=self._issuer, frame_bytes_max=settings.frame_bytes_max),
            stream_encoder(self._call.dialect, self._reply),
        )

    def read_answer(self, body: bytes) -> Answer:
        """Raises UpstreamProtocolError."""
        answer = read_answer(self._upstream, body)
        if answer.error is None:
            self._response: Response = decode_answer(self._upstream, body, self._issuer)
        return answer

    def answer_text_bytes(self, body: bytes) -> int:
        return answer_text_bytes(self._upstream, body)

    def client_body(self, body: bytes, usage: TokenUsage) -> bytes:
        response = msgspec.structs.replace(self._response, usage=usage)
        return encode_answer(self._call.dialect, response, self._reply)


def _modifiers_in(body: bytes, modifiers: Mapping[str, str]) -> Mapping[str, str]:
    """Those that the provider was still asked for: a tier that got lost in translation is not charged."""
    if not modifiers:
        return modifiers
    members = msgspec.json.decode(body)
    return {name: value for name, value in modifiers.items() if name in members}


def _new_id() -> str:
    return secrets.token_hex(12)
