"""Sampling, limits and the output's form -> `generationConfig`. https://ai.google.dev/api/generate-content#GenerationConfig"""

from __future__ import annotations

from typing import Any

from lumen.protocols.canonical.request import OutputFormat, OutputKind, Request, Sampling
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.gemini_generate.schema import clean_schema
from lumen.protocols.gemini_generate.thinking import encode_thinking

_STOP_SEQUENCES_MAX = 5
_SEED_MIN, _SEED_MAX = -(2**31), 2**31 - 1


def encode_generation(request: Request, target: Target) -> dict[str, Any]:
    """Members that are not said are left to Gemini's defaults. Raises Unsupported."""
    config = _encode_sampling(request.sampling, target)
    cap = target.cap(request.max_output_tokens)
    if cap is not None:
        config["maxOutputTokens"] = cap
    if request.output is not None:
        config |= _encode_output(request.output)
    thinking = encode_thinking(request.thinking, target)
    if thinking is not None:
        config["thinkingConfig"] = thinking
    return config


def _encode_sampling(sampling: Sampling, target: Target) -> dict[str, Any]:
    if sampling.choices > 1:
        raise Unsupported("choices", "This model gives one answer at a time: `n` must be 1.", "n")
    if len(sampling.stop) > _STOP_SEQUENCES_MAX:
        message = f"This model takes at most {_STOP_SEQUENCES_MAX} stop sequences, got {len(sampling.stop)}."
        raise Unsupported("stop_sequences", message, "stop")
    if sampling.logit_bias:
        target.drop("logit_bias")
    if sampling.logprobs or sampling.top_logprobs:
        target.drop("logprobs")
    seed = sampling.seed
    if seed is not None and not _SEED_MIN <= seed <= _SEED_MAX:
        target.drop("seed")
        seed = None
    members = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "seed": seed,
        "stopSequences": list(sampling.stop) or None,
        # Many models refuse any penalty, while clients spell out zero, which is none.
        "presencePenalty": sampling.presence_penalty or None,
        "frequencyPenalty": sampling.frequency_penalty or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def _encode_output(output: OutputFormat) -> dict[str, Any]:
    if output.kind is OutputKind.TEXT:
        return {}
    members: dict[str, Any] = {"responseMimeType": "application/json"}
    if output.kind is OutputKind.SCHEMA and output.schema is not None:
        schema = clean_schema(output.schema)
        if output.description:
            schema.setdefault("description", output.description)
        members["responseJsonSchema"] = schema
    return members
