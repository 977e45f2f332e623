"""What a stream tap asks of a dialect: which reads may matter, and what a frame that does means."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar

from lumen.money.usage import TokenUsage
from lumen.protocols.error_kinds import ApiError, ErrorKind
from lumen.protocols.provider_values import UpstreamProtocolError as UpstreamProtocolError
from lumen.protocols.provider_values import decode_object
from lumen.protocols.upstream_errors import FAILED_MESSAGE, UpstreamMessage, message_of, sanitise, speaks_of_account


class Verdict(Enum):
    RELAY = auto()
    HOLD = auto()  # this frame and everything after it waits for the entry
    KEEP_BACK = auto()  # the reader keeps it and gives it back in `closing`
    FAIL = auto()  # the frame is an error; nothing after it counts


# Substrings of the provider's `code` and `type`.
_KIND_BY_SIGN = (
    ("overloaded", ErrorKind.OVERLOADED),
    ("rate_limit", ErrorKind.RATE_LIMIT),
    ("timeout", ErrorKind.UPSTREAM_TIMEOUT),
    ("invalid_request", ErrorKind.INVALID_REQUEST),
    ("invalid_prompt", ErrorKind.INVALID_REQUEST),
    ("context_length", ErrorKind.INVALID_REQUEST),
    # Gemini's `status`.
    ("unavailable", ErrorKind.OVERLOADED),
    ("resource_exhausted", ErrorKind.RATE_LIMIT),
    ("deadline_exceeded", ErrorKind.UPSTREAM_TIMEOUT),
    ("invalid_argument", ErrorKind.INVALID_REQUEST),
)


@dataclass(frozen=True, slots=True)
class UpstreamStreamError:
    """A provider's error inside a 200: its own words, not sanitised."""

    said: UpstreamMessage

    @property
    def is_account_fault(self) -> bool:
        """Our account at the provider is at fault; another channel may do better."""
        return speaks_of_account(self.said)

    def api_error(self) -> ApiError:
        """For the client, in the provider's words without what they give away."""
        if self.is_account_fault:
            return ApiError(ErrorKind.UPSTREAM_FAILED, FAILED_MESSAGE)
        words = f"{self.said.code} {self.said.type}".lower()
        kind = next((kind for sign, kind in _KIND_BY_SIGN if sign in words), ErrorKind.UPSTREAM_FAILED)
        return ApiError(kind, sanitise(self.said.message) or FAILED_MESSAGE)


class StreamReader(ABC):
    """State of one stream. Frames come in order, each once; frames that cannot decide anything are not shown."""

    # Matches the generated text in a frame, group 1 being the text as JSON has it.
    TEXT: ClassVar[re.Pattern[bytes]]

    def __init__(self) -> None:
        self.usage: TokenUsage | None = None
        self.anomalies = 0
        self.finish_reason: str | None = None
        self.response_id: str | None = None
        self.error: UpstreamStreamError | None = None
        self.is_complete = False  # nothing of the answer is missing
        self.is_ended = False  # nothing more can come

    @abstractmethod
    def may_decide(self, data: bytes) -> bool:
        """Whether a read of complete frames has to be looked into. False positives cost time, false negatives money.

        An exact byte search for a quoted name is sound: inside a JSON string every quote has a backslash before it, so
        `"name"` in the raw bytes is a whole JSON token and never a part of what the model wrote.
        """

    @abstractmethod
    def read(self, frame: bytes, data: bytes) -> Verdict:
        """`data` is what the frame says."""

    def closing(self, held: list[bytes]) -> bytes:
        """What the client gets at the end, from the frames that were held."""
        return b"".join(held)

    def supply_usage(self, usage: TokenUsage) -> None:
        """Lumen's own figures, where the provider reported none."""
        self.usage = usage

    def decode_object(self, data: bytes) -> dict[str, Any] | None:
        """None, and an anomaly, for what is no JSON object."""
        payload = decode_object(data)
        self.anomalies += payload is None
        return payload

    def fail(self, payload: Any) -> Verdict:
        self.error = UpstreamStreamError(message_of(payload))
        self.is_ended = True
        return Verdict.FAIL
