"""A conversation's key, and the channel it ranks highest."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from services.edge.routing.affinity import conversation_key, rank, salt

USER = "Why is the sky blue?"


def key(document: dict[str, Any], account: str = "a", **options: Any) -> int:
    return conversation_key(account, json.dumps(document, **options).encode())


CHAT = {"model": "m", "messages": [{"role": "user", "content": USER}]}
SAME_TEXT = [
    {"model": "m", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": USER}]},
    {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": USER}]}]},
    {"max_tokens": 9, "system": "Be brief.", "messages": [{"role": "user", "content": USER}]},
    {"model": "m", "input": USER},
    {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": USER}]}]},
    {"model": "m", "input": [{"type": "message", "role": "user", "content": USER}]},
]


@pytest.mark.parametrize("document", SAME_TEXT)
def test_every_dialect_gives_the_same_key(document: dict[str, Any]) -> None:
    assert key(document) == key(CHAT) != 0
    assert key(document, separators=(",", ":")) == key(CHAT)


def test_later_turns_keep_the_key() -> None:
    messages = [{"role": "user", "content": USER}]
    for turn in range(5):
        messages += [{"role": "assistant", "content": f"answer {turn}"}, {"role": "user", "content": f"and {turn}?"}]
        assert key({"model": "m", "messages": messages}) == key(CHAT)


def test_other_texts_and_other_accounts_have_other_keys() -> None:
    texts = {key({"messages": [{"role": "user", "content": f"question {number}"}]}) for number in range(1000)}
    assert len(texts) > 995
    assert key(CHAT, "b") != key(CHAT, "a")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"messages": []}', b'{"input": 5}', b"\xff" * 100, b'"user"'])
def test_no_text_is_no_key(body: bytes) -> None:
    assert conversation_key("a", body) == 0


def test_a_long_system_prompt_is_the_key_itself() -> None:
    system = {"role": "system", "content": "x" * 20_000}
    first, second = ({"messages": [system, {"role": "user", "content": text}]} for text in ("one", "two"))
    assert key(first) == key(second) != 0


def home(value: int, weights: dict[str, int]) -> str:
    return max(weights, key=lambda name: rank(value, salt(name), weights[name]))


@pytest.mark.parametrize("weights", [{"a": 1, "b": 1}, {"a": 1, "b": 3}, {"a": 1, "b": 2, "c": 3, "d": 10}])
def test_channels_get_their_weights_share_of_the_conversations(weights: dict[str, int]) -> None:
    keys = [key({"messages": [{"role": "user", "content": f"question {number}"}]}) for number in range(8000)]
    found = Counter(home(value, weights) for value in keys)
    for name, weight in weights.items():
        assert found[name] / len(keys) == pytest.approx(weight / sum(weights.values()), abs=0.025)


def test_a_channel_that_goes_moves_only_its_own_conversations() -> None:
    weights = {"a": 1, "b": 2, "c": 1}
    rest = {"a": 1, "c": 1}
    for value in range(1, 3000):
        before = home(value, weights)
        if before != "b":
            assert home(value, rest) == before
