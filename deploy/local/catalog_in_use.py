"""Which catalog a start applies: usually none, because the one applied last is kept by the router."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.layout import Layout

DEMO_CATALOG = Path(__file__).with_name("catalog.yaml")
_PLACEHOLDER = "${SIMULATOR_PORT}"


def catalog_text(catalog: Path, simulator_port: int) -> str:
    """The file with the port of a stack's simulator filled in; nothing else in it is touched."""
    return catalog.read_text().replace(_PLACEHOLDER, str(simulator_port))


def catalog_to_apply(layout: Layout, requested: Path | None, previous_env: dict[str, str]) -> Path | None:
    """The requested one; the demo catalog at a first start, or when its simulator has moved to another port since."""
    if requested is not None:
        return requested
    if "LUMEN_API_KEY" not in previous_env:
        return DEMO_CATALOG
    previous_port = urlsplit(previous_env.get("LUMEN_SIMULATOR_URL", "")).port
    if previous_port is None or previous_port == layout.port("simulator") or not layout.catalog_file.exists():
        return None
    is_demo = layout.catalog_file.read_text() == catalog_text(DEMO_CATALOG, previous_port)
    return DEMO_CATALOG if is_demo else None
