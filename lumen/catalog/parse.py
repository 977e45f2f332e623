"""Catalog text -> Catalog, with every problem at once; and the catalog's canonical JSON."""

from __future__ import annotations

import json
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lumen.catalog.checks import check, did_you_mean
from lumen.catalog.document import Catalog, Channel, Group, Model
from lumen.catalog.problems import CatalogError, Path, Problem, field_name
from lumen.catalog.yaml_reader import Document, read

__all__ = ["CatalogError", "Problem", "catalog_from_json", "catalog_to_json", "parse_catalog"]

_Part = TypeVar("_Part", Model, Group, Channel)

# pydantic's error type -> our words; the rest keep pydantic's own.
_MESSAGES = {
    "missing": "required",
    "string_type": "must be text; put it in quotes",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of fields",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
    "string_pattern_mismatch": "must start with a letter or digit; then letters, digits and . _ - (in model codes "
    "also : / @ +)",
}


def parse_catalog(text: str, source_name: str) -> Catalog:
    """Read and check a whole catalog, YAML or JSON. `source_name` is for messages.

    Raises CatalogError with all problems: syntax first and alone (nothing else can be known), then those of every part
    together with what the parts say about one another.
    """
    return _Parser(read(text, source_name), source_name).parse()


def catalog_to_json(catalog: Catalog) -> bytes:
    """Canonical: every field, keys sorted, no spaces. Equal catalogs give equal bytes."""
    value = catalog.model_dump(mode="json")
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def catalog_from_json(data: bytes) -> Catalog:
    """What `catalog_to_json` wrote, here or in a newer release (whose new fields are ignored, so that a rolling
    upgrade can push to old processes). Raises ValueError."""
    return Catalog.model_validate_json(data, extra="ignore")


class _Parser:
    def __init__(self, document: Document, source_name: str) -> None:
        self._document = document
        self._source_name = source_name
        self._problems: list[Problem] = []

    def parse(self) -> Catalog:
        data = self._document.data
        if not isinstance(data, dict):
            self._add((), "a catalog is a mapping with models, groups and channels")
            raise CatalogError(self._source_name, self._problems)
        for key in data:
            if key not in Catalog.model_fields:
                self._add((key,), "unknown field" + did_you_mean(key, Catalog.model_fields))
        models = self._parts("models", data, Model)
        groups = self._parts("groups", data, Group)
        channels = self._parts("channels", data, Channel)
        for path, message in check(data):
            self._add(path, message)
        if self._problems:
            raise CatalogError(self._source_name, self._problems)
        return Catalog(models=models, groups=groups, channels=channels)

    def _parts(self, section: str, data: dict[str, Any], part: type[_Part]) -> tuple[_Part, ...]:
        items = data.get(section)
        if section not in data:
            self._add((section,), "required")
        elif not isinstance(items, list):
            self._add((section,), "must be a list")
        elif not items and section != "channels":
            self._add((section,), "must not be empty")
        valid: list[_Part] = []
        for index, item in enumerate(items if isinstance(items, list) else ()):
            try:
                valid.append(part.model_validate(item))
            except ValidationError as error:
                for detail in error.errors(include_url=False, include_input=False):
                    self._add_detail((section, index), part, detail)
        return tuple(valid)

    def _add_detail(self, path: Path, part: type[BaseModel], detail: ErrorDetails) -> None:
        where = tuple(item for item in detail["loc"] if item != "[key]")
        message = detail["msg"]
        if detail["type"] in _MESSAGES:
            message = _MESSAGES[detail["type"]].format_map(detail.get("ctx", {}))
        elif detail["type"] == "value_error":
            message = str(detail["ctx"]["error"])
        elif detail["type"] == "literal_error":
            expected = detail["ctx"]["expected"].replace("'", "")
            is_key = detail["loc"][-1] == "[key]"
            message = f"{'unknown; ' if is_key else ''}must be {expected}"
        elif detail["type"] == "extra_forbidden":
            message = "unknown field" + did_you_mean(str(where[-1]), _fields_at(part, where[:-1]))
        self._add((*path, *where), message)

    def _add(self, path: Path, message: str) -> None:
        self._problems.append(Problem(self._document.line_of(path), field_name(path), message))


def _fields_at(part: type[BaseModel], path: Path) -> list[str]:
    """The fields of the object at `path` inside a part."""
    for step in path:
        if isinstance(step, int):
            continue
        annotation = part.model_fields[step].annotation
        inner = next((a for a in (annotation, *get_args(annotation)) if _is_part(a)), None)
        if inner is None:
            return []
        part = inner
    return list(part.model_fields)


def _is_part(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
