"""What is wrong with a catalog: where, and how to put it right."""

from __future__ import annotations

from dataclasses import dataclass

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    line: int  # 1-based
    field: str  # models[0].price.input; "" for the document
    message: str  # never repeats a value: it may be a secret in the wrong place


class CatalogError(Exception):
    """The catalog cannot be used. `problems` has every problem found, by line."""

    def __init__(self, source_name: str, problems: list[Problem]) -> None:
        self.source_name = source_name
        self.problems = sorted(problems)
        super().__init__("\n".join(f"{source_name}:{describe(problem)}" for problem in self.problems))


def describe(problem: Problem) -> str:
    """`12: models[0].price.input: required`"""
    return ": ".join(part for part in (str(problem.line), problem.field, problem.message) if part)


def field_name(path: Path) -> str:
    """("models", 0, "price") -> models[0].price"""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += f".{part}" if name else part
    return name
