"""Scripts and styles from the package, each under a path with its content's hash: browsers may keep them for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from services.console.errors import ConsoleError

_DIRECTORY = Path(__file__).with_name("static")
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    digest: str
    body: bytes
    media_type: str


def load_assets(directory: Path = _DIRECTORY) -> dict[str, Asset]:
    """Read once at start; nothing outside the directory can be asked for."""
    found = {}
    for path in sorted(directory.iterdir()):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            found[path.name] = Asset(hashlib.sha256(body).hexdigest()[:16], body, _TYPES[path.suffix])
    return found


def asset_paths(assets: dict[str, Asset]) -> dict[str, str]:
    return {name: f"/static/{asset.digest}/{name}" for name, asset in assets.items()}


def assets_router(assets: dict[str, Asset]) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{digest}/{name}")
    async def serve(digest: str, name: str) -> Response:
        asset = assets.get(name)
        if asset is None or asset.digest != digest:
            raise ConsoleError("there is no such file", kind="not_found")
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(asset.body, media_type=asset.media_type, headers=headers)

    return router
