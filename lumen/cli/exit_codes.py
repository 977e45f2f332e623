"""What the `lumen` command's exit code means. Scripts rely on these numbers: never renumber."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILURE = 1  # it did not work, or (reconcile) the figures disagree
    USAGE = 2  # wrong options or arguments
    UNREACHABLE = 3  # no stack is running here, or the admin API cannot be reached
    NOT_FOUND = 4
    CONFLICT = 5  # exists already, or a stack already runs on this state directory
    INVALID_INPUT = 6  # refused by validation: a catalog, an amount, a name
    PORT_TAKEN = 7
