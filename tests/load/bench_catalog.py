"""The demo catalog with the stamped provider of the bench of streams, and without a limit that its load would meet."""

from __future__ import annotations

from typing import Any

import yaml

from tests.fixtures.stack import Stack
from tests.load import stamped_upstream

_LIKE = "claude-sonnet-4-6"
_CONCURRENCY = 16_384


def apply_bench_catalog(stack: Stack, stamped_port: int) -> None:
    """`stamped_port`: where `stamped_upstream` listens."""
    catalog: dict[str, Any] = yaml.safe_load((stack.state_dir / "catalog.yaml").read_text())
    for channel in catalog["channels"]:
        channel["limits"] = {"concurrency": _CONCURRENCY}
    model = next(each for each in catalog["models"] if each["code"] == _LIKE)
    catalog["models"].append({**model, "code": stamped_upstream.MODEL, "name": "stamped", "aliases": []})
    dialects = {"openai_chat": f"http://127.0.0.1:{stamped_port}/v1"}
    models = {stamped_upstream.MODEL: "m"}
    catalog["channels"].append({**catalog["channels"][0], "name": "stamped", "dialects": dialects, "models": models})
    stack.admin("POST", "/catalog", {"content": yaml.safe_dump(catalog), "source_name": "bench"})
