"""Provider keys: read from where the catalog points, kept out of every log, repr and error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_FILE_BYTES_MAX = 64 * 1024


class SecretUnavailable(Exception):
    """The text names the reference and what is wrong with it, never the value."""


class Secret:
    """A key. Only `reveal` shows it, to the headers of a request."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value.encode("ascii")

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    __hash__ = None  # type: ignore[assignment]


def resolve_secret(reference: str, environ: Mapping[str, str] = os.environ) -> Secret:
    """The secret behind `env:NAME` or `file:PATH`, without surrounding whitespace. Files are read anew each time.

    Raises SecretUnavailable.
    """
    kind, _, place = reference.partition(":")
    if kind == "env":
        value = environ.get(place)
        if value is None:
            raise SecretUnavailable(f"secret {reference} is not set")
    else:
        value = _read(reference, Path(place))
    value = value.strip()
    if not value:
        raise SecretUnavailable(f"secret {reference} is empty")
    if not value.isascii() or not value.isprintable():
        raise SecretUnavailable(f"secret {reference} cannot be sent in a header")
    return Secret(value)


def _read(reference: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX).decode("utf-8")
    except FileNotFoundError:
        raise SecretUnavailable(f"secret {reference} does not exist") from None
    except UnicodeDecodeError:
        raise SecretUnavailable(f"secret {reference} is not text") from None
    except OSError as error:
        raise SecretUnavailable(f"secret {reference} cannot be read: {error.strerror}") from None
