"""What load is made of: requests in the three client dialects, with the simulator's script in their prompts."""

from __future__ import annotations

import json
from dataclasses import dataclass

from lumen.protocols.dialects import Dialect

DEFAULT_MODEL = "gpt-5.5"
_EDGE_PATHS = {
    Dialect.OPENAI_CHAT: "/v1/chat/completions",
    Dialect.OPENAI_RESPONSES: "/v1/responses",
    Dialect.ANTHROPIC_MESSAGES: "/v1/messages",
}
_VENDORS = {
    Dialect.OPENAI_CHAT: "/openai",
    Dialect.OPENAI_RESPONSES: "/openai",
    Dialect.ANTHROPIC_MESSAGES: "/anthropic",
}
_OUTPUT_TOKENS_MAX = 4096
_FRAMES_AROUND_TOKENS = {
    Dialect.OPENAI_CHAT: 4,  # role, finish, usage, [DONE]
    Dialect.OPENAI_RESPONSES: 8,  # created, in_progress, item and part opened and closed, text done, completed
    Dialect.ANTHROPIC_MESSAGES: 6,  # message_start, block start, ping, block stop, message_delta, message_stop
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `path` is the edge's; `upstream_path` is where the simulator takes the same body."""

    dialect: Dialect
    is_stream: bool
    body: bytes

    @property
    def path(self) -> str:
        return _EDGE_PATHS[self.dialect]

    @property
    def upstream_path(self) -> str:
        return _VENDORS[self.dialect] + self.path

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        """As the vendors' SDKs send them, apart from Host and Content-Length."""
        headers = [
            ("authorization", f"Bearer {api_key}"),
            ("content-type", "application/json"),
            ("accept", "text/event-stream" if self.is_stream else "application/json"),
            ("user-agent", "lumen-load"),
        ]
        if self.dialect is Dialect.ANTHROPIC_MESSAGES:
            headers.append(("anthropic-version", "2023-06-01"))
        return headers


def make_call(
    dialect: Dialect = Dialect.OPENAI_CHAT,
    *,
    is_stream: bool,
    script: str = "",
    model: str = DEFAULT_MODEL,
    text: str = "Tell me how lighthouses work.",
) -> Call:
    """`script` as in the simulator's README, for example `tokens=20 delay_ms=5`. The body is compact JSON, as httpx
    and so the vendors' Python SDKs write it."""
    prompt = f"{text} [[sim {script}]]" if script else text
    body: dict[str, object] = {"model": model, "stream": is_stream}
    if dialect is Dialect.OPENAI_RESPONSES:
        body |= {"input": prompt, "max_output_tokens": _OUTPUT_TOKENS_MAX}
    else:
        body |= {"messages": [{"role": "user", "content": prompt}], "max_tokens": _OUTPUT_TOKENS_MAX}
    if dialect is Dialect.OPENAI_CHAT and is_stream:
        body["stream_options"] = {"include_usage": True}
    return Call(dialect, is_stream, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())


def stream_of_frames(dialect: Dialect, frames: int, delay_ms: float, *, model: str = DEFAULT_MODEL) -> Call:
    """A stream of exactly so many frames, `delay_ms` apart."""
    tokens = frames - _FRAMES_AROUND_TOKENS[dialect]
    return make_call(dialect, is_stream=True, script=f"tokens={tokens} delay_ms={delay_ms:g}", model=model)
