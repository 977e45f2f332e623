"""A request, whichever dialect it came in."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from lumen.protocols.canonical.content import Block, CacheMark, Extras, Text, ToolKind
from lumen.protocols.dialects import Dialect


class Role(StrEnum):
    SYSTEM = "system"  # OpenAI's `developer` too
    USER = "user"
    ASSISTANT = "assistant"


class Turn(Struct, frozen=True):
    """Consecutive messages of one role stay separate turns: encoders merge where their dialect demands alternation.

    Tool results are blocks of a USER turn, as Anthropic has them; chat `tool` messages and Responses `*_output` items
    become USER turns of their own with one ToolResult each. SYSTEM turns are those in the middle of a conversation;
    leading ones are `Request.system`.
    """

    role: Role
    content: tuple[Block, ...]
    name: str | None = None
    extras: Extras | None = None


class FunctionTool(Struct, frozen=True, tag="function"):
    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None  # JSON Schema as the client wrote it
    strict: bool | None = None
    namespace: str | None = None
    cache: CacheMark | None = None
    extras: Extras | None = None


class CustomTool(Struct, frozen=True, tag="custom"):
    """Freeform input, perhaps under a grammar. Where a dialect has none it becomes a function with one string member
    `input`, and its calls are turned back by `Request.tool_kind`."""

    name: str
    description: str | None = None
    format: Mapping[str, Any] | None = None
    namespace: str | None = None
    extras: Extras | None = None


class OpaqueTool(Struct, frozen=True, tag="opaque"):
    """A tool only `dialect` knows: server tools, `local_shell`, `tool_search`. Others leave it out, declared loss
    `server_tools` (or, for `local_shell`, flatten it to a function)."""

    dialect: Dialect
    kind: str
    raw: Mapping[str, Any]


Tool = FunctionTool | CustomTool | OpaqueTool


class ToolChoiceMode(StrEnum):
    AUTO = "auto"
    REQUIRED = "required"  # Anthropic and Gemini: any
    NONE = "none"
    NAMED = "named"


class ToolChoice(Struct, frozen=True):
    """`names`: the one that must be called (NAMED), or those that may be (OpenAI's allowed_tools, Gemini's
    allowedFunctionNames); empty: all."""

    mode: ToolChoiceMode
    names: tuple[str, ...] = ()
    extras: Extras | None = None


class OutputKind(StrEnum):
    TEXT = "text"
    JSON = "json_object"
    SCHEMA = "json_schema"


class OutputFormat(Struct, frozen=True):
    kind: OutputKind
    name: str | None = None
    description: str | None = None
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None


class ThinkingMode(StrEnum):
    DISABLED = "disabled"
    BUDGET = "budget"  # at most `budget_tokens`
    ADAPTIVE = "adaptive"  # as much as the model sees fit, guided by `effort`


class Thinking(Struct, frozen=True):
    """`mode` None: only `effort` or `display` was said. `effort`: none, minimal, low, medium, high, xhigh or max."""

    mode: ThinkingMode | None = None
    effort: str | None = None
    budget_tokens: int | None = None
    # How it is shown: summarized | omitted (Anthropic), auto | concise | detailed (Responses), None: not said.
    display: str | None = None
    wants_sealed: bool = False  # Responses: include reasoning.encrypted_content
    extras: Extras | None = None


class Sampling(Struct, frozen=True):
    temperature: float | int | None = None
    top_p: float | int | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | int | None = None
    frequency_penalty: float | int | None = None
    logit_bias: Mapping[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1  # `n`; other dialects than the client's refuse more than 1


class Request(Struct, frozen=True):
    """`dialect` is the client's. `model` is what the client asked for; encoders get the channel's name for it."""

    dialect: Dialect
    model: str
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    is_legacy_functions: bool = False  # chat `functions` / `function_call`: the answer uses `function_call` too
    max_output_tokens: int | None = None
    sampling: Sampling = Sampling()
    thinking: Thinking | None = None
    output: OutputFormat | None = None
    verbosity: str | None = None
    modalities: tuple[str, ...] = ()
    cache: CacheMark | None = None  # Anthropic's top-level automatic caching
    prompt_cache_key: str | None = None
    user: str | None = None  # `user`, `safety_identifier`, Anthropic metadata.user_id
    metadata: Mapping[str, Any] | None = None
    service_tier: str | None = None
    extras: Extras | None = None

    def tool_kind(self, name: str) -> ToolKind:
        """What a call of `name` has to be for this client, whatever the upstream could express."""
        for tool in self.tools:
            if isinstance(tool, CustomTool) and tool.name == name:
                return ToolKind.CUSTOM
            if isinstance(tool, OpaqueTool) and tool.kind == name == "local_shell":
                return ToolKind.LOCAL_SHELL
        return ToolKind.FUNCTION
