from __future__ import annotations

import pytest

from lumen.catalog.document import Dialect
from services.edge.provider_workers.endpoints import RequestHeaders, split_base_url
from services.edge.provider_workers.secrets import Secret


def merged(dialect: Dialect, *own: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    static, rest = RequestHeaders(dialect, Secret("k"), b"lumen/1").merge(list(own))
    names = [name for name, _ in [*static.items, *rest]]
    assert len(names) == len(set(names))
    return dict([*static.items, *rest])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.openai.com/v1", ("https://api.openai.com", b"/v1")),
        ("https://api.anthropic.com", ("https://api.anthropic.com", b"")),
        ("http://[::1]:8080/a/b/", ("http://[::1]:8080", b"/a/b")),
        ("http://h/a b", ("http://h", b"/a%20b")),
    ],
)
def test_base_url_is_an_origin_and_a_path(url: str, expected: tuple[str, bytes]) -> None:
    assert split_base_url(url) == expected


@pytest.mark.parametrize(
    ("dialect", "name", "value"),
    [
        ("openai_chat", b"authorization", b"Bearer k"),
        ("openai_responses", b"authorization", b"Bearer k"),
        ("anthropic_messages", b"x-api-key", b"k"),
        ("gemini_generate", b"x-goog-api-key", b"k"),
    ],
)
def test_each_dialect_authenticates_its_own_way(dialect: Dialect, name: bytes, value: bytes) -> None:
    headers = merged(dialect)
    assert headers[name] == value
    assert len(headers.keys() & {b"authorization", b"x-api-key", b"x-goog-api-key"}) == 1


def test_defaults_are_complete() -> None:
    assert merged("anthropic_messages") == {
        b"x-api-key": b"k",
        b"accept-encoding": b"identity",
        b"content-type": b"application/json",
        b"user-agent": b"lumen/1",
        b"accept": b"*/*",
        b"anthropic-version": b"2023-06-01",
    }


def test_callers_headers_replace_defaults() -> None:
    own = [(b"anthropic-version", b"2099-01-01"), (b"user-agent", b"claude"), (b"anthropic-beta", b"x")]
    headers = merged("anthropic_messages", *own)
    assert headers.items() >= set(own)
    assert headers[b"x-api-key"] == b"k"


def test_callers_credentials_and_framing_never_go_upstream() -> None:
    own = [
        (b"authorization", b"Bearer sk-lumen-1"),
        (b"x-api-key", b"sk-lumen-1"),
        (b"cookie", b"a=b"),
        (b"content-length", b"999"),
        (b"transfer-encoding", b"chunked"),
        (b"host", b"evil"),
        (b"accept-encoding", b"br"),
        (b"x-kept", b"1"),
    ]
    for dialect in ("openai_chat", "anthropic_messages", "gemini_generate"):
        headers = merged(dialect, *own)
        assert b"sk-lumen-1" not in b" ".join(headers.values())
        assert not headers.keys() & {b"cookie", b"content-length", b"transfer-encoding", b"host"}
        assert headers[b"accept-encoding"] == b"identity"
        assert headers[b"x-kept"] == b"1"


def test_encoded_defaults_are_kept_and_bounded() -> None:
    request_headers = RequestHeaders("openai_chat", Secret("k"), b"lumen/1")
    first, _ = request_headers.merge([(b"accept", b"a"), (b"user-agent", b"b")])
    again, _ = request_headers.merge([(b"user-agent", b"c"), (b"accept", b"d"), (b"accept", b"e")])
    assert first is again
