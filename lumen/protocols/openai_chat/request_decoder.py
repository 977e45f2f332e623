"""Chat Completions requests -> canonical. https://platform.openai.com/docs/api-reference/chat/create"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols import openai_wording as wording
from lumen.protocols.canonical.content import Extras
from lumen.protocols.canonical.request import OutputFormat, OutputKind, Request, Sampling, Thinking
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.members import Members
from lumen.protocols.openai_chat.messages_decoder import decode_messages
from lumen.protocols.openai_chat.tools_decoder import decode_tool_choice, decode_tools

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_KNOWN = frozenset(
    {"model", "messages", "tools", "tool_choice", "functions", "function_call", "parallel_tool_calls", "stream"}
    | {"stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "seed", "stop", "n"}
    | {"presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "reasoning_effort"}
    | {"response_format", "verbosity", "modalities", "prompt_cache_key", "user", "metadata", "service_tier"}
    | {"safety_identifier"}
)


def decode_request(body: Mapping[str, Any]) -> Request:
    """`body` is the decoded JSON object. Raises InvalidRequest in OpenAI's words.

    `stream` and `stream_options.include_usage` are the caller's (`peek` reads them); other options stay extras.
    """
    request = Members(body)
    if not request.has("model"):
        raise wording.missing_chat("model")
    if not request.has("messages"):
        raise wording.missing("messages")
    system, turns = decode_messages(request)
    is_legacy = request.has("functions") and not request.has("tools")
    return Request(
        dialect=Dialect.OPENAI_CHAT,
        model=request.required_text("model"),
        turns=turns,
        system=system,
        tools=decode_tools(request),
        tool_choice=decode_tool_choice(request),
        # The old answer has room for one call.
        parallel_tool_calls=False if is_legacy else request.boolean("parallel_tool_calls"),
        is_legacy_functions=is_legacy,
        max_output_tokens=_output_cap(request),
        sampling=_sampling(request),
        thinking=_thinking(request),
        output=_output_format(request),
        verbosity=request.text("verbosity"),
        modalities=_texts(request, "modalities"),
        prompt_cache_key=request.text("prompt_cache_key"),
        user=request.text("safety_identifier") or request.text("user"),
        metadata=request.mapping("metadata"),
        service_tier=request.text("service_tier"),
        extras=_extras(request),
    )


def _output_cap(request: Members) -> int | None:
    cap = request.integer("max_completion_tokens")
    return request.integer("max_tokens") if cap is None else cap


def _sampling(request: Members) -> Sampling:
    return Sampling(
        temperature=request.number("temperature"),
        top_p=request.number("top_p"),
        top_k=request.integer("top_k"),
        seed=request.integer("seed"),
        presence_penalty=request.number("presence_penalty"),
        frequency_penalty=request.number("frequency_penalty"),
        logit_bias=request.mapping("logit_bias"),
        logprobs=request.boolean("logprobs"),
        top_logprobs=request.integer("top_logprobs"),
        stop=_stop(request),
        choices=request.integer("n") or 1,
    )


def _stop(request: Members) -> tuple[str, ...]:
    stop = request.raw.get("stop")
    return (stop,) if isinstance(stop, str) else _texts(request, "stop")


def _texts(request: Members, name: str) -> tuple[str, ...]:
    texts = request.array(name)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise wording.wrong_type(f"{name}[{index}]", "string", text)
    return tuple(texts)


def _thinking(request: Members) -> Thinking | None:
    effort = request.text("reasoning_effort")
    if effort is None:
        return None
    if effort not in _EFFORTS:
        raise request.invalid_value("reasoning_effort", effort, _EFFORTS)
    return Thinking(effort=effort)


def _output_format(request: Members) -> OutputFormat | None:
    form = request.below("response_format")
    if form is None:
        return None
    kind = form.required_text("type")
    if kind not in tuple(OutputKind):
        raise form.invalid_value("type", kind, ("json_object", "json_schema", "text"))
    if kind != OutputKind.SCHEMA:
        return OutputFormat(OutputKind(kind))
    schema = form.required_below("json_schema")
    return OutputFormat(
        OutputKind.SCHEMA,
        schema.required_text("name"),
        schema.text("description"),
        schema.mapping("schema"),
        schema.boolean("strict"),
    )


def _extras(request: Members) -> Extras | None:
    extras = request.extras(_KNOWN)
    options = request.below("stream_options")
    kept = None if options is None else options.extras({"include_usage"})
    if kept is None:
        return extras
    members = {} if extras is None else extras.members
    return Extras(Dialect.OPENAI_CHAT, {**members, "stream_options": kept.members})
