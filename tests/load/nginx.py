"""The yardstick: nginx as a plain reverse proxy in front of the simulator, tuned as one would in earnest.

One process, without a master: the relay's code is the same, and no worker can outlive a bench that was killed.

Paths go through unchanged. Below `/sse` (which is cut off) buffering is off, as an SSE proxy needs it; singles keep
nginx's own buffering, which is its best.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.probes import http_url, probe
from lumen.platform.children import die_with_parent
from tests.fixtures.engines import free_port

STREAM_PREFIX = "/sse"
_START_TIMEOUT_S = 10.0
_CONFIG = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    upstream simulator {{
        server 127.0.0.1:{upstream_port};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 600s;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        client_max_body_size 32m;
        location / {{ proxy_pass http://simulator; }}
        location {prefix}/ {{ proxy_buffering off; proxy_pass http://simulator/; }}
    }}
}}
"""


class NginxError(Exception):
    """nginx did not start; the text is its own."""


class Nginx:
    """Use as a context manager. `directory` must exist and be its own."""

    def __init__(self, binary: str, directory: Path, upstream_port: int) -> None:
        self._binary = binary
        self._directory = directory
        self._upstream_port = upstream_port
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    def __enter__(self) -> Self:
        config, log = self._directory / "nginx.conf", self._directory / "error.log"
        config.write_text(
            _CONFIG.format(
                directory=self._directory,
                port=self.port,
                upstream_port=self._upstream_port,
                prefix=STREAM_PREFIX,
            )
        )
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [self._binary, "-p", str(self._directory), "-e", "stderr", "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                preexec_fn=die_with_parent(),
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while (problem := probe(http_url(self.port, "/healthz"))) is not None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise NginxError(f"{problem}\n{log.read_text(errors='replace')}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
