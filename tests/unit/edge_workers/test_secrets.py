from __future__ import annotations

import logging
from pathlib import Path

import pytest

from services.edge.provider_workers.endpoints import RequestHeaders
from services.edge.provider_workers.secrets import Secret, SecretUnavailable, resolve_secret
from services.edge.provider_workers.transport import StaticHeaders


def test_secret_comes_from_the_environment() -> None:
    assert resolve_secret("env:KEY", {"KEY": "abc"}).reveal() == b"abc"


def test_secret_comes_from_a_file_without_its_newline_and_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("abc\n")
    assert resolve_secret(f"file:{path}").reveal() == b"abc"
    path.write_text("def\r\n")
    assert resolve_secret(f"file:{path}").reveal() == b"def"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "secret env:KEY is not set"),
        ("", "secret env:KEY is empty"),
        (" \n", "secret env:KEY is empty"),
        ("top\nsecret", "secret env:KEY cannot be sent in a header"),
        ("schlüssel", "secret env:KEY cannot be sent in a header"),
    ],
)
def test_unusable_secret_is_explained_without_its_value(value: str | None, reason: str) -> None:
    with pytest.raises(SecretUnavailable) as raised:
        resolve_secret("env:KEY", {} if value is None else {"KEY": value})
    assert str(raised.value) == reason


def test_unreadable_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable, match="does not exist"):
        resolve_secret(f"file:{tmp_path}/none")
    with pytest.raises(SecretUnavailable, match="cannot be read"):
        resolve_secret(f"file:{tmp_path}")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretUnavailable, match="is not text"):
        resolve_secret(f"file:{tmp_path}/binary")


def test_secret_shows_in_no_repr_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("hidden-value")
    headers = RequestHeaders("openai_chat", secret, b"lumen/1")
    static, _ = headers.merge([])
    logging.getLogger("test").warning("%s %r %s %s", secret, [secret], headers, static)
    assert b"hidden-value" in static.encoded
    assert "hidden-value" not in caplog.text
    assert "hidden-value" not in repr(StaticHeaders([(b"authorization", b"Bearer hidden-value")]))
