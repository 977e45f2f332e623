"""What has to be known of a statement before the engine gets it: does data follow it, may its answer be streamed?

The engine takes an INSERT's data apart from its text, so the two must be cut exactly where ClickHouse's own parser
cuts: behind `FORMAT <name>`, blanks, and one newline (ParserInsertQuery.cpp). The data may be
binary and is never scanned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.local.clickhouse_bridge.errors import SYNTAX_ERROR, own_error

# Formats whose chunks, one after the other, are the whole answer; others (JSON, Arrow, Parquet) have a head and a foot.
_CONCATENABLE = frozenset({"native", "rowbinary", "tabseparated", "tsv", "csv", "jsoneachrow"})
_TOKEN = re.compile(
    rb"""(?P<blank>\s+ | --[^\n]* | \#[ !][^\n]* | /\*.*?\*/)
       | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
       | (?P<quoted>'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*`)
       | (?P<open>\() | (?P<close>\))
       | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_BEFORE_DATA = re.compile(rb"[ \t\f]*;?[ \t\f]*\r?\n?")


@dataclass(frozen=True, slots=True)
class InsertData:
    """`INSERT INTO ... FORMAT format` with its data; `header` is the text before FORMAT."""

    header: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PlainStatement:
    """Everything else, data in VALUES included. `format` is the one its text names, if it does."""

    sql: str
    format: str | None
    is_select: bool

    def is_streamable(self, default_format: str) -> bool:
        return self.is_select and (self.format or default_format).lower() in _CONCATENABLE


def parse_statement(text: bytes) -> InsertData | PlainStatement:
    """Raises EngineError when the text is not UTF-8 (an INSERT's data may be anything)."""
    tokens = _words_outside_parentheses(text)
    first, _ = next(tokens, ("", 0))
    if first == "INSERT":
        return _insert_data(text, tokens) or PlainStatement(_decode(text), None, False)
    return PlainStatement(_decode(text), _output_format(tokens), first in ("SELECT", "WITH", "("))


def _insert_data(text: bytes, words: Iterator[tuple[str, int]]) -> InsertData | None:
    """None for INSERT ... VALUES, SELECT or FROM INFILE, which the engine runs as they are."""
    for word, start in words:
        if word in ("VALUES", "SELECT", "WITH", "FROM", "("):
            if word == "(":
                continue  # the list of columns
            return None
        if word == "FORMAT":
            name = re.compile(rb"\s*([A-Za-z_][A-Za-z0-9_]*)").match(text, start + len(word))
            if name is None or name.group(1).upper() == b"VALUES":
                return None
            blanks = _BEFORE_DATA.match(text, name.end())
            assert blanks is not None  # matches the empty string
            return InsertData(_decode(text[:start]), name.group(1).decode(), text[blanks.end() :])
    return None


def _output_format(words: Iterator[tuple[str, int]]) -> str | None:
    """The word behind the last FORMAT: `SELECT ... FORMAT JSON SETTINGS ...`."""
    found, previous = None, ""
    for word, _ in words:
        if previous == "FORMAT" and word != "(":
            found = word
        previous = word
    return found


def _words_outside_parentheses(text: bytes) -> Iterator[tuple[str, int]]:
    """Keywords and names in upper case with their offsets; an opening parenthesis stands for what it encloses."""
    depth = 0
    position = 0
    while (token := _TOKEN.match(text, position)) is not None:
        kind = token.lastgroup
        if kind == "open":
            if depth == 0:
                yield "(", position
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "word" and depth == 0:
            yield token.group().decode().upper(), position
        position = token.end()


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise own_error(SYNTAX_ERROR, "SYNTAX_ERROR", f"The statement is not UTF-8: {error}") from error
