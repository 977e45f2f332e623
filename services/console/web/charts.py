"""Stacked bars as SVG made by the server: no script, no inline style; shape and colour by attributes and classes.

Geometry may be float; what is said about a bar is exact. Every chart comes with its figures as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 220
_LEFT, _BOTTOM, _TOP = 76, 22, 8  # the left holds an axis label such as $0.002000
SERIES_MAX = 6  # then "other": as many colours as can be told apart
_X_LABELS_MAX = 8


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    names: list[str]
    bars: list[Bar]
    y_ticks: list[Tick]
    x_ticks: list[Tick]
    rows: list[tuple[str, list[int]]]  # label -> a figure per name
    total: int
    say: Callable[[int], str]
    left: int = _LEFT
    right: int = WIDTH
    base: int = HEIGHT - _BOTTOM


def stacked(
    labels: Sequence[str],
    series: Mapping[str, Mapping[str, int]],
    *,
    scale: Callable[[int], Callable[[int], str]],
    other: str,
    short: Callable[[str], str] = lambda label: label,
) -> Chart:
    """`series`: name -> label -> figure (missing: 0), figures not negative. The largest names, then `other`.
    `scale`: given the largest sum, how to say a figure."""
    totals = {name: sum(figures.values()) for name, figures in series.items()}
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    names = ranked[:SERIES_MAX]
    figures = {label: [series[name].get(label, 0) for name in names] for label in labels}
    if len(ranked) > SERIES_MAX:
        names = [*names, other]
        for label in labels:
            figures[label].append(sum(series[name].get(label, 0) for name in ranked[SERIES_MAX:]))
    highest = max((sum(row) for row in figures.values()), default=0)
    say = scale(highest)
    top = _ceiling(highest)
    plot = HEIGHT - _BOTTOM - _TOP
    slot = (WIDTH - _LEFT) / max(1, len(labels))
    bars: list[Bar] = []
    for position, label in enumerate(labels):
        y = float(HEIGHT - _BOTTOM)
        for number, figure in enumerate(figures[label]):
            if figure <= 0:
                continue
            height = max(plot * figure / top, 0.75)
            y -= height
            x = _LEFT + position * slot + slot * 0.12
            title = f"{label}, {names[number]}: {say(figure)}"
            bars.append(Bar(round(x, 2), round(y, 2), round(slot * 0.76, 2), round(height, 2), number, title))
    every = max(1, -(-len(labels) // _X_LABELS_MAX))
    return Chart(
        names=names,
        bars=bars,
        y_ticks=[Tick(round(HEIGHT - _BOTTOM - plot * part / 4, 2), say(top * part // 4)) for part in (0, 2, 4)],
        x_ticks=[
            Tick(round(_LEFT + (position + 0.5) * slot, 2), short(label))
            for position, label in enumerate(labels)
            if position % every == 0
        ],
        rows=[(label, figures[label]) for label in labels],
        total=sum(totals.values()),
        say=say,
    )


def _ceiling(value: int) -> int:
    """The next of 1, 2, 4, 5, 10 times a power of ten, divisible by four where it matters."""
    if value <= 4:
        return 4
    power = 1
    while power * 10 < value:
        power *= 10
    return next(power * step for step in (1, 2, 4, 5, 8, 10) if power * step >= value)
