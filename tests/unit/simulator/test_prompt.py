"""Where the simulator finds its directive: in the last thing said from the user's side."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.prompt import last_user_text

ASKED = {"role": "user", "content": "[[sim tool=shell]]"}


@pytest.mark.parametrize(
    "result",
    [
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
        {"role": "function", "name": "shell", "content": "done"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}]},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"},
    ],
)
def test_a_tools_result_is_newer_than_the_prompt_that_called_it(result: dict[str, Any]) -> None:
    assert last_user_text([ASKED, {"role": "assistant", "content": ""}, result]) == "done"


def test_a_system_message_after_the_prompt_does_not_hide_it() -> None:
    later = {"role": "system", "content": [{"type": "text", "text": "You are in a directory."}]}
    assert last_user_text([ASKED, later]) == "[[sim tool=shell]]"
