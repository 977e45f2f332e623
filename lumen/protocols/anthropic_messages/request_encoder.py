"""Canonical request -> the body for a provider that speaks Messages. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lumen.protocols.anthropic_messages.content_encoder import ContentEncoder, Members, cache_member, own_extras
from lumen.protocols.anthropic_messages.models import ModelTraits, model_traits
from lumen.protocols.anthropic_messages.sampling import encode_sampling
from lumen.protocols.anthropic_messages.schemas import closed_schema
from lumen.protocols.anthropic_messages.thinking import ThinkingMembers, encode_thinking
from lumen.protocols.anthropic_messages.tools import encode_tool_choice, encode_tools
from lumen.protocols.anthropic_messages.turns import encode_turns, is_loop_unthought
from lumen.protocols.canonical.request import OutputFormat, OutputKind, Request
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.dialects import Dialect

_JSON_OBJECT = "Answer with one valid JSON object and nothing else: no explanation, no code fence."
_JSON_SCHEMA = "Answer with one JSON value and nothing else, valid against this JSON Schema:\n"

# The API takes no personal data for an id: https://platform.claude.com/docs/en/api/messages (metadata)
_USER_ID = re.compile(r"(?!\+?[\d\s().-]{7,}$)[^@]{1,256}", re.DOTALL)
# Members of other dialects' requests that name what is stored at their provider.
_STORED = ("previous_response_id", "conversation", "background")


def encode_request(request: Request, target: Target) -> bytes:
    """Raises Unsupported. Hints that are left out are noted in `target.dropped`."""
    _refuse_what_is_lost(request)
    _drop_hints(request, target)
    traits = model_traits(target.model)
    content = ContentEncoder(request.dialect, target)
    max_tokens = _max_tokens(request, target)
    messages = encode_turns(request.turns, content, traits)
    thinking = encode_thinking(request, traits, max_tokens, is_loop_unthought(messages), target)
    output_format, instruction = _encode_output(request.output, traits)
    system = content.blocks(request.system)
    if instruction:
        system.append({"type": "text", "text": instruction})
    tools = encode_tools(request, traits, target)
    body: Members = {
        "model": target.model,
        "max_tokens": max_tokens,
        "stream": target.is_stream,
        "system": system,
        "messages": messages,
        "tools": tools,
        "tool_choice": encode_tool_choice(request, tools, traits),
        "thinking": thinking.thinking,
        **encode_sampling(request.sampling, traits, thinking.is_on, target),
        **_encode_account(request, target),
        **cache_member(request.cache),
    }
    own = own_extras(request.extras)
    config = _encode_config(own.pop("output_config", {}), thinking, output_format)
    kept = {name: value for name, value in body.items() if value is not None and value != []}
    return msgspec.json.encode({**kept, **config, **own})


def _max_tokens(request: Request, target: Target) -> int:
    """The client's cap, no more than the model has where the client thought of another; else the catalog's."""
    asked = request.max_output_tokens
    if asked is None:
        asked = target.max_output_tokens
    elif request.dialect is not Dialect.ANTHROPIC_MESSAGES:
        asked = min(asked, target.max_output_tokens)
    cap = target.cap(asked)
    return asked if cap is None else cap


def _refuse_what_is_lost(request: Request) -> None:
    if request.sampling.choices > 1:
        raise Unsupported("choices", "This model gives one choice per request.", "n")
    if request.sampling.logprobs or request.sampling.top_logprobs:
        raise Unsupported("logprobs", "This model gives no log probabilities.", "logprobs")
    if "audio" in request.modalities:
        raise Unsupported("audio_output", "This model gives no audio.", "modalities")
    foreign = request.extras
    if foreign is None or foreign.dialect is Dialect.ANTHROPIC_MESSAGES:
        return
    names = [name for name in _STORED if foreign.members.get(name)]
    if foreign.dialect is Dialect.OPENAI_RESPONSES and foreign.members.get("store") is True:
        names.append("store")
    if names:
        message = f"'{names[0]}' is not supported with this model: nothing is stored between requests."
        raise Unsupported("stored_conversations", message, names[0])


def _drop_hints(request: Request, target: Target) -> None:
    sampling = request.sampling
    hints = {
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
        "logit_bias": sampling.logit_bias or None,
        "verbosity": request.verbosity,
        "prompt_cache_key": request.prompt_cache_key,
    }
    for name, value in hints.items():
        if value is not None:
            target.drop(name)
    if any(turn.name for turn in request.turns):
        target.drop("participant_name")
    foreign = request.extras
    if foreign and foreign.dialect is Dialect.OPENAI_CHAT and foreign.members.get("web_search_options") is not None:
        target.drop("server_tools")


def _encode_account(request: Request, target: Target) -> Members:
    """`metadata` and `service_tier`; `auto` and `default` of the other dialects are what Anthropic does unasked."""
    members: Members = {}
    is_own = request.dialect is Dialect.ANTHROPIC_MESSAGES
    metadata: Members = {}
    if request.user is not None and (is_own or _USER_ID.fullmatch(request.user)):
        metadata["user_id"] = request.user
    elif request.user:
        target.drop("user")
    if request.metadata and is_own:
        metadata |= request.metadata
    elif request.metadata:
        target.drop("metadata")
    if metadata:
        members["metadata"] = metadata
    if request.service_tier is not None:
        if is_own:
            members["service_tier"] = request.service_tier
        elif request.service_tier not in ("auto", "default"):
            target.drop("service_tier")
    return members


def _encode_output(output: OutputFormat | None, traits: ModelTraits) -> tuple[Members | None, str | None]:
    """(`output_config.format`, or an instruction where the model or the schema allows none)"""
    if output is None or output.kind is OutputKind.TEXT:
        return None, None
    if output.kind is OutputKind.JSON or output.schema is None:
        return None, _JSON_OBJECT
    closed = closed_schema(output.schema) if traits.has_schemas else None
    if closed is None:
        return None, _JSON_SCHEMA + msgspec.json.encode(output.schema).decode()
    return {"type": "json_schema", "schema": closed}, None


def _encode_config(own: Any, thinking: ThinkingMembers, output_format: Members | None) -> Members:
    config: Members = dict(own)
    if thinking.effort is not None:
        config["effort"] = thinking.effort
    if output_format is not None:
        config["format"] = output_format
    return {"output_config": config} if config else {}
