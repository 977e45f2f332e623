"""The admin REST API as the commands call it: which stack is meant, one call, and errors as exit codes.

httpx is imported by the call: `lumen --help` and a mistyped option must not wait for it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from urllib.parse import quote, urlsplit

import typer

from lumen.cli.env_file import find_state_dir, load_env
from lumen.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    import httpx

StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="The stack's state directory (else LUMEN_ADMIN_URL, else .lumen).")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]

_TIMEOUT_S = 30.0
_PAGE_ROWS = 1000
_DOWNLOAD_STALLED_S = 150.0  # between two pieces; longer than the console waits for ClickHouse
_EXIT_CODES = {
    400: ExitCode.INVALID_INPUT,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    413: ExitCode.INVALID_INPUT,
    422: ExitCode.INVALID_INPUT,
    503: ExitCode.UNREACHABLE,
}


class CommandFailed(Exception):
    """Said on stderr by `fail`; `problems` are the API's, each with line, field and message."""

    def __init__(self, message: str, exit_code: ExitCode, problems: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.problems = problems or []


@dataclass(frozen=True, slots=True)
class AdminApi:
    """`base_url` without a path; `token` is LUMEN_ADMIN_TOKEN."""

    base_url: str
    token: str

    def get(self, path: str, *, timeout_s: float = _TIMEOUT_S, **query: str | int | None) -> dict[str, Any]:
        """`query` values that are None or empty are left out. Raises CommandFailed."""
        return self._call("GET", path, {name: str(value) for name, value in query.items() if value}, None, timeout_s)

    def get_all(self, path: str, member: str, **query: str | int | None) -> dict[str, Any]:
        """A list of pages as one: `{member: [...]}`. Raises CommandFailed."""
        rows: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            asked = {"limit": _PAGE_ROWS, "cursor": cursor, **query}
            page = self._call(
                "GET", path, {name: str(value) for name, value in asked.items() if value}, None, _TIMEOUT_S
            )
            rows += page[member]
            cursor = page["next_cursor"]
        return {member: rows}

    def post(self, path: str, body: dict[str, Any] | None = None, *, timeout_s: float = _TIMEOUT_S) -> dict[str, Any]:
        """Raises CommandFailed."""
        return self._call("POST", path, {}, body, timeout_s)

    def download(self, path: str, file: BinaryIO, on_progress: Callable[[int], None], **query: str) -> int:
        """Write an answer to `file` as it comes; its bytes. Raises CommandFailed, also when it broke off."""
        import httpx

        received = 0
        try:
            with (
                self._client(_DOWNLOAD_STALLED_S) as client,
                client.stream(
                    "GET", _path(path), params={name: value for name, value in query.items() if value}
                ) as answer,
            ):
                if answer.status_code != 200:
                    answer.read()
                    _document(answer.status_code, answer.text)
                for chunk in answer.iter_bytes():
                    file.write(chunk)
                    received += len(chunk)
                    on_progress(received)
        except httpx.ConnectError as error:
            raise self._unreachable(error) from error
        except httpx.TransportError as error:
            raise CommandFailed(
                f"the answer broke off after {received} bytes ({error!r})", ExitCode.UNREACHABLE
            ) from error
        return received

    def _client(self, timeout_s: float) -> httpx.Client:
        import httpx

        return httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=timeout_s,
            trust_env=not _is_local(self.base_url),  # a proxy for the internet does not know our loopback
        )

    def _unreachable(self, error: Exception) -> CommandFailed:
        return CommandFailed(
            f"cannot reach the admin API at {self.base_url} ({error}); `lumen status` shows whether the stack runs",
            ExitCode.UNREACHABLE,
        )

    def _call(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None, timeout_s: float
    ) -> dict[str, Any]:
        import httpx

        try:
            with self._client(timeout_s) as client:
                answer = client.request(method, _path(path), params=query, json=body)
        except (httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            raise CommandFailed(
                f"no answer from {self.base_url} ({error!r}); what was asked may still have happened",
                ExitCode.UNREACHABLE,
            ) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        return _document(answer.status_code, answer.text)


def _path(path: str) -> str:
    return f"/admin/v1{path}"


def segment(text: str) -> str:
    """A value as one segment of a path."""
    return quote(text, safe="")


def find_api(state_dir: Path | None) -> AdminApi:
    """--state-dir, else LUMEN_ADMIN_URL with LUMEN_ADMIN_TOKEN, else the default state directory.

    Raises CommandFailed when no stack has been started there.
    """
    if state_dir is None and (url := os.environ.get("LUMEN_ADMIN_URL")):
        token = os.environ.get("LUMEN_ADMIN_TOKEN")
        if not token:
            raise CommandFailed("LUMEN_ADMIN_URL is set, LUMEN_ADMIN_TOKEN is not", ExitCode.USAGE)
        return AdminApi(url.rstrip("/"), token)
    found = find_state_dir(state_dir)
    try:
        env = load_env(found / "env")
        return AdminApi(env["LUMEN_ADMIN_URL"].rstrip("/"), env["LUMEN_ADMIN_TOKEN"])
    except FileNotFoundError as error:
        raise CommandFailed(
            f"no Lumen runs on {found}; start one with `lumen up`, or name another with --state-dir",
            ExitCode.UNREACHABLE,
        ) from error
    except KeyError as error:
        raise CommandFailed(f"{found / 'env'} does not set {error.args[0]}", ExitCode.UNREACHABLE) from error


def fail(error: CommandFailed) -> typer.Exit:
    """Say it on stderr; raise the result."""
    print(f"error: {error}", file=sys.stderr)
    return typer.Exit(error.exit_code)


def _document(status: int, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if status < 400 and isinstance(document, dict):
        return document
    said = document.get("error") if isinstance(document, dict) else None
    if not isinstance(said, dict):
        raise CommandFailed(f"status {status} from what does not look like Lumen's admin API", ExitCode.FAILURE)
    message = str(said.get("message", status))
    if status == 401:
        message = f"{message}; is LUMEN_ADMIN_TOKEN of another stack set?"
    raise CommandFailed(message, _EXIT_CODES.get(status, ExitCode.FAILURE), said.get("problems"))


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
