"""Catalogs for tests, built from parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lumen.catalog.document import Catalog, Channel, Group, Model
from lumen.catalog.parse import parse_catalog

ISSUE_EXAMPLE = Path(__file__).with_name("issue_example.yaml")


def model(code: str, **fields: Any) -> Model:
    values = {"name": code, "vendor": "v", "max_output_tokens": 100, "price": {"input": "1", "output": "2"}}
    return Model.model_validate({"code": code} | values | fields)


def group(name: str, **fields: Any) -> Group:
    return Group.model_validate({"name": name} | fields)


def channel(name: str, *codes: str, **fields: Any) -> Channel:
    values = {"dialects": {"openai_chat": "http://h/v1"}, "secret": "env:K", "models": {code: code for code in codes}}
    return Channel.model_validate({"name": name} | values | fields)


def catalog(models: list[Model], groups: list[Group], channels: list[Channel]) -> Catalog:
    return Catalog(models=tuple(models), groups=tuple(groups), channels=tuple(channels))


def issue_example() -> Catalog:
    return parse_catalog(ISSUE_EXAMPLE.read_text(), ISSUE_EXAMPLE.name)
