"""The demo catalog, with what the bench needs besides: channels without a limit that load would meet, and a model that
only Anthropic's dialect reaches, so that a chat client's stream is translated."""

from __future__ import annotations

from typing import Any

import yaml

from tests.fixtures.stack import Stack
from tests.load import stamped_upstream

TRANSLATED_MODEL = "bench-translated"
_UPSTREAM_MODEL = "claude-sonnet-4-6"
_CONCURRENCY = 16_384


def apply_bench_catalog(stack: Stack, *, stamped_port: int | None = None) -> None:
    """`stamped_port`: also the model of `stamped_upstream`, which listens there."""
    catalog: dict[str, Any] = yaml.safe_load((stack.state_dir / "catalog.yaml").read_text())
    for channel in catalog["channels"]:
        channel["limits"] = {"concurrency": _CONCURRENCY}
    model = next(each for each in catalog["models"] if each["code"] == _UPSTREAM_MODEL)
    catalog["models"].append({**model, "code": TRANSLATED_MODEL, "name": "translated", "aliases": []})
    channel = catalog["channels"][0]
    dialects = {"anthropic_messages": channel["dialects"]["anthropic_messages"]}
    models = {TRANSLATED_MODEL: _UPSTREAM_MODEL}
    catalog["channels"].append({**channel, "name": TRANSLATED_MODEL, "dialects": dialects, "models": models})
    if stamped_port is not None:
        catalog["models"].append({**model, "code": stamped_upstream.MODEL, "name": "stamped", "aliases": []})
        dialects = {"openai_chat": f"http://127.0.0.1:{stamped_port}/v1"}
        models = {stamped_upstream.MODEL: "m"}
        catalog["channels"].append({**channel, "name": "stamped", "dialects": dialects, "models": models})
    stack.admin("POST", "/catalog", {"content": yaml.safe_dump(catalog), "source_name": "bench"})
