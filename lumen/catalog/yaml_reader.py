"""YAML (or JSON) text -> plain data that remembers the line of every field.

Stricter and more exact than a stock loader: keys are unique, only true/false are booleans (YAML 1.2; `no` and `on` stay
text), and a number with a fraction becomes a Decimal of its own text, so a price never passes through a float. Size,
depth and the work that anchors can multiply are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import yaml

from lumen.catalog.problems import CatalogError, Path, Problem, field_name

TEXT_CHARS_MAX = 4 * 1024 * 1024
_NODES_MAX = 200_000
_DEPTH_MAX = 32

_TAG = "tag:yaml.org,2002:"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = {"", "~", "null", "Null", "NULL"}
_JSON_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\.", re.DOTALL)


class Document:
    """`data`: dicts, lists, str, int, Decimal, bool, None. `line_of(path)`: 1-based, of the nearest existing field."""

    def __init__(self, data: Any, lines: dict[Path, int]) -> None:
        self.data = data
        self._lines = lines

    def line_of(self, path: Path) -> int:
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def read(text: str, source_name: str) -> Document:
    """Raises CatalogError: not YAML, or a key twice (every such key is named)."""
    if len(text) > TEXT_CHARS_MAX:
        raise CatalogError(source_name, [Problem(1, "", f"longer than {TEXT_CHARS_MAX} characters")])
    try:
        root = yaml.compose(_as_yaml(text), Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.problem, error.context) if part) or "not YAML"
        raise CatalogError(source_name, [Problem(mark.line + 1 if mark else 1, "", message)]) from None
    except (yaml.YAMLError, UnicodeError, RecursionError):
        raise CatalogError(source_name, [Problem(1, "", "not YAML: characters or nesting out of bounds")]) from None
    if root is None:
        raise CatalogError(source_name, [Problem(1, "", "the file is empty")])
    converter = _Converter()
    data = converter.convert(root, (), 0)
    if converter.problems:
        raise CatalogError(source_name, converter.problems)
    return Document(data, converter.lines)


def _as_yaml(text: str) -> str:
    """JSON is YAML but for two details: tabs between tokens, and characters escaped as surrogate pairs."""
    if not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return text

    def join(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        return chr(0x10000 + ((int(match[1], 16) - 0xD800) << 10) + int(match[2], 16) - 0xDC00)

    return _JSON_SURROGATES.sub(join, text).replace("\t", " ")


class _Converter:
    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._nodes = 0

    def convert(self, node: yaml.Node, path: Path, depth: int) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._nodes += 1
        if depth > _DEPTH_MAX or self._nodes > _NODES_MAX:
            if not self.problems or self.problems[-1].message != "nested too deeply or too large":
                self.problems.append(Problem(line, field_name(path), "nested too deeply or too large"))
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[yaml.MappingNode] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _TAG + "merge":
                merged.extend(_merged(value_node))
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(line, field_name(path), "a key must be a plain word"))
                continue
            key = key_node.value
            if key in result:
                self.problems.append(Problem(line, field_name((*path, key)), "given twice"))
                continue
            self.lines[(*path, key)] = line
            result[key] = self.convert(value_node, (*path, key), depth + 1)
        for mapping in merged:  # YAML merge keys: what is written here wins over what is merged in
            for key, value in self._mapping(mapping, path, depth + 1).items() if depth < _DEPTH_MAX else ():
                result.setdefault(key, value)
        return result


def _merged(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return (item for item in items if isinstance(item, yaml.MappingNode))


def _scalar(node: yaml.Node) -> str | int | Decimal | bool | None:
    text: str = node.value
    if node.tag == _TAG + "str" and getattr(node, "style", None) in ("'", '"', "|", ">"):
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return text
