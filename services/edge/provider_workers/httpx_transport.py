"""`UpstreamTransport` over httpx: HTTP/2 where the provider offers it, proxies from the environment.

Through a proxy the address connected to is the proxy's, which is the operator's choice and not checked; what the
provider's name resolves to is then the proxy's to judge.

The reference for the lean transport's behaviour, and some 40 times dearer in CPU per request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpcore
import httpx

from lumen.platform.addresses import AddressPolicy, resolve_permitted
from services.edge.provider_workers.content_coding import decoded
from services.edge.provider_workers.transport import (
    ConnectFailed,
    ConnectionCut,
    ConnectionStats,
    ProtocolViolation,
    Sink,
    TransportOptions,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTimeout,
)

# What h11 and h2 say when the connection, or the stream, ended too early.
_CUTS = ("disconnected", "peer closed connection", "StreamReset", "ConnectionTerminated", "Connection reset")


def _failure(error: Exception) -> UpstreamFailure:
    text = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError | httpx.PoolTimeout):
        return ConnectFailed(f"no connection: {text}")
    if isinstance(error, httpx.TimeoutException):
        return UpstreamTimeout(text)
    if isinstance(error, httpx.ProtocolError) and not any(sign in text for sign in _CUTS):
        return ProtocolViolation(text)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.DecodingError):
        return ProtocolViolation(text)
    return ConnectionCut(text)


def _is_stale(error: Exception) -> bool:
    """On a pooled connection: it had been closed before the request reached it."""
    return isinstance(error, httpx.WriteError | httpx.ReadError) or "without sending a response" in str(error)


class _PermittedAddresses(httpcore.AsyncNetworkBackend):
    """httpcore's sockets, to addresses that the policy permits."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await resolve_permitted(host, port, self._policy)
                for address in addresses:
                    is_last = address is addresses[-1]
                    # one that swallows packets (IPv6 without a way out) must leave time for the next
                    share_s = None if is_last or timeout is None else timeout / 2
                    try:
                        return await self._sockets.connect_tcp(address, port, share_s, local_address, socket_options)
                    except (httpcore.ConnectError, httpcore.ConnectTimeout):
                        if is_last:
                            raise
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("no connection within connect_s") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        raise AssertionError("resolve_permitted gives an address or raises")

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)


class HttpxTransport:
    def __init__(self, origin: str, options: TransportOptions, stats: ConnectionStats) -> None:
        self._origin = origin
        self._options = options
        self._stats = stats
        timeouts = options.timeouts
        self._client = httpx.AsyncClient(
            http2=True,
            verify=options.ssl_context(),
            # Everything but connecting and writing is timed here: httpx knows no deadline for a whole head or answer.
            timeout=httpx.Timeout(
                connect=timeouts.connect_s, pool=timeouts.connect_s, write=timeouts.first_byte_s, read=None
            ),
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=options.idle_connections_max,
                keepalive_expiry=options.keepalive_s,
            ),
        )
        # httpx has no setting for it. Connections past a proxy only: those through one have transports of their own.
        direct = self._client._transport
        assert isinstance(direct, httpx.AsyncHTTPTransport)
        assert isinstance(direct._pool, httpcore.AsyncConnectionPool)
        direct._pool._network_backend = _PermittedAddresses(options.addresses)
        self._in_flight = 0
        self._all_ended = asyncio.Event()
        self._all_ended.set()
        self._closings: set[asyncio.Task[None]] = set()

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        sent = _Sent(self._options.timeouts.first_byte_s)
        built = self._client.build_request(
            request.method.decode(),
            httpx.URL(self._origin, raw_path=request.target),
            headers=[*request.static_headers.items, *request.headers],
            content=request.body,
            extensions={"trace": sent.trace},
        )
        deadline = asyncio.get_running_loop().time() + self._options.timeouts.total_s
        self._in_flight += 1
        self._all_ended.clear()
        is_answered = False
        try:
            answer = await self._send_once(built, sent, deadline)
            is_answered = True
        finally:
            if not is_answered:
                self._ended()
        if sent.has_connected:
            self._stats.connects += 1
        else:
            self._stats.reuses += 1
        response = HttpxResponse(self, answer, self._options.timeouts.idle_s, deadline)
        return decoded(response) if b"content-encoding" in response.headers else response

    async def _send_once(self, built: httpx.Request, sent: _Sent, deadline: float, attempt: int = 1) -> httpx.Response:
        try:
            async with asyncio.timeout_at(deadline) as scope:
                sent.scope, sent.deadline = scope, deadline
                return await self._client.send(built, stream=True)
        except TimeoutError as error:
            raise UpstreamTimeout("no answer within first_byte_s or total_s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = _failure(error)
            if attempt == 1 and not sent.has_connected and _is_stale(error):
                self._stats.stale_retries += 1
                return await self._send_once(built, sent, deadline, attempt + 1)
            raise failure from error

    async def close(self) -> None:
        """When the answers under way have ended; when cancelled, at once."""
        try:
            await self._all_ended.wait()
        finally:
            await self._client.aclose()

    def close_answer(self, answer: httpx.Response) -> None:
        task = asyncio.get_running_loop().create_task(self._close_answer(answer))
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)

    async def _close_answer(self, answer: httpx.Response) -> None:
        try:
            await answer.aclose()
        except httpx.HTTPError:
            pass
        finally:
            self._ended()

    def _ended(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._all_ended.set()


class _Sent:
    """Learns from httpx's trace when the request has been sent: `first_byte_s` counts from then."""

    def __init__(self, first_byte_s: float) -> None:
        self.has_connected = False
        self.scope: asyncio.Timeout | None = None
        self.deadline = 0.0
        self._first_byte_s = first_byte_s

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self.has_connected = True
        elif event.endswith(".send_request_body.complete") and self.scope is not None:
            now = asyncio.get_running_loop().time()
            self.scope.reschedule(min(self.deadline, now + self._first_byte_s))
        elif event.endswith(".receive_response_headers.complete"):
            self.scope = None


class HttpxResponse:
    def __init__(self, transport: HttpxTransport, answer: httpx.Response, idle_s: float, deadline: float) -> None:
        self.status = answer.status_code
        self.headers: dict[bytes, bytes] = {}
        for raw_name, value in answer.headers.raw:
            name = raw_name.lower()
            self.headers[name] = self.headers[name] + b", " + value if name in self.headers else value
        self._transport = transport
        self._answer = answer
        self._pieces: AsyncIterator[bytes] = answer.aiter_raw()
        self._idle_s = idle_s
        self._deadline = deadline
        self._is_complete = self._is_over = False
        self._failure: UpstreamFailure | None = None

    async def read(self) -> bytes:
        while not self._is_over:
            try:
                async with asyncio.timeout_at(min(self._deadline, asyncio.get_running_loop().time() + self._idle_s)):
                    piece = await anext(self._pieces)
            except StopAsyncIteration:
                self._is_complete = True
                self._end()
            except TimeoutError:
                self._end(UpstreamTimeout("nothing came from the provider for idle_s, or total_s ran out"))
            except httpx.HTTPError as error:
                self._end(_failure(error))
            except asyncio.CancelledError:
                self.abort()
                raise
            else:
                if piece:
                    return piece
        if self._is_complete:
            return b""
        raise self._failure or ConnectionCut("aborted by its reader")

    async def pump(self, sink: Sink) -> None:
        """httpx has no way to be called."""

    def abort(self) -> None:
        if not self._is_over:
            self._end(ConnectionCut("aborted by its reader"))

    def _end(self, failure: UpstreamFailure | None = None) -> None:
        self._is_over = True
        self._failure = failure
        self._transport.close_answer(self._answer)
