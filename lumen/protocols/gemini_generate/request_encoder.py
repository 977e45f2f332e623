"""The canonical request -> the body of generateContent and streamGenerateContent.

The model and whether it streams are in the path (`endpoint.py`). https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lumen.protocols.canonical.content import Opaque
from lumen.protocols.canonical.request import Request
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.gemini_generate.contents import encode_contents
from lumen.protocols.gemini_generate.generation import encode_generation
from lumen.protocols.gemini_generate.tools import encode_tools

# Members of a Responses request that lean on what OpenAI has stored.
_STORED_MEMBERS = ("previous_response_id", "conversation", "background")
_STORED_ITEM = "item_reference"


def encode_request(request: Request, target: Target) -> bytes:
    """Raises Unsupported for what Gemini cannot express and must not be left out; hints go to `target.dropped`."""
    _refuse(request)
    _note_dropped(request, target)
    body: dict[str, Any] = {"contents": encode_contents(request, target)}
    if parts := [{"text": block.text} for block in request.system if block.text]:
        body["systemInstruction"] = {"parts": parts}
    body |= encode_tools(request, target)
    if config := encode_generation(request, target):
        body["generationConfig"] = config
    return msgspec.json.encode(body)


def _refuse(request: Request) -> None:
    members: Mapping[str, Any] = request.extras.members if request.extras else {}
    if request.extras is not None and request.extras.dialect is Dialect.OPENAI_RESPONSES:
        stored = next((name for name in _STORED_MEMBERS if members.get(name)), None)
        if stored is None and members.get("store") is True:
            stored = "store"
        if stored is not None:
            _refuse_stored(stored)
    blocks = (block for turn in request.turns for block in turn.content)
    if any(isinstance(block, Opaque) and block.kind == _STORED_ITEM for block in blocks):
        _refuse_stored("input")
    if any(modality != "text" for modality in request.modalities):
        raise Unsupported("audio_output", "This model's answers are text only.", "modalities")


def _refuse_stored(param: str) -> None:
    message = f"`{param}` needs a conversation stored at the provider, which this model's does not offer."
    raise Unsupported("stored_conversations", message, param)


def _note_dropped(request: Request, target: Target) -> None:
    is_cached = request.cache is not None or any(block.cache for block in request.system)
    said = {
        "cache_control": is_cached,
        "citations": any(block.citations for block in request.system),
        "prompt_cache_key": request.prompt_cache_key,
        "user": request.user,
        "metadata": request.metadata,
        "service_tier": request.service_tier not in (None, "auto", "default"),
        "verbosity": request.verbosity,
    }
    for feature, value in said.items():
        if value:
            target.drop(feature)
