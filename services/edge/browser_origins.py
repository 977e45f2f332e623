"""Pages of which other origins may call the API from a browser (CORS): those the operator lists, such as the console's
playground. No cookies are involved: a page has to have a key."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

EXPOSED = ("x-request-id", "x-lumen-model", "x-lumen-dropped", "retry-after")
_PREFLIGHT_S = 600


def cors_headers(origin: bytes) -> list[tuple[bytes, bytes]]:
    """Of an answer to a listed origin."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", ", ".join(EXPOSED).encode()),
        (b"vary", b"origin"),
    ]


def allow_origins(app: FastAPI, origins: list[str]) -> None:
    """Preflights, and everything but the model endpoints, which add `cors_headers` themselves."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "anthropic-version", "anthropic-beta"],
            expose_headers=list(EXPOSED),
            max_age=_PREFLIGHT_S,
        )
