"""Grafana's JSON for a list of panels: only what a panel of ours needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
CLICKHOUSE = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}
_SCHEMA_VERSION = 39
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries`: legend -> PromQL (or, on a ClickHouse dashboard, SQL). `unit` is one of Grafana's."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`variables`: name -> query of its values."""

    uid: str
    title: str
    rows: Sequence[Row]
    variables: dict[str, str]
    source: dict[str, str]


def render(dashboard: Dashboard) -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    y = 0
    for row in dashboard.rows:
        panels.append(_row(row.title, y, len(panels) + 1))
        y += 1
        for at, panel in enumerate(row.panels):
            position = {"x": at % _COLUMNS * _WIDTH, "y": y + at // _COLUMNS * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append(_panel(panel, dashboard.source, position, len(panels) + 1))
        y += -(-len(row.panels) // _COLUMNS) * _HEIGHT
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["lumen"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source_variable(dashboard), *_variables(dashboard)]},
        "panels": panels,
    }


def _row(title: str, y: int, number: int) -> dict[str, Any]:
    return {"id": number, "type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []}


def _panel(panel: Panel, source: dict[str, str], position: dict[str, int], number: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            _target(source, legend, query, chr(ord("A") + at), panel.kind)
            for at, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _target(source: dict[str, str], legend: str, query: str, letter: str, kind: str) -> dict[str, Any]:
    target: dict[str, Any] = {"refId": letter, "datasource": source}
    if source is PROMETHEUS:
        return {**target, "expr": query, "legendFormat": legend}
    return {**target, "rawSql": query, "format": 1 if kind == "table" else 0, "editorType": "sql"}


def _source_variable(dashboard: Dashboard) -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": dashboard.source["type"], "label": "Data source"}


def _variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "type": "query",
            "datasource": dashboard.source,
            "query": query,
            "refresh": 2,
            "includeAll": dashboard.source is PROMETHEUS,
            "multi": dashboard.source is PROMETHEUS,
            "allValue": ".*" if dashboard.source is PROMETHEUS else None,
        }
        for name, query in dashboard.variables.items()
    ]
