"""The admin API as a first start uses it, in memory: `python -m tests.integration.local_stack.fake_console PORT`."""

from __future__ import annotations

import json
import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ANSWERS = {
    "/admin/v1/catalog": {"revision": 1},
    "/admin/v1/accounts": {"id": "acct-1", "name": "demo"},
    "/admin/v1/accounts/acct-1/credits": {"reference": "demo-acct-1"},
    "/admin/v1/users": {"id": "usr_1"},
    "/admin/v1/keys": {"id": "key-1", "secret": "sk-lumen-demo"},
}


async def answer(request: Request) -> Response:
    if request.headers["authorization"] != f"Bearer {os.environ['LUMEN_ADMIN_TOKEN']}":
        return JSONResponse({"message": "wrong token"}, 401)
    print(json.dumps({"path": request.url.path, "body": await request.json()}), flush=True)
    return JSONResponse(ANSWERS[request.url.path])


async def readyz(_: Request) -> Response:
    return JSONResponse({"status": "ready"})


app = Starlette(routes=[Route("/readyz", readyz), *(Route(path, answer, methods=["POST"]) for path in ANSWERS)])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
