"""ClickHouse's HTTP interface (https://clickhouse.com/docs/interfaces/http), as far as its clients use it.

`GET|POST /` with the statement in `query`, in the body, or its head in `query` and its data in the body. Every other
query parameter is a setting (`max_threads=2`), a query parameter (`param_name=`) or one of the interface's own.
"""

from __future__ import annotations

import asyncio
import email.message
import email.parser
import email.policy
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.local.clickhouse_bridge.compression import decompress, encoder, select_coding
from deploy.local.clickhouse_bridge.engine import Answer, Context, Engine
from deploy.local.clickhouse_bridge.errors import (
    NOT_IMPLEMENTED,
    QUERY_IS_TOO_LARGE,
    SYNTAX_ERROR,
    EngineError,
    own_error,
)
from deploy.local.clickhouse_bridge.statement import InsertData, PlainStatement, parse_statement

_BODY_BYTES_MAX = 256 * 1024 * 1024
_READY_TIMEOUT_S = 0.8
# Of the interface itself, not settings of the engine. Sessions are accepted and do nothing.
_OWN_PARAMETERS = frozenset(
    {
        *(
            "query",
            "database",
            "default_format",
            "query_id",
            "wait_end_of_query",
            "buffer_size",
            "compress",
            "decompress",
        ),
        *("session_id", "session_timeout", "session_check", "close_session", "client_protocol_version", "quota_key"),
        *("user", "password", "role", "stacktrace"),
    }
)


def create_app(open_engine: Callable[[], Engine]) -> Starlette:
    """The engine is opened before the port is, and closed last."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.engine = engine = open_engine()
        yield
        engine.close()

    return Starlette(
        routes=[
            Route("/", _statement, methods=["GET", "POST"]),
            Route("/ping", _ping),
            Route("/readyz", _readyz),
        ],
        lifespan=lifespan,
    )


async def _ping(_: Request) -> Response:
    return PlainTextResponse("Ok.\n")


async def _readyz(request: Request) -> Response:
    engine: Engine = request.app.state.engine
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            await engine.run("SELECT 1", "Null", Context())
    except (TimeoutError, EngineError) as error:
        return JSONResponse({"status": "unready", "problems": {"engine": str(error) or "busy"}}, 503)
    return JSONResponse({"status": "ready"})


async def _statement(request: Request) -> Response:
    engine: Engine = request.app.state.engine
    headers = {
        "X-ClickHouse-Query-Id": request.query_params.get("query_id") or str(uuid.uuid4()),
        "X-ClickHouse-Server-Display-Name": "lumen-local",
        "X-ClickHouse-Timezone": engine.timezone,
    }
    try:
        return await _answer(engine, request, headers)
    except EngineError as error:
        text = f"{error.message} (version {engine.version})\n"
        return PlainTextResponse(text, error.http_status, {**headers, "X-ClickHouse-Exception-Code": str(error.code)})


async def _answer(engine: Engine, request: Request, headers: dict[str, str]) -> Response:
    parameters = dict(request.query_params)
    body = decompress(await _read_body(request), request.headers.get("content-encoding", ""), _BODY_BYTES_MAX)
    content_type = request.headers.get("content-type", "")
    if content_type.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        parameters.update(_form_fields(content_type, body))
        body = b""
    head = parameters.get("query", "")
    text = f"{head}\n".encode() + body if head else body
    if not text.strip():
        if request.method == "GET":
            return PlainTextResponse("Ok.\n")
        raise own_error(SYNTAX_ERROR, "SYNTAX_ERROR", "Empty query")

    context = _context(parameters, request)
    statement = parse_statement(text)
    if isinstance(statement, InsertData):
        answer = await engine.insert(statement, context)
        return Response(b"", headers={**headers, "X-ClickHouse-Summary": _summary(answer)})
    default_format = parameters.get("default_format") or request.headers.get("x-clickhouse-format") or "TabSeparated"
    coding = (
        select_coding(request.headers.get("accept-encoding", ""))
        if _is_on(parameters, "enable_http_compression")
        else None
    )
    if coding is not None:
        headers["Content-Encoding"] = coding
    if statement.is_streamable(default_format) and not _is_on(parameters, "wait_end_of_query"):
        return await _stream(engine, statement, default_format, context, headers, coding)

    answer = await engine.run(statement.sql, default_format, context)
    headers["X-ClickHouse-Summary"] = _summary(answer)
    if answer.body or statement.is_select:
        headers["X-ClickHouse-Format"] = statement.format or default_format
    content = answer.body
    if coding is not None:
        compressor = encoder(coding)
        content = compressor.compress(content) + compressor.flush()
    return Response(content, headers=headers)


async def _stream(
    engine: Engine,
    statement: PlainStatement,
    default_format: str,
    context: Context,
    headers: dict[str, str],
    coding: str | None,
) -> Response:
    """An error before the first chunk is an ordinary answer; a later one is told in the stream itself: the header
    announces a tag, and a block marked with it ends the body (ClickHouse 25.11, WriteBufferFromHTTPServerResponse)."""
    chunks = engine.stream(statement.sql, default_format, context)
    first = await anext(chunks, b"")
    tag = secrets.token_hex(8)
    compressor = encoder(coding) if coding is not None else None

    async def plain() -> AsyncIterator[bytes]:
        yield first
        try:
            async for chunk in chunks:
                yield chunk
        except EngineError as error:
            message = f"{error.message} (version {engine.version})"
            yield (
                f"\r\n__exception__\r\n{tag}\r\n{message}\r\n{len(message.encode())} {tag}\r\n__exception__\r\n"
            ).encode()

    async def body() -> AsyncIterator[bytes]:
        async for chunk in plain():
            data = compressor.compress(chunk) if compressor is not None else chunk
            if data:
                yield data
        if compressor is not None:
            yield compressor.flush()

    headers["X-ClickHouse-Exception-Tag"] = tag
    headers["X-ClickHouse-Format"] = statement.format or default_format
    return StreamingResponse(body(), headers=headers)


def _context(parameters: dict[str, str], request: Request) -> Context:
    return Context(
        database=parameters.get("database") or request.headers.get("x-clickhouse-database", ""),
        settings={
            name: value
            for name, value in parameters.items()
            if name not in _OWN_PARAMETERS and not name.startswith("param_")
        },
        parameters={
            name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")
        },
        is_readonly=request.method == "GET",  # as the server: a GET never writes
    )


async def _read_body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _BODY_BYTES_MAX:
            raise own_error(
                QUERY_IS_TOO_LARGE, "QUERY_IS_TOO_LARGE", f"The body is larger than {_BODY_BYTES_MAX} bytes"
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """A form carries the statement and its parameters when they are too long for a URL."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body
    )
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        if part.get_filename() is not None:
            raise own_error(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "External data tables are not supported here")
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload.decode()
    return fields


def _is_on(parameters: dict[str, str], name: str) -> bool:
    return parameters.get(name, "0").lower() in ("1", "true")


def _summary(answer: Answer) -> str:
    return json.dumps(
        {
            "read_rows": str(answer.rows_read),
            "read_bytes": str(answer.bytes_read),
            "written_rows": str(answer.rows_written),
            "written_bytes": str(answer.bytes_written),
            "total_rows_to_read": "0",
            "result_rows": "0",
            "result_bytes": str(len(answer.body)),
            "elapsed_ns": str(answer.elapsed_ns),
        }
    )
