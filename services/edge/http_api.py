"""What the edge serves: model endpoints past ASGI, all else by FastAPI; unknown routes get a hint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from lumen.protocols.dialects import CLIENT_DIALECTS, Dialect
from lumen.protocols.errors import ApiError, ErrorKind, encode_error
from services.edge.account_api import AccountApi
from services.edge.admission import Admission
from services.edge.client_address import ClientAddresses
from services.edge.client_connection import ClientConnection, Receive, Scope, Send
from services.edge.cors import Cors
from services.edge.count_tokens import CountTokens
from services.edge.http_protocol import Headers
from services.edge.key_cache import ApiKey
from services.edge.model_endpoint import ModelEndpoint
from services.edge.models_api import anthropic_list, anthropic_model, openai_list, openai_model
from services.edge.request_guard import error_headers
from services.edge.request_head import RequestHead
from services.edge.request_ids import new_request_id
from services.edge.route_tables import RouteTables
from services.edge.short_cycle import ShortCycle, ShortWay

COUNT_TOKENS_PATH = "/v1/messages/count_tokens"
_POST_PATHS = (*CLIENT_DIALECTS, COUNT_TOKENS_PATH)
_KNOWN_PATHS = (*_POST_PATHS, "/v1/models", "/v1/usage", "/v1/balance")


Serve = Callable[[ClientConnection, RequestHead], Awaitable[None]]


class EdgeApp:
    """The ASGI application, and beside it the short ways."""

    def __init__(
        self,
        endpoint: ModelEndpoint,
        count_tokens: CountTokens,
        rest: FastAPI,
        addresses: ClientAddresses,
        cors: Cors | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._count_tokens = count_tokens
        self._rest = rest
        self._addresses = addresses
        self._cors = cors

    def short_ways(self) -> dict[bytes, ShortWay]:
        """What the HTTP protocol serves past ASGI: POST requests, by path."""
        serves: list[tuple[str, Serve, Dialect]] = [
            (path, self._endpoint.serve, dialect) for path, dialect in CLIENT_DIALECTS.items()
        ]
        serves.append((COUNT_TOKENS_PATH, self._count_tokens.serve, Dialect.ANTHROPIC_MESSAGES))
        return {path.encode(): self._short_way(serve, dialect) for path, serve, dialect in serves}

    def _short_way(self, serve: Serve, dialect: Dialect) -> ShortWay:
        def begin(cycle: ShortCycle) -> Awaitable[None]:
            head = RequestHead.of_cycle(cycle, self._addresses)
            standing: Headers = []
            if self._cors is not None and b"origin" in head.fields:
                standing = self._cors.headers_for(head.fields[b"origin"]) or []
            return serve(ClientConnection(cycle, new_request_id(), dialect, standing), head)

        return begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._cors is not None and scope["type"] == "http":
            allowed = self._cors.headers_for(dict(scope["headers"]).get(b"origin"))
            if allowed is not None:
                if scope["method"] == "OPTIONS":
                    await self._cors.answer_preflight(allowed, send)
                    return
                send = _with_headers(send, allowed)
        await self._rest(scope, receive, send)


def _with_headers(send: Send, headers: Headers) -> Send:
    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_headers


def create_rest(
    admission: Admission, tables: RouteTables, addresses: ClientAddresses, account_api: AccountApi
) -> FastAPI:
    """Models, balance and usage, and the answers to what does not exist."""
    app = FastAPI(title="Lumen", openapi_url=None, docs_url=None, redoc_url=None)

    async def holder(request: Request) -> ApiKey:
        head = RequestHead.of_scope(request.scope, addresses)
        return await admission.authenticate(head.fields, head.client_ip)

    async def authenticate(request: Request) -> ApiKey:
        key = await holder(request)
        admission.group_of(key)
        return key

    @app.api_route("/", methods=["GET", "HEAD"])
    async def root() -> Response:
        return _json(200, {"service": "lumen", "endpoints": list(_KNOWN_PATHS)})

    @app.api_route("/v1/models", methods=["GET", "HEAD"])
    async def list_models(request: Request) -> Response:
        key = await authenticate(request)
        models = [m for m in tables.models_of(key.group) if not key.models or m.code in key.models]
        if _dialect_of(request) is Dialect.ANTHROPIC_MESSAGES:
            return _json(200, anthropic_list(models, dict(request.query_params)))
        return _json(200, openai_list(models))

    @app.api_route("/v1/models/{model_id:path}", methods=["GET", "HEAD"])
    async def get_model(request: Request, model_id: str) -> Response:
        key = await authenticate(request)
        model = (await admission.resolve(key, model_id)).model
        encode = anthropic_model if _dialect_of(request) is Dialect.ANTHROPIC_MESSAGES else openai_model
        return _json(200, encode(model, model_id))

    @app.get("/v1/balance")
    async def balance(request: Request) -> Response:
        return _json(200, await account_api.balance(await holder(request)))

    @app.get("/v1/usage")
    async def usage(request: Request) -> Response:
        return _json(200, await account_api.usage(await holder(request), request.query_params))

    async def on_api_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return _error(request, error)

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            allow = (error.headers or {}).get("allow", "") or "GET, HEAD"
            return _error(request, _wrong_method(request.method, request.url.path), allow)
        if request.url.path in _POST_PATHS:
            return _error(request, _wrong_method(request.method, request.url.path), "POST")
        return _error(request, _unknown_route(request.method, request.url.path))

    async def on_failure(request: Request, error: Exception) -> Response:
        return _error(request, ApiError(ErrorKind.INTERNAL, "Something went wrong on our side."))

    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_failure)
    return app


def _wrong_method(method: str, path: str) -> ApiError:
    return ApiError(
        ErrorKind.INVALID_REQUEST,
        f"Method {method} is not allowed for {path[:200]}.",
        code="method_not_allowed",
        status=405,
    )


def _unknown_route(method: str, path: str) -> ApiError:
    hint = ""
    corrected = "/v1/" + path.lstrip("/").removeprefix("v1/").removeprefix("v1/")
    if path.startswith("/v1/v1/"):
        hint = f" The path has /v1 twice: did you mean {corrected}? Leave /v1 out of the base URL."
    elif corrected in _KNOWN_PATHS:
        hint = f" Did you mean {corrected}?"
    return ApiError(ErrorKind.UNKNOWN_ROUTE, f"Unknown request URL: {method} {path[:200]}.{hint}")


def _dialect_of(request: Request) -> Dialect:
    """Of the client, as far as a request without a body tells."""
    is_anthropic = "anthropic-version" in request.headers or "/messages" in request.url.path
    return Dialect.ANTHROPIC_MESSAGES if is_anthropic else Dialect.OPENAI_CHAT


def _error(request: Request, error: ApiError, allow: str = "") -> Response:
    request_id = new_request_id()
    response = Response(encode_error(_dialect_of(request), error, request_id), error.status)
    for name, value in error_headers(error):
        response.headers[name.decode()] = value.decode()
    if allow:
        response.headers["allow"] = allow
    return _with_ids(response, request_id)


def _json(status: int, document: Any) -> Response:
    response = Response(msgspec.json.encode(document), status, media_type="application/json")
    return _with_ids(response, new_request_id())


def _with_ids(response: Response, request_id: str) -> Response:
    response.headers["x-request-id"] = request_id
    response.headers["request-id"] = request_id
    return response
