"""Paths of the vendors' APIs, with any prefix before them: `/c1/openai/v1/responses` is OpenAI's, of a channel c1."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from simulator.dialect import Dialect, Target

_FIXED = {
    "/anthropic/v1/messages": ("anthropic_messages", Target("messages")),
    "/anthropic/v1/messages/count_tokens": ("anthropic_messages", Target("count_tokens")),
    "/openai/v1/chat/completions": ("openai_chat", Target("chat")),
    "/openai/v1/responses": ("openai_responses", Target("responses")),
}
_VENDORS = {"anthropic": "anthropic_messages", "openai": "openai_chat", "gemini": "gemini_generate"}
_VENDOR_PATH = re.compile(r"/(?:anthropic/v1|openai/v1|gemini/v1beta)/")
_GEMINI = re.compile(r"/gemini/v1beta/models/([^/]+):(generateContent|streamGenerateContent)")


@dataclass(frozen=True, slots=True)
class Route:
    """`target` is None for a path that the vendor does not have: its own 404 is due."""

    dialect: Dialect
    target: Target | None


class Routes:
    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self._dialects = {dialect.name: dialect for dialect in dialects}
        self._fixed = {path: Route(self._dialects[name], target) for path, (name, target) in _FIXED.items()}

    def find(self, path: str, query: str) -> Route | None:
        """None: not below any vendor's base URL."""
        route = self._fixed.get(path)
        if route is not None:
            return route
        vendor = _VENDOR_PATH.search(path)
        if vendor is None:
            return None
        path = path[vendor.start() :]
        route = self._fixed.get(path)
        if route is not None:
            return route
        gemini = _GEMINI.fullmatch(path)
        if gemini is not None:
            target = Target(gemini[2], model=unquote(gemini[1]), is_sse="alt=sse" in query.split("&"))
            return Route(self._dialects["gemini_generate"], target)
        return Route(self._dialects[_VENDORS[path.split("/")[1]]], None)
