"""The last batch number per partition, in a file: where to continue should the ledger have been trimmed meanwhile.

The leader's last message is what decides. Only for a subject trimmed away altogether (35 days without an entry) would a
restarted worker start again at 1 and repeat a number; a file written within a minute of the last entry prevents that.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from services.edge.metering.identity import StateDirDamaged, replace_durably


class Positions:
    """Blocking; use from a thread once serving."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[int, int]:
        """Raises StateDirDamaged, OSError."""
        if not self._path.exists():
            return {}
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[int, int])
        except msgspec.DecodeError as error:
            raise StateDirDamaged(f"{self._path} holds no batch numbers") from error

    def store(self, numbers: dict[int, int]) -> None:
        replace_durably(self._path, msgspec.json.encode(numbers))
