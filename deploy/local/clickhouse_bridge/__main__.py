"""`python -m deploy.local.clickhouse_bridge --path DIR --host HOST --port N`: serve until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from deploy.local.clickhouse_bridge.engine import Engine
from deploy.local.clickhouse_bridge.http_api import create_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="clickhouse_bridge", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="the directory that keeps the data")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        create_app(lambda: Engine(arguments.path)),
        host=arguments.host,
        port=arguments.port,
        lifespan="on",
        log_level="warning",
        access_log=False,
        # longer than any client keeps an idle connection, so that none is closed under a request
        timeout_keep_alive=120,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
