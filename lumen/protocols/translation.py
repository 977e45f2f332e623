"""Whether a request is passed through or translated, and translation itself: wire -> canonical -> wire."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from lumen.protocols.anthropic_messages import request_decoder as anthropic_request_decoder
from lumen.protocols.anthropic_messages import request_encoder as anthropic_request_encoder
from lumen.protocols.anthropic_messages import response_decoder as anthropic_response_decoder
from lumen.protocols.anthropic_messages import response_encoder as anthropic_response_encoder
from lumen.protocols.anthropic_messages.stream_decoder import AnthropicStreamDecoder
from lumen.protocols.anthropic_messages.stream_encoder import AnthropicStreamEncoder
from lumen.protocols.canonical.request import Request
from lumen.protocols.canonical.response import Response
from lumen.protocols.claude_code import without_billing_header
from lumen.protocols.codec import Reply, StreamDecoder, StreamEncoder, Target
from lumen.protocols.dialects import Dialect
from lumen.protocols.gemini_generate import request_encoder as gemini_request_encoder
from lumen.protocols.gemini_generate import response_decoder as gemini_response_decoder
from lumen.protocols.gemini_generate.stream_decoder import GeminiStreamDecoder
from lumen.protocols.openai_chat import request_decoder as chat_request_decoder
from lumen.protocols.openai_chat import request_encoder as chat_request_encoder
from lumen.protocols.openai_chat import response_decoder as chat_response_decoder
from lumen.protocols.openai_chat import response_encoder as chat_response_encoder
from lumen.protocols.openai_chat.stream_decoder import OpenAIChatStreamDecoder
from lumen.protocols.openai_chat.stream_encoder import OpenAIChatStreamEncoder
from lumen.protocols.openai_responses import request_decoder as responses_request_decoder
from lumen.protocols.openai_responses import request_encoder as responses_request_encoder
from lumen.protocols.openai_responses import response_decoder as responses_response_decoder
from lumen.protocols.openai_responses import response_encoder as responses_response_encoder
from lumen.protocols.openai_responses.stream_decoder import ResponsesStreamDecoder
from lumen.protocols.openai_responses.stream_encoder import ResponsesStreamEncoder


@dataclass(frozen=True, slots=True)
class Passthrough:
    """The channel speaks the client's dialect: bytes go through as they are."""

    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Translate:
    client: Dialect
    upstream: Dialect


Plan = Passthrough | Translate

# Per client, the dialects to translate into, best first. What carries sealed reasoning comes before what does not: an
# agent's model that forgets its thoughts between tool calls does worse. Then what has more of the client's parameters.
_PREFERENCES: Mapping[Dialect, tuple[Dialect, ...]] = {
    # The clients of this one never see reasoning. Gemini knows stop sequences, seed and penalties, Anthropic stop
    # sequences only, Responses none of them.
    Dialect.OPENAI_CHAT: (Dialect.GEMINI_GENERATE, Dialect.ANTHROPIC_MESSAGES, Dialect.OPENAI_RESPONSES),
    Dialect.OPENAI_RESPONSES: (Dialect.GEMINI_GENERATE, Dialect.ANTHROPIC_MESSAGES, Dialect.OPENAI_CHAT),
    Dialect.ANTHROPIC_MESSAGES: (Dialect.OPENAI_RESPONSES, Dialect.GEMINI_GENERATE, Dialect.OPENAI_CHAT),
}


def plan(client: Dialect, channel_dialects: Container[Dialect | str]) -> Plan | None:
    """None when the channel speaks no dialect that Lumen knows. KeyError for a dialect no client speaks."""
    preferences = _PREFERENCES[client]
    if client in channel_dialects:
        return Passthrough(client)
    upstream = next((dialect for dialect in preferences if dialect in channel_dialects), None)
    return None if upstream is None else Translate(client, upstream)


def translate_request(
    client: Dialect, body: Mapping[str, Any], upstream: Dialect, target: Target
) -> tuple[Request, bytes]:
    """The client's decoded JSON body -> the canonical request (a Reply needs it) and the body for upstream.

    Hints that were left out are in `target.dropped`. Raises InvalidRequest for the client's mistakes, Unsupported for
    what upstream cannot express.
    """
    request = _REQUEST_DECODERS[client](body)
    if client is Dialect.ANTHROPIC_MESSAGES:
        request = replace(request, system=without_billing_header(request.system))
    return request, _REQUEST_ENCODERS[upstream](request, target)


def decode_answer(upstream: Dialect, body: bytes, issuer: str) -> Response:
    """A single answer with status 200 and no error in it; its usage may be missing and is then supplied before
    `encode_answer`. `issuer`: the vendor of the model. Raises UpstreamProtocolError for what is no complete answer."""
    return _RESPONSE_DECODERS[upstream](body, issuer)


def encode_answer(client: Dialect, response: Response, reply: Reply) -> bytes:
    return _RESPONSE_ENCODERS[client](response, reply)


def stream_decoder(upstream: Dialect, *, issuer: str, frame_bytes_max: int) -> StreamDecoder:
    return _STREAM_DECODERS[upstream](issuer=issuer, frame_bytes_max=frame_bytes_max)


def stream_encoder(client: Dialect, reply: Reply) -> StreamEncoder:
    """KeyError for a dialect no client speaks."""
    return _STREAM_ENCODERS[client](reply)


_REQUEST_DECODERS: Mapping[Dialect, Callable[[Mapping[str, Any]], Request]] = {
    Dialect.OPENAI_CHAT: chat_request_decoder.decode_request,
    Dialect.OPENAI_RESPONSES: responses_request_decoder.decode_request,
    Dialect.ANTHROPIC_MESSAGES: anthropic_request_decoder.decode_request,
}
_REQUEST_ENCODERS: Mapping[Dialect, Callable[[Request, Target], bytes]] = {
    Dialect.OPENAI_CHAT: chat_request_encoder.encode_request,
    Dialect.OPENAI_RESPONSES: responses_request_encoder.encode_request,
    Dialect.ANTHROPIC_MESSAGES: anthropic_request_encoder.encode_request,
    Dialect.GEMINI_GENERATE: gemini_request_encoder.encode_request,
}
_RESPONSE_DECODERS: Mapping[Dialect, Callable[[bytes, str], Response]] = {
    Dialect.OPENAI_CHAT: chat_response_decoder.decode_response,
    Dialect.OPENAI_RESPONSES: responses_response_decoder.decode_response,
    Dialect.ANTHROPIC_MESSAGES: anthropic_response_decoder.decode_response,
    Dialect.GEMINI_GENERATE: gemini_response_decoder.decode_response,
}
_RESPONSE_ENCODERS: Mapping[Dialect, Callable[[Response, Reply], bytes]] = {
    Dialect.OPENAI_CHAT: chat_response_encoder.encode_response,
    Dialect.OPENAI_RESPONSES: responses_response_encoder.encode_response,
    Dialect.ANTHROPIC_MESSAGES: anthropic_response_encoder.encode_response,
}
_STREAM_DECODERS: Mapping[Dialect, Callable[..., StreamDecoder]] = {
    Dialect.OPENAI_CHAT: OpenAIChatStreamDecoder,
    Dialect.OPENAI_RESPONSES: ResponsesStreamDecoder,
    Dialect.ANTHROPIC_MESSAGES: AnthropicStreamDecoder,
    Dialect.GEMINI_GENERATE: GeminiStreamDecoder,
}
_STREAM_ENCODERS: Mapping[Dialect, Callable[[Reply], StreamEncoder]] = {
    Dialect.OPENAI_CHAT: OpenAIChatStreamEncoder,
    Dialect.OPENAI_RESPONSES: ResponsesStreamEncoder,
    Dialect.ANTHROPIC_MESSAGES: AnthropicStreamEncoder,
}
