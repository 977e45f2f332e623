"""How OpenAI's APIs word the refusal of a request; shared by Chat Completions and Responses."""

from __future__ import annotations

from typing import Any

from lumen.protocols.request_fields import InvalidRequest

_JSON_TYPES = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def not_json(detail: str) -> InvalidRequest:
    return InvalidRequest(
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library"
        " correctly. The API expects a JSON payload, but what was sent was not valid JSON: " + detail + ")"
    )


def missing(member: str) -> InvalidRequest:
    return InvalidRequest(f"Missing required parameter: '{member}'.", member, "missing_required_parameter")


def missing_chat(member: str) -> InvalidRequest:
    """Chat Completions words this one differently."""
    if member == "model":
        return InvalidRequest("you must provide a model parameter")
    return missing(member)


def empty(member: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid '{member}': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        member,
        "empty_string",
    )


def wrong_type(member: str, expected: str, value: Any) -> InvalidRequest:
    article = "an" if expected[0] in "aio" else "a"
    return InvalidRequest(
        f"Invalid type for '{member}': expected {article} {expected}, but got {_type_name(value)} instead.",
        member,
        "invalid_type",
    )


def below_minimum(member: str, minimum: int, value: int) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid '{member}': integer below minimum value. Expected a value >= {minimum}, but got {value} instead.",
        member,
        "integer_below_min_value",
    )


def above_maximum(member: str, maximum: int, value: int) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid '{member}': integer above maximum value. Expected a value <= {maximum}, but got {value} instead.",
        member,
        "integer_above_max_value",
    )


def _type_name(value: Any) -> str:
    return next((name for kind, name in _JSON_TYPES if isinstance(value, kind)), "null")
