"""`POST /v1/messages/count_tokens`: asked of the provider, free of charge, so neither held nor recorded.

Where no provider of the model can count (another dialect, or an Anthropic-shaped API without the method, which answers
404), Lumen estimates and says so in `x-lumen-estimated`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lumen.catalog.resolve import Target
from lumen.ledger.entries import Attempt
from lumen.protocols.dialects import upstream_path
from lumen.protocols.errors import ApiError
from lumen.protocols.estimate import prompt_tokens_typical
from lumen.protocols.passthrough import rewrite_model
from lumen.protocols.peek import Peek
from services.edge.admission import Admission
from services.edge.attempts import Attempts
from services.edge.client_connection import ClientConnection
from services.edge.exchanges import UpstreamMessage
from services.edge.failures import transport_failure
from services.edge.forwarded_headers import forwarded
from services.edge.limits.limiter import Limiter
from services.edge.provider_workers.transport import ProtocolViolation, UpstreamFailure, UpstreamResponse
from services.edge.request_guard import RequestGuard
from services.edge.request_head import RequestHead
from services.edge.settings import EdgeSettings
from services.edge.upstream_body import read_whole

_ANSWER_BYTES_MAX = 1024 * 1024
_SUFFIX = b"/count_tokens"
_LABEL = "count_tokens"
_NO_SUCH_METHOD = 404


class CountTokens:
    def __init__(
        self,
        guard: RequestGuard,
        admission: Admission,
        attempts: Attempts,
        limiter: Limiter,
        settings: EdgeSettings,
    ) -> None:
        self._guard = guard
        self._admission = admission
        self._attempts = attempts
        self._limiter = limiter
        self._settings = settings

    async def serve(self, client: ClientConnection, head: RequestHead) -> None:
        await self._guard.serve(client, _LABEL, time.monotonic(), self._serve(client, head))

    async def _serve(self, client: ClientConnection, head: RequestHead) -> None:
        admission = self._admission
        key = await admission.authenticate(head.fields, head.client_ip)
        group = admission.group_of(key)
        body = await client.read_body(head.fields, self._settings.body_bytes_max, self._settings.body_read_s_max)
        peek = admission.read_request(client.dialect, body, group, head, is_output_cap_required=False)
        resolution = await admission.resolve(key, peek.model)
        selection = self._attempts.select(resolution, key.account_id, peek, body)
        gate = self._limiter.gate(key, group)
        if gate is not None:  # a request, but free of charge and short: no tokens, no slot
            await self._limiter.admit_client(client, gate, 0, has_slot=False)
        exchange = CountExchange(client, head, peek, body)
        native = [target for target in selection.targets if client.dialect in target.channel.dialects]
        try:
            if native:
                own = selection._replace(targets=native)
                # A provider without this method is none the worse for it.
                await self._attempts.run(exchange, own, resolution.model.code, is_evidence=False)
                return
        except ApiError:
            if any(attempt.status != _NO_SUCH_METHOD for attempt in exchange.attempts):
                raise
        attached = resolution.model.attachment_tokens
        tokens = prompt_tokens_typical(peek, len(body), image_tokens_max=attached.image, file_tokens_max=attached.file)
        client.extra_headers = [(b"x-lumen-estimated", b"true")]
        await client.respond(200, [(b"content-type", b"application/json")], b'{"input_tokens":%d}' % tokens)


class CountExchange:
    """See `services.edge.exchanges.Exchange`."""

    __slots__ = ("_answer", "_body", "_head", "_peek", "attempts", "client", "on_first_byte")

    def __init__(self, client: ClientConnection, head: RequestHead, peek: Peek, body: bytes) -> None:
        self.client = client
        self.attempts: list[Attempt] = []
        self.on_first_byte: Callable[[], None] | None = None
        self._head = head
        self._peek = peek
        self._body = body

    def request(self, target: Target) -> UpstreamMessage:
        dialect = self.client.dialect
        return UpstreamMessage(
            dialect,
            upstream_path(dialect).encode() + _SUFFIX,
            forwarded(self._head.headers, dialect, is_stream=False),
            rewrite_model(self._peek, self._body, target.upstream_model),
        )

    async def receive(self, response: UpstreamResponse) -> None:
        self._answer = await read_whole(response, _ANSWER_BYTES_MAX)

    async def conclude(self, target: Target, response: UpstreamResponse | None, failure: Exception | None) -> str:
        if response is None or failure is not None:
            if self.client.is_gone:
                return "client_gone"
            raise transport_failure(failure if isinstance(failure, UpstreamFailure) else ProtocolViolation())
        await self.client.respond(200, [(b"content-type", b"application/json")], self._answer)
        return "ok"
