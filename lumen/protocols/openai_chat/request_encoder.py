"""Canonical requests -> Chat Completions. https://platform.openai.com/docs/api-reference/chat/create"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from lumen.protocols.canonical.request import OutputFormat, OutputKind, Request
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.members import own_extras
from lumen.protocols.openai_chat.messages_encoder import encode_messages
from lumen.protocols.openai_chat.reasoning import reasoning_members
from lumen.protocols.openai_chat.tools_encoder import encode_tools
from lumen.protocols.openai_chat.vendors import output_cap_name, takes

_OPENAI_STOP_MAX = 4
_USER_CHARS_MAX = 64
_OPENAI_DIALECTS = (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES)


def encode_request(request: Request, target: Target) -> bytes:
    """The body for the provider, notes of what was dropped in `target`. Raises Unsupported."""
    _refuse(request, target)
    members: dict[str, Any] = {
        "model": target.model,
        "messages": encode_messages(request, target),
        **_stream_members(request, target),
        output_cap_name(target.issuer): target.cap(request.max_output_tokens),
        **_sampling_members(request, target),
        **encode_tools(request, target),
        **(reasoning_members(request.thinking, target.issuer) if request.thinking else {}),
        "response_format": _response_format(request.output) if request.output else None,
        "modalities": list(request.modalities) or None,
        **_hints(request, target),
    }
    _note_losses(request, target)
    own = {name: value for name, value in own_extras(request.extras).items() if name != "stream_options"}
    return msgspec.json.encode({**{name: value for name, value in members.items() if value is not None}, **own})


def _refuse(request: Request, target: Target) -> None:
    if request.sampling.choices > 1:
        raise Unsupported("choices", "This model gives one answer: 'n' must be 1.", "n")
    if "audio" in request.modalities:
        raise Unsupported("audio_output", "This model gives no spoken answers.", "modalities")
    if target.issuer == "openai" and len(request.sampling.stop) > _OPENAI_STOP_MAX:
        raise Unsupported("stop_sequences", f"This model takes at most {_OPENAI_STOP_MAX} stop sequences.", "stop")


def _stream_members(request: Request, target: Target) -> dict[str, Any]:
    if not target.is_stream:
        return {"stream": False}
    options = own_extras(request.extras).get("stream_options", {})
    return {"stream": True, "stream_options": {**options, "include_usage": True}}


def _sampling_members(request: Request, target: Target) -> dict[str, Any]:
    """Temperature, top_p and stop are everybody's."""
    sampling = request.sampling
    stop = sampling.stop[0] if len(sampling.stop) == 1 else list(sampling.stop)
    members = {"temperature": sampling.temperature, "top_p": sampling.top_p, "stop": stop or None}
    for name in ("top_k", "seed", "presence_penalty", "frequency_penalty"):
        members[name] = _hint(name, getattr(sampling, name), target)
    # Answers are translated without them, and token ids mean nothing to another vendor's model.
    is_own = request.dialect is Dialect.OPENAI_CHAT
    members["logit_bias"] = _hint("logit_bias", sampling.logit_bias, target, is_meant=is_own)
    members["logprobs"] = _hint("logprobs", sampling.logprobs, target, is_meant=is_own)
    if members["logprobs"] is not None:
        members["top_logprobs"] = sampling.top_logprobs
    return members


def _hints(request: Request, target: Target) -> dict[str, Any]:
    is_openai_client = request.dialect in _OPENAI_DIALECTS
    return {
        "verbosity": _hint("verbosity", request.verbosity, target),
        "prompt_cache_key": _hint("prompt_cache_key", request.prompt_cache_key, target),
        "safety_identifier": _hint("user", _short_user(request.user), target),
        "metadata": _hint("metadata", request.metadata, target, is_meant=request.dialect is Dialect.OPENAI_CHAT),
        "service_tier": _hint("service_tier", request.service_tier, target, is_meant=is_openai_client),
    }


def _short_user(user: str | None) -> str | None:
    """OpenAI advises to hash what identifies a user, and refuses what is long (Claude Code's ids are)."""
    if user is None or len(user) <= _USER_CHARS_MAX:
        return user
    return hashlib.sha256(user.encode()).hexdigest()


def _hint(feature: str, value: Any, target: Target, *, is_meant: bool = True) -> Any:
    """The value if the vendor takes it. `is_meant`: it means the same to this upstream as to the client."""
    if value is None or (is_meant and takes(target.issuer, feature)):
        return value
    target.drop(feature)
    return None


def _response_format(output: OutputFormat) -> dict[str, Any]:
    if output.kind is not OutputKind.SCHEMA:
        return {"type": output.kind.value}
    members = {
        "name": output.name or "answer",
        "description": output.description,
        "schema": output.schema,
        "strict": output.strict,
    }
    return {"type": "json_schema", "json_schema": {name: value for name, value in members.items() if value is not None}}


def _note_losses(request: Request, target: Target) -> None:
    if request.cache is not None:
        target.drop("cache_control")
    if request.thinking is not None and request.thinking.display is not None:
        target.drop("reasoning_display")
    if request.thinking is not None and request.thinking.wants_sealed:
        target.drop("reasoning_signature")
