"""A client as strict as Codex: every rule of the Responses stream, checked on the bytes."""

from __future__ import annotations

import json
from typing import Any

from lumen.protocols.sse import split_frames

_DONE_MEMBERS = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_summary_text": "text",
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}


def read_events(data: bytes) -> list[dict[str, Any]]:
    """Every frame is `event:` and one `data:` line, the two of the same name, numbered from 0."""
    events = []
    for number, frame in enumerate(split_frames(data)):
        name, body, *rest = frame.decode().split("\n")
        assert rest == ["", ""]
        payload = json.loads(body.removeprefix("data: "))
        assert name == f"event: {payload['type']}"
        assert payload["sequence_number"] == number
        events.append(payload)
    return events


def assert_lifecycle(data: bytes) -> dict[str, Any]:
    """The terminal response."""
    events = read_events(data)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    client = _Client()
    for event in events[2:-1]:
        client.read(event)
    response: dict[str, Any] = events[-1]["response"]
    assert events[0]["response"]["id"] == response["id"]
    assert [client.done[index] for index in sorted(client.done)] == response["output"]
    assert set(client.added) == set(client.done) == set(range(len(response["output"])))
    assert len({item["id"] for item in response["output"]}) == len(response["output"])
    return response


class _Client:
    def __init__(self) -> None:
        self.added: dict[int, dict[str, Any]] = {}
        self.done: dict[int, dict[str, Any]] = {}
        self.parts: dict[tuple[Any, ...], str] = {}
        self.texts: dict[tuple[Any, ...], str] = {}
        self.finished: set[tuple[Any, ...]] = set()

    def read(self, event: dict[str, Any]) -> None:
        kind, index = event["type"], event["output_index"]
        assert index not in self.done, f"{kind} after its item was done"
        if kind == "response.output_item.added":
            assert index not in self.added
            self.added[index] = event["item"]
            return
        assert index in self.added, f"{kind} before its item was added"
        if kind == "response.output_item.done":
            assert (event["item"]["id"], event["item"]["type"]) == (self.added[index]["id"], self.added[index]["type"])
            assert {place for place in self.parts if place[0] == index} <= self.finished, "an open part"
            self.done[index] = event["item"]
            return
        assert event["item_id"] == self.added[index]["id"]
        self._read_part(event, (index, event.get("content_index"), event.get("summary_index")))

    def _read_part(self, event: dict[str, Any], place: tuple[Any, ...]) -> None:
        kind, _, step = event["type"].rpartition(".")
        if kind in ("response.content_part", "response.reasoning_summary_part"):
            if step == "added":
                assert place not in self.parts
                self.parts[place] = event["part"]["type"]
            else:
                assert event["part"]["type"] == self.parts[place]
                said = event["part"].get("text", event["part"].get("refusal"))
                assert said == self.texts.get(place, "")
                self.finished.add(place)
            return
        assert place in self.parts or "call" in kind, f"{kind} outside of a part"
        if step == "delta":
            assert event["delta"]
            self.texts[place] = self.texts.get(place, "") + event["delta"]
        elif step == "done":
            assert event[_DONE_MEMBERS[kind]] == self.texts.get(place, "")
        else:
            assert event["type"] == "response.output_text.annotation.added"
