"""What each of the vendors' APIs must be able to do here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from simulator.answer import Answer
from simulator.prompt import Prompt

encode_json = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Target:
    """What the path of a request says. `model` is "" where the body names it."""

    operation: str
    model: str = ""
    is_sse: bool = True


class Dialect(ABC):
    """Stateless: pure functions between a vendor's wire format and prompts and answers."""

    name: ClassVar[str]
    key_headers: ClassVar[tuple[str, ...]]

    @abstractmethod
    def read(self, target: Target, headers: Mapping[str, str], body: dict[str, Any], digest: str) -> Prompt:
        """Raises InvalidPrompt as the vendor answers 400."""

    @abstractmethod
    def encode(self, answer: Answer) -> bytes:
        """The body of a single response."""

    @abstractmethod
    def encode_stream(self, answer: Answer) -> list[bytes]:
        """The frames of a stream, in order."""

    @abstractmethod
    def encode_error(self, status: int, message: str, digest: str, param: str | None = None) -> bytes: ...

    @abstractmethod
    def encode_stream_error(self, answer: Answer, frames_sent: int) -> bytes:
        """What the vendor sends when it fails in the middle of a stream."""

    def headers(self, digest: str) -> list[tuple[str, str]]:
        """What the vendor adds to every response; a gateway must not pass its identifiers on."""
        return []

    def default_message(self, status: int) -> str:
        return _MESSAGES.get(status, "The simulated provider failed.")

    def key(self, headers: Mapping[str, str]) -> str:
        """The provider key of the request, "" without one."""
        for name in self.key_headers:
            value = headers.get(name, "")
            if name == "authorization":
                scheme, _, value = value.partition(" ")
                value = value.strip() if scheme.lower() == "bearer" else ""
            if value:
                return value
        return ""


def sse_frame(payload: Any, event: str = "") -> bytes:
    data = encode_json(payload)
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data) if event else b"data: %b\n\n" % data


_MESSAGES = {
    400: "The request is not valid.",
    401: "The API key is not valid.",
    402: "The balance of the account is too low.",
    403: "The API key may not use this.",
    404: "The model does not exist.",
    413: "The request is too large.",
    429: "Rate limit reached. Please try again later.",
    500: "The server had an error while processing your request.",
    503: "The server is overloaded or not ready yet.",
    504: "The request timed out.",
    529: "Overloaded",
}
