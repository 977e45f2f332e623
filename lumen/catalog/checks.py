"""What the parts of a catalog say about one another: names unique, references known, base URLs as the SDKs take them.

Works on the plain data, beside the validation of each part, so that all problems come at once; anything of a wrong type
is skipped here and reported there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from lumen.catalog.document import ALL
from lumen.catalog.problems import Path

Finding = tuple[Path, str]  # where, and what is wrong there

_GLOB_CHARACTERS = frozenset("*?[")
# What a vendor's SDK appends by itself; a base URL that already has it would get it twice.
_APPENDED_PATHS: dict[str, tuple[str, ...]] = {
    "openai_chat": ("/chat/completions", "/chat"),
    "openai_responses": ("/responses",),
    "anthropic_messages": ("/v1/messages", "/messages", "/v1"),
    "gemini_generate": ("/v1beta/models", "/models", "/v1beta", "/v1"),
}


def check(data: dict[str, Any]) -> Iterator[Finding]:
    """`data`: the whole document, as read."""
    codes = {code for _, code in _field(data, "models", "code")}
    groups = {name for _, name in _field(data, "groups", "name")}
    yield from _check_unique(_field(data, "models", "code"), "code")
    yield from _check_unique(_field(data, "groups", "name"), "group")
    yield from _check_unique(_field(data, "channels", "name"), "channel")
    yield from _check_aliases(data)
    yield from _check_tiers(data)
    yield from _check_fallbacks(data, codes)
    for path, group in _items(data, "groups"):
        for where, pattern in _texts(group, path, "models"):
            if not _GLOB_CHARACTERS & set(pattern):
                yield from _check_known(where, pattern, codes, "no model has the code")
    for path, channel in _items(data, "channels"):
        yield from _check_channel(path, channel, codes, groups)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing."""
    close = get_close_matches(word, sorted(known), n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def _check_unique(names: Iterable[tuple[Path, str]], noun: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for path, name in names:
        if name in seen:
            yield path, f"the {noun} {name} is given twice"
        seen.add(name)


def _check_aliases(data: dict[str, Any]) -> Iterator[Finding]:
    """Codes and aliases share one namespace: either resolves a request."""
    owners = {code: f"the code of a model: {code}" for _, code in _field(data, "models", "code")}
    for path, model in _items(data, "models"):
        for where, alias in _texts(model, path, "aliases"):
            if alias in owners:
                yield where, f"already {owners[alias]}"
            owners.setdefault(alias, f"an alias of {model.get('code')}")


def _check_tiers(data: dict[str, Any]) -> Iterator[Finding]:
    for path, model in _items(data, "models"):
        seen: set[int] = set()
        for where, tier in _items(model, "tiers", path):
            above = tier.get("above_prompt_tokens")
            if isinstance(above, int):
                if above in seen:
                    yield (*where, "above_prompt_tokens"), "two tiers start at the same prompt size"
                seen.add(above)


def _check_fallbacks(data: dict[str, Any], codes: set[str]) -> Iterator[Finding]:
    for path, model in _items(data, "models"):
        seen = {model.get("code")}
        for where, code in _texts(model, path, "fallbacks"):
            yield from _check_known(where, code, codes, "no model has the code")
            if code in seen:
                yield where, "a model falls back to each other model at most once, and never to itself"
            seen.add(code)


def _check_channel(path: Path, channel: dict[str, Any], codes: set[str], groups: set[str]) -> Iterator[Finding]:
    served = [code for _, code, _ in _entries(channel, path, "models")]
    for where, code, _ in _entries(channel, path, "models"):
        yield from _check_known(where, code, codes, "no model has the code")
    for where, code, _ in _entries(channel, path, "cost"):
        yield from _check_known(where, code, served, "this channel does not serve")
    for where, group in _texts(channel, path, "groups"):
        if group != ALL:
            yield from _check_known(where, group, groups, "no group is called")
    for where, dialect, url in _entries(channel, path, "dialects"):
        yield from _check_base_url(where, dialect, url)


def _check_base_url(path: Path, dialect: str, url: object) -> Iterator[Finding]:
    if isinstance(url, str):
        ending = next((ending for ending in _APPENDED_PATHS.get(dialect, ()) if url.rstrip("/").endswith(ending)), None)
        if ending is not None:
            yield path, f"leave out the final {ending}; it is added, as the vendor's SDK does"


def _check_known(path: Path, word: str, known: Iterable[str], message: str) -> Iterator[Finding]:
    if word not in known:
        yield path, f"{message} {word}{did_you_mean(word, known)}"


def _items(data: dict[str, Any], field: str, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The mappings in a list."""
    items = data.get(field)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield (*path, field, index), item


def _field(data: dict[str, Any], section: str, field: str) -> Iterator[tuple[Path, str]]:
    """One text field of every mapping in a list."""
    for path, item in _items(data, section):
        if isinstance(item.get(field), str):
            yield (*path, field), item[field]


def _texts(item: dict[str, Any], path: Path, field: str) -> Iterator[tuple[Path, str]]:
    """The texts in a list."""
    values = item.get(field)
    for index, value in enumerate(values if isinstance(values, list) else ()):
        if isinstance(value, str):
            yield (*path, field, index), value


def _entries(item: dict[str, Any], path: Path, field: str) -> Iterator[tuple[Path, str, object]]:
    """The entries of a mapping."""
    values = item.get(field)
    for key, value in values.items() if isinstance(values, dict) else ():
        yield (*path, field, key), key, value
