"""Names of tools for upstreams without namespaces, and back."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from lumen.protocols.canonical.request import CustomTool, FunctionTool, Request
from lumen.protocols.dialects import Dialect
from lumen.protocols.tool_names import ANTHROPIC_CHARS_MAX, OPENAI_CHARS_MAX, flat_name, original_name


def request(*tools: FunctionTool | CustomTool) -> Request:
    return Request(Dialect.OPENAI_RESPONSES, "m", (), tools=tools)


def test_ordinary_names_stay() -> None:
    assert flat_name(None, "apply_patch") == "apply_patch"
    assert original_name(request(), "apply_patch") == (None, "apply_patch")


def test_a_namespace_is_put_before_the_name() -> None:
    assert flat_name("mcp-git", "log") == "mcp-git__log"
    assert original_name(request(FunctionTool("log", namespace="mcp-git")), "mcp-git__log") == ("mcp-git", "log")


def test_names_that_become_alike_stay_apart() -> None:
    assert flat_name(None, "a.b") != flat_name(None, "a:b") != flat_name(None, "a_b")


def test_a_name_may_be_too_long_for_one_vendor_only() -> None:
    name = "n" * 100
    assert flat_name(None, name, ANTHROPIC_CHARS_MAX) == name
    assert len(flat_name(None, name, OPENAI_CHARS_MAX)) == OPENAI_CHARS_MAX


@given(
    st.text(max_size=20), st.text(min_size=1, max_size=200), st.sampled_from([OPENAI_CHARS_MAX, ANTHROPIC_CHARS_MAX])
)
def test_any_name_is_accepted_and_comes_back(namespace: str, name: str, chars_max: int) -> None:
    flat = flat_name(namespace or None, name, chars_max)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", flat)
    assert len(flat) <= chars_max
    tool = CustomTool(name, namespace=namespace or None)
    assert original_name(request(tool), flat) == (namespace or None, name)
