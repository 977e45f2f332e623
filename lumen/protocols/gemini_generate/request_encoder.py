"""The canonical request -> the body of generateContent and streamGenerateContent.

The model and whether it streams are in the path (`dialects.upstream_path`). https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from typing import Any

import msgspec

from lumen.protocols.canonical.request import Request
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.gemini_generate.contents import encode_contents
from lumen.protocols.gemini_generate.generation import encode_generation
from lumen.protocols.gemini_generate.tools import encode_tools


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
    if any(modality != "text" for modality in request.modalities):
        raise Unsupported("audio_output", "This model's answers are text only.", "modalities")


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
