"""Golden files: a client's request, and the body each other dialect makes of it.

`cases/<client>/<behaviour>.json` is the request; `golden/<client>/<behaviour>.<upstream>.json` what is expected. After
a change that is meant: `python -m tests.unit.protocols.translation.golden --write`, then read the diff.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.dialects import CLIENT_DIALECTS, Dialect
from lumen.protocols.request_fields import InvalidRequest
from lumen.protocols.translation import translate_request
from tests.unit.protocols.translation import answers

HERE = Path(__file__).parent
CASES = HERE / "cases"
GOLDEN = HERE / "golden"

# The model, and its vendor.
UPSTREAMS = {
    Dialect.OPENAI_CHAT: ("gpt-5.5", "openai"),
    Dialect.OPENAI_RESPONSES: ("gpt-5.5", "openai"),
    Dialect.ANTHROPIC_MESSAGES: ("claude-sonnet-4-5", "anthropic"),
    Dialect.GEMINI_GENERATE: ("gemini-3-pro-preview", "google"),
}


def request_cases() -> list[tuple[Dialect, str, Dialect]]:
    """(client, behaviour, upstream)"""
    return [
        (client, path.stem, upstream)
        for client in CLIENT_DIALECTS.values()
        for path in sorted((CASES / client.value).glob("*.json"))
        for upstream in UPSTREAMS
        if upstream is not client
    ]


def case(client: Dialect, behaviour: str) -> Any:
    return json.loads((CASES / client.value / f"{behaviour}.json").read_text())


def golden_path(client: Dialect, behaviour: str, upstream: Dialect) -> Path:
    return GOLDEN / client.value / f"{behaviour}.{upstream.value}.json"


def outcome(client: Dialect, behaviour: str, upstream: Dialect) -> dict[str, Any]:
    """What becomes of a case."""
    model, issuer = UPSTREAMS[upstream]
    target = Target(model, issuer, is_stream=True, max_output_tokens=8192)
    try:
        _, body = translate_request(client, case(client, behaviour), upstream, target)
    except Unsupported as refused:
        return {"refused": {"feature": refused.feature, "message": refused.message, "param": refused.param}}
    except InvalidRequest as invalid:
        return {"invalid": {"message": invalid.message, "param": invalid.param, "code": invalid.code}}
    return {"dropped": sorted(target.dropped), "body": json.loads(body)}


def text_of(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    for path in GOLDEN.rglob("*.*"):
        path.unlink()
    for client, behaviour, upstream in request_cases():
        path = golden_path(client, behaviour, upstream)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(outcome(client, behaviour, upstream)))
    answers.write()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="replace the golden files")
    parser.parse_args()
    write()
