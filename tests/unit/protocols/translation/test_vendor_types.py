"""What we send upstream, held against the vendors' own request types: every golden body, unknown members forbidden."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import types

from lumen.protocols.dialects import Dialect
from tests.unit.protocols.translation.golden import golden_path, request_cases

_MEMBERS: dict[str, Any] = {
    "systemInstruction": types.Content,
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
}
_LISTS: dict[str, Any] = {"contents": types.Content, "tools": types.Tool}

GEMINI = [(client, behaviour) for client, behaviour, upstream in request_cases() if upstream is Dialect.GEMINI_GENERATE]


@pytest.mark.parametrize(("client", "behaviour"), GEMINI)
def test_gemini_knows_every_member(client: Dialect, behaviour: str) -> None:
    golden = json.loads(golden_path(client, behaviour, Dialect.GEMINI_GENERATE).read_text())
    if "body" not in golden:
        assert "refused" in golden or "invalid" in golden
        return
    for name, value in golden["body"].items():
        if name in _LISTS:
            for item in value:
                _LISTS[name].model_validate(item)
        else:
            _MEMBERS[name].model_validate(value)


def test_the_types_forbid_unknown_members() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        types.Content.model_validate({"role": "user", "parts": [{"nonsense": 1}]})
