"""The README's matrix of what works, from the outcomes of the tests marked `matrix`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
FEATURES = ("single", "stream", "tools", "images", "thinking")
_BEGIN, _END = "<!-- matrix -->\n", "<!-- end of matrix -->\n"
_CLIENT_NAMES = {"chat": "Chat Completions", "responses": "Responses", "messages": "Messages"}
_DIALECT_NAMES = {
    "anthropic_messages": "Anthropic Messages",
    "openai_responses": "OpenAI Responses",
    "gemini_generate": "Gemini",
    "openai_chat": "OpenAI Chat",
}

# (client, model, feature) -> whether all its tests passed; filled by the hook in conftest.py.
outcomes: dict[tuple[str, str, str], bool] = {}


def note(client: str, model: str, feature: str, has_passed: bool) -> None:
    key = (client, model, feature)
    outcomes[key] = outcomes.get(key, True) and has_passed


def is_whole(clients: Sequence[str], models: Sequence[str]) -> bool:
    return all((c, m, f) in outcomes for c in clients for m in models for f in FEATURES)


def rendered(clients: Sequence[str], spoken: Mapping[str, str]) -> str:
    """Markdown. `spoken`: model -> the dialect its provider speaks."""
    head = "| client | model, its provider's dialect | " + " | ".join(FEATURES) + " |\n"
    rule = "|---|---|" + "---|" * len(FEATURES) + "\n"
    rows = [
        f"| {_CLIENT_NAMES[client]} | {model}, {_DIALECT_NAMES[dialect]} | "
        + " | ".join("yes" if outcomes[client, model, feature] else "no" for feature in FEATURES)
        + " |\n"
        for client in clients
        for model, dialect in spoken.items()
    ]
    return head + rule + "".join(rows)


def section(readme: str) -> str:
    return readme.partition(_BEGIN)[2].partition(_END)[0]


def with_section(readme: str, table: str) -> str:
    before, _, rest = readme.partition(_BEGIN)
    return before + _BEGIN + table + _END + rest.partition(_END)[2]
