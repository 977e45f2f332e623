"""`<state-dir>/env`: how `lumen up` tells everybody where the stack is. Shell syntax: `export NAME=value` per line."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

DEFAULT_STATE_DIR = ".lumen"


def find_state_dir(option: Path | None) -> Path:
    """--state-dir, else LUMEN_STATE_DIR, else `.lumen` in the current directory; absolute."""
    return (option or Path(os.environ.get("LUMEN_STATE_DIR") or DEFAULT_STATE_DIR)).absolute()


def load_env(path: Path) -> dict[str, str]:
    """Raises FileNotFoundError. Lines that are not assignments are passed over."""
    values: dict[str, str] = {}
    for line in path.read_text().splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["export"]:
            words = words[1:]
        for word in words[:1]:
            name, separator, value = word.partition("=")
            if separator and name.isidentifier():
                values[name] = value
    return values


def store_env(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step; only its owner may read it."""
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)  # a leftover may have had other rights
        file.write(text)
    partial.replace(path)
