"""`python -m deploy.grafana` writes the dashboards' JSON into the chart."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.grafana.dashboards import ALL
from deploy.grafana.panels import Dashboard, render

FOLDER = Path(__file__).parents[1] / "helm/lumen/files/dashboards"


def to_json(dashboard: Dashboard) -> str:
    return json.dumps(render(dashboard), indent=1) + "\n"


def main() -> None:
    for dashboard in ALL:
        (FOLDER / f"{dashboard.uid.removeprefix('lumen-')}.json").write_text(to_json(dashboard))


if __name__ == "__main__":
    main()
