"""What surrounds every request that providers answer: a limit on how many, a last resort for errors, metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Coroutine
from typing import Any

from lumen.platform.logging import request_id_var
from lumen.protocols.errors import ApiError, ErrorKind, encode_error
from services.edge.client_connection import ClientConnection, ClientGone
from services.edge.http_protocol import Headers
from services.edge.metrics import EdgeMetrics

logger = logging.getLogger(__name__)

_FINAL_STATUSES = frozenset({401, 402, 403, 404})


class RequestGuard:
    def __init__(self, metrics: EdgeMetrics, requests_in_flight_max: int) -> None:
        self._metrics = metrics
        self._requests_in_flight_max = requests_in_flight_max
        self.in_flight = 0

    async def serve(
        self, client: ClientConnection, label: str, started: float, work: Coroutine[Any, Any, None]
    ) -> None:
        """Run `work`, which answers `client`; whatever it raises becomes an answer. Never raises but cancellation.

        `label`: for metrics. `started`: monotonic.
        """
        request_id_var.set(client.request_id)
        self.in_flight += 1
        try:
            if self.in_flight > self._requests_in_flight_max:
                work.close()
                raise ApiError(
                    ErrorKind.OVERLOADED, "Too many requests are being served. Please retry.", retry_after_s=1
                )
            await work
        except ApiError as error:
            self._metrics.rejections.labels(error.kind.value).inc()
            await respond_error(client, error)
        except ClientGone:
            client.status = 499
        except Exception:
            logger.exception("request failed")
            await respond_error(client, ApiError(ErrorKind.INTERNAL, "Something went wrong on our side."))
        finally:
            self.in_flight -= 1
            self._metrics.requests.answered(label, client.status, time.monotonic() - started)


async def respond_error(client: ClientConnection, error: ApiError) -> None:
    """Before the answer has begun; after that only the end of the connection tells."""
    if client.has_started:
        client.abort()
        return
    body = encode_error(client.dialect, error, client.request_id)
    await client.respond(error.status, error_headers(error), body)


def error_headers(error: ApiError) -> Headers:
    headers: Headers = [(b"content-type", b"application/json")]
    if error.status in _FINAL_STATUSES:
        headers.append((b"x-should-retry", b"false"))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if error.kind is ErrorKind.TOO_LARGE or error.status == 408:
        headers.append((b"connection", b"close"))  # the rest of the body is not wanted
    return headers
