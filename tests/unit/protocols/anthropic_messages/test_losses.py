"""Whatever is dropped or refused is in the table, and under the right action."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import lumen.protocols.anthropic_messages as package
from lumen.protocols.anthropic_messages.losses import LOSSES
from lumen.protocols.codec import LossAction

_ACTIONS = {"drop": LossAction.DROPPED, "Unsupported": LossAction.REFUSED}
# Dropped by a loop over the names of hints.
_HINTS = {"seed", "presence_penalty", "frequency_penalty", "logit_bias", "verbosity", "prompt_cache_key"}


def named_losses() -> Iterator[tuple[LossAction, str]]:
    """Every `target.drop("...")` and `Unsupported("...", ...)` of the package."""
    for path in Path(str(package.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _ACTIONS:
                yield _ACTIONS[name], str(node.args[0].value)


def test_every_drop_and_refusal_is_declared() -> None:
    assert {name: LOSSES[name].action for _, name in named_losses()} == {
        name: action for action, name in named_losses()
    }


def test_every_declared_drop_and_refusal_happens() -> None:
    declared = {name for name, loss in LOSSES.items() if loss.action is not LossAction.ADAPTED}
    requests = {name for name in declared if not name.startswith("answer_")}
    assert requests == {name for _, name in named_losses()} | _HINTS
