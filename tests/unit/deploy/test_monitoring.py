"""Alerts, runbooks and dashboards name only metrics, labels and columns that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily

from deploy.grafana.__main__ import FOLDER, to_json
from deploy.grafana.dashboards import ALL
from deploy.helm.checks.chart import CHART, documents
from lumen.platform.tracing.otel import Tracing
from services.auth.metrics import AuthMetrics
from services.billing.metrics import BillingMetrics
from services.console.metrics import ConsoleMetrics
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.metrics import WorkerMetrics
from services.router.metrics import RouterMetrics

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs/runbooks"
_METRIC = re.compile(r"\blumen_[a-z0-9_]+")
_LABELLED = re.compile(r"\b(lumen_[a-z0-9_]+)\{([^}]*)\}")
_GROUPED = re.compile(r"by \(([^)]*)\)")
# Given by the scrape, or by the recording rules, not by the services.
_SCRAPED_LABELS = {"pod", "namespace", "le"}


@cache
def metrics() -> dict[str, set[str]]:
    """Every exposed sample name -> its labels, from the services' own registries."""
    registry = CollectorRegistry()
    for make in (
        AuthMetrics,
        BillingMetrics,
        ConsoleMetrics,
        MeteringMetrics,
        EdgeMetrics,
        RouterMetrics,
        WorkerMetrics,
    ):
        make(registry)
    Tracing("test", sample_ratio=0, queue_spans_max=1).register(registry)
    found: dict[str, set[str]] = {}
    declared = list(registry._collector_to_names)
    for collector in declared:
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            own = labels | {name for sample in family.samples for name in sample.labels} | set(_family_labels(family))
            is_histogram = family.type == "histogram" or isinstance(family, HistogramMetricFamily)
            suffixes = (
                ("_bucket", "_count", "_sum") if is_histogram else ("_total",) if family.type == "counter" else ("",)
            )
            for suffix in suffixes:
                found[family.name + suffix] = own
    return found


def _family_labels(family: Any) -> tuple[str, ...]:
    return tuple(getattr(family, "_labelnames", ()))


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((CHART / "files/rules/lumen.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def dashboard_queries() -> Iterator[tuple[str, str]]:
    for dashboard in ALL:
        for row in dashboard.rows:
            for panel in row.panels:
                for query in panel.queries.values():
                    yield f"{dashboard.title}: {panel.title}", query
        for query in dashboard.variables.values():
            yield f"{dashboard.title}: variables", query


def expressions() -> list[tuple[str, str]]:
    of_rules = [(str(rule.get("alert", rule.get("record"))), str(rule["expr"])) for rule in rules()]
    return of_rules + [(where, query) for where, query in dashboard_queries() if "SELECT" not in query]


def test_the_registries_are_read_whole() -> None:
    found = metrics()
    assert "lumen_edge_requests_total" in found
    assert found["lumen_edge_time_to_first_token_seconds_bucket"] >= {"client_dialect"}
    assert found["lumen_edge_channel_ready"] == {"channel"}
    assert len(found) > 80


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_an_expression_names_only_metrics_and_labels_that_exist(where: str, expression: str) -> None:
    names = set(_METRIC.findall(expression))
    assert names <= set(metrics()), where
    for metric, matchers in _LABELLED.findall(expression):
        labels = set(re.findall(r"(\w+)\s*[=!~]+", matchers))
        assert labels <= metrics()[metric] | _SCRAPED_LABELS, where
    for grouping in _GROUPED.findall(expression):
        labels = {label.strip() for label in grouping.split(",")}
        assert labels <= set.union(_SCRAPED_LABELS, *(metrics()[name] for name in names)), where


def test_recording_rules_that_are_used_are_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = {name for _, text in expressions() for name in re.findall(r"\blumen:[a-z0-9_:]+", text)}
    assert used <= recorded


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert {rule["alert"] for rule in alerts()} == pages
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_page_is_unit_tested_by_promtool_or_a_plain_threshold() -> None:
    tested = {
        case["alertname"]
        for test in yaml.safe_load((ROOT / "deploy/prometheus/alerts_test.yaml").read_text())["tests"]
        for case in test["alert_rule_test"]
    }
    assert tested <= {rule["alert"] for rule in alerts()}
    # One gauge, aggregated at most, against a number, or one counter's growth against zero, needs none.
    plain = re.compile(r"(max|min|sum)?( by \(\w+\))? ?\(?((increase|rate)\()?lumen_\w+(\[\w+\]\))?\)? (>|==) [\d. *]+")
    for rule in alerts():
        if rule["labels"]["severity"] == "page" and rule["alert"] not in tested:
            parts = re.split(r"\s+or\s+", rule["expr"].strip())
            assert all(plain.fullmatch(re.sub(r"\{[^}]*\}", "", part)) for part in parts), rule["alert"]


def test_runbooks_name_only_metrics_that_exist_and_alerts_that_exist() -> None:
    alert_names = {rule["alert"] for rule in alerts()}
    for page in RUNBOOKS.glob("*.md"):
        text = page.read_text()
        named = set(_METRIC.findall(text))
        assert named <= set(metrics()) | {name.removesuffix("_bucket") for name in metrics()}, page.name
        assert set(re.findall(r"\bLumen[A-Z]\w+", text)) <= alert_names, page.name


def test_the_charts_dashboards_are_what_the_code_writes() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == {f"{d.uid.removeprefix('lumen-')}.json" for d in ALL}
    for dashboard in ALL:
        path = FOLDER / f"{dashboard.uid.removeprefix('lumen-')}.json"
        assert path.read_text() == to_json(dashboard), "run: python -m deploy.grafana"


def test_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    for path in FOLDER.glob("*.json"):
        panels = json.loads(path.read_text())["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        cells: set[tuple[int, int]] = set()
        for panel in panels:
            grid = panel["gridPos"]
            own = {
                (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
            }
            assert not own & cells, panel["title"]
            assert all(x < 24 for x, _ in own)
            cells |= own


def test_the_account_dashboard_reads_columns_that_the_ledger_has() -> None:
    table = (ROOT / "deploy/clickhouse/0001_ledger.sql").read_text().split("CREATE TABLE")[1]
    columns = set(re.findall(r"^ {4}`?(\w+)`? [A-Z]", table, re.MULTILINE))
    words = {
        "SELECT",
        "AS",
        "FROM",
        "FINAL",
        "WHERE",
        "AND",
        "BETWEEN",
        "GROUP",
        "BY",
        "ORDER",
        "DESC",
        "LIMIT",
        "DISTINCT",
        "INTERVAL",
        "DAY",
    }
    functions = {"count", "sum", "quantile", "toString", "now"}
    for where, query in dashboard_queries():
        if "SELECT" not in query:
            continue
        text = re.sub(r"lumen\.usage|'[^']*'|\$__\w+|\d[\de.]*", " ", query)
        aliases = set(re.findall(r"AS (\w+)", text))
        assert set(re.findall(r"[A-Za-z_]\w*", text)) <= columns | words | functions | aliases, where


def test_the_chart_ships_rules_and_dashboards_whole() -> None:
    found = {(d["kind"], d["metadata"]["name"]): d for d in documents("production")}
    shipped = found["PrometheusRule", "lumen"]["spec"]["groups"]
    assert [rule for group in shipped for rule in group["rules"]] == rules()
    for dashboard in ALL:
        name = dashboard.uid.removeprefix("lumen-")
        (text,) = found["ConfigMap", f"lumen-dashboard-{name}"]["data"].values()
        assert json.loads(text) == json.loads(to_json(dashboard))
