"""The answer to a prompt, before any dialect gives it a shape. The same prompt and script give the same answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from simulator.prompt import Prompt
from simulator.script import Finish, Script

_WORDS = (
    "The quick brown fox jumps over the lazy dog while a small lantern keeps the night away and every number on the "
    "bill adds up to exactly what was used so nobody has to wonder where the light went after the long day ended"
).split()
_UNICODE_WORDS = ("naïve", "文字", "🙂", "\u2028", "Ωmega", "каша", "\u0085", "e\u0301", '"quoted"', "back\\slash")
_THOUGHTS = "First consider what is being asked then look for the simplest thing that could possibly work".split()
REFUSAL_TEXT = "I am sorry, but I cannot help with that."

PROMPT_OVERHEAD_TOKENS = 8
_TOKENS_DEFAULT = 16
_ARGUMENT_PIECE_CHARS = 8
CREATED_S = 1_796_000_000  # a constant: the same request gives the same bytes


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`suffix` makes ids: unique in its answer. `arguments` is JSON text, "" when the model gave none at all."""

    name: str
    arguments: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Disjoint buckets; only `reasoning` is a part of `output`."""

    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    reasoning: int

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


@dataclass(frozen=True, slots=True)
class Answer:
    """`thinking` and `text` are deltas. `is_reasoned`: the model reasoned, though perhaps nothing of it is shown."""

    prompt: Prompt
    script: Script
    model: str
    thinking: tuple[str, ...]
    text: tuple[str, ...]
    refusal: str
    tool_calls: tuple[ToolCall, ...]
    finish: Finish
    usage: Usage

    @property
    def is_reasoned(self) -> bool:
        return self.usage.reasoning > 0

    def id(self, prefix: str, suffix: str = "") -> str:
        return f"{prefix}{self.prompt.digest[:24]}{suffix}"

    def obfuscation(self, delta: str) -> str:
        """Padding that evens out the sizes of frames, as OpenAI adds it."""
        return self.prompt.digest[: max(1, 16 - len(delta))]


def compose(prompt: Prompt, script: Script, model: str) -> Answer:
    """Follow the script within the request's output cap, as a provider does (`ignore_cap` does not)."""
    refusal = REFUSAL_TEXT if script.finish is Finish.REFUSAL else ""
    wants_tools = bool(script.tool) and script.tools > 0 and not script.empty
    wanted = script.tokens if script.tokens is not None else 0 if wants_tools else _TOKENS_DEFAULT
    if script.empty or refusal:
        wanted = 0
    budget = None if script.ignore_cap else prompt.output_cap
    thinking = _within(budget, script.thinking)
    reasoning = _within(budget, script.reasoning if script.reasoning is not None else thinking)
    spoken = _within(budget, wanted, used=max(thinking, reasoning))
    tool_calls = tuple(_tool_calls(script)) if wants_tools else ()
    is_cut = spoken < wanted or thinking < script.thinking
    finish = script.finish or (Finish.LENGTH if is_cut else Finish.TOOL if tool_calls else Finish.STOP)
    tool_tokens = sum(4 + len(call.arguments) // 4 for call in tool_calls)
    output = max(thinking, reasoning) + spoken + tool_tokens + len(refusal.split())
    return Answer(
        prompt=prompt,
        script=script,
        model=model,
        thinking=tuple(islice(_deltas(_THOUGHTS), thinking)),
        text=tuple(islice(_deltas(_words(script), script.frame_bytes), spoken)),
        refusal=refusal,
        tool_calls=tool_calls,
        finish=finish,
        usage=Usage(
            input=script.input if script.input is not None else prompt.words + PROMPT_OVERHEAD_TOKENS,
            cache_read=script.cached,
            cache_write_5m=script.cache_write_5m,
            cache_write_1h=script.cache_write_1h,
            output=script.output if script.output is not None else _within(budget, max(1, output)) * prompt.choices,
            reasoning=reasoning,
        ),
    )


def arguments_object(arguments: str) -> dict[str, Any]:
    """Arguments where the wire holds an object; what is none (a freeform tool's input) goes under `input`."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        value = arguments
    return value if isinstance(value, dict) else {"input": value}


def argument_pieces(arguments: str) -> Iterator[str]:
    """Arguments as they are streamed."""
    for start in range(0, len(arguments), _ARGUMENT_PIECE_CHARS):
        yield arguments[start : start + _ARGUMENT_PIECE_CHARS]


def _within(budget: int | None, wanted: int, used: int = 0) -> int:
    return wanted if budget is None else max(0, min(wanted, budget - used))


def _words(script: Script) -> list[str]:
    return (
        [word for pair in zip(_WORDS, _UNICODE_WORDS * 5, strict=False) for word in pair] if script.unicode else _WORDS
    )


def _deltas(words: list[str], bytes_min: int = 0) -> Iterator[str]:
    """Words with the space before them, as tokenizers cut; the first has none."""
    number = 0
    while True:
        word = words[number % len(words)]
        yield (word if number == 0 else f" {word}").ljust(bytes_min, ".")
        number += 1


def _tool_calls(script: Script) -> Iterator[ToolCall]:
    for number in range(script.tools):
        yield ToolCall(name=script.tool, arguments=script.args, suffix=f"{number:02d}")
