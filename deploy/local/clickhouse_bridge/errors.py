"""What the engine refuses, and the HTTP status that ClickHouse's server gives it.

Source: ClickHouse src/Server/HTTP/exceptionCodeToHTTPStatus.cpp and src/Common/ErrorCodes.cpp.
"""

from __future__ import annotations

import re

SYNTAX_ERROR = 62
NOT_IMPLEMENTED = 48
TOO_MANY_SIMULTANEOUS_QUERIES = 202
UNKNOWN_COMPRESSION_METHOD = 89
QUERY_IS_TOO_LARGE = 223
TIMEOUT_EXCEEDED = 159
STD_EXCEPTION = 1001
# Cannot parse, syntax, bad arguments, type mismatch, wrong number of columns ... : what the caller wrote is wrong.
_BAD_REQUEST = frozenset(
    {
        6,
        26,
        27,
        33,
        34,
        36,
        38,
        41,
        42,
        43,
        44,
        53,
        62,
        69,
        70,
        72,
        128,
        131,
        149,
        179,
        186,
        190,
        223,
        321,
        386,
        456,
        457,
    }
)
_NOT_FOUND = frozenset({46, 47, 50, 56, 60, 63, 73, 75, 81, 115, 511})
_OTHER_STATUS = {48: 501, 89: 415, 164: 403, 202: 503, 223: 413, 394: 499}
_CODE = re.compile(r"Code: (\d+)\. (?=DB::Exception)")


class EngineError(Exception):
    """A typed refusal: `code` is ClickHouse's error number, the text is worded as its server words it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        if self.code in _OTHER_STATUS:
            return _OTHER_STATUS[self.code]
        if self.code in _NOT_FOUND:
            return 404
        return 400 if self.code in _BAD_REQUEST else 500


def own_error(code: int, name: str, message: str) -> EngineError:
    """An error that the bridge raises itself, in the engine's wording."""
    return EngineError(code, f"Code: {code}. DB::Exception: {message}. ({name})")


def decode_error(error: Exception) -> EngineError:
    """The engine raises RuntimeError with `Code: 47. DB::Exception: ... (UNKNOWN_IDENTIFIER)` as its text."""
    text = str(error)
    found = _CODE.search(text)
    if found is None:
        return own_error(STD_EXCEPTION, "STD_EXCEPTION", text)
    return EngineError(int(found.group(1)), text[found.start() :])
