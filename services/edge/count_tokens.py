"""`POST /v1/messages/count_tokens`: asked of the provider, free of charge, so neither held nor recorded."""

from __future__ import annotations

from random import Random

from lumen.catalog.document import Channel
from lumen.catalog.resolve import select
from lumen.protocols.dialects import Dialect, upstream_path
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.passthrough import rewrite_model
from lumen.protocols.peek import peek
from lumen.protocols.request_fields import InvalidRequest
from services.edge.admission import Admission
from services.edge.attempts import refused, transport_failure
from services.edge.client_address import ClientAddresses
from services.edge.client_connection import ClientConnection, ClientGone, Receive, Scope
from services.edge.forwarded_headers import forwarded
from services.edge.model_endpoint import RequestHead, new_request_id, respond_error
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.provider_workers.transport import UpstreamFailure
from services.edge.settings import EdgeSettings
from services.edge.upstream_body import read_whole

_ANSWER_BYTES_MAX = 1024 * 1024
_SUFFIX = b"/count_tokens"


class CountTokens:
    def __init__(
        self,
        admission: Admission,
        workers: ProviderWorkers,
        addresses: ClientAddresses,
        settings: EdgeSettings,
    ) -> None:
        self._admission = admission
        self._workers = workers
        self._addresses = addresses
        self._settings = settings
        self._random = Random()  # spreads load

    async def serve(self, scope: Scope, receive: Receive) -> None:
        client = ClientConnection(scope, receive, new_request_id(), Dialect.ANTHROPIC_MESSAGES)
        try:
            await self._serve(client, RequestHead(scope, self._addresses))
        except ApiError as error:
            await respond_error(client, error)
        except ClientGone:
            return

    async def _serve(self, client: ClientConnection, head: RequestHead) -> None:
        key = await self._admission.authenticate(head.fields, head.client_ip)
        group = self._admission.group_of(key)
        body = await client.read_body(self._settings.body_bytes_max, self._settings.body_read_s_max)
        try:
            peeked = peek(client.dialect, body, is_output_cap_required=False)
        except InvalidRequest as error:
            raise ApiError(ErrorKind.INVALID_REQUEST, error.message) from error
        self._admission.check_client(group, head, peeked)
        resolution = await self._admission.resolve(key, peeked.model)
        self._admission.check_rates(key)
        targets = select(resolution, client.dialect.value, self._random, is_usable=self._is_usable)
        if not targets:
            raise ApiError(
                ErrorKind.INVALID_REQUEST, f"Tokens of `{resolution.model.code}` cannot be counted in this dialect yet."
            )
        target = targets[0]
        worker = self._workers.get(target.channel.name)
        if worker is None or not worker.try_acquire():
            raise ApiError(ErrorKind.OVERLOADED, "The provider is busy. Please retry.", retry_after_s=1)
        try:
            response = await worker.send(
                client.dialect.value,
                upstream_path(client.dialect).encode() + _SUFFIX,
                forwarded(head.headers, client.dialect, is_stream=False),
                rewrite_model(peeked, body, target.upstream_model),
            )
            if response.status != 200:
                raise (await refused(response)).error
            answer = await read_whole(response, _ANSWER_BYTES_MAX)
        except UpstreamFailure as error:
            raise transport_failure(error).error from error
        finally:
            worker.release()
        await client.respond(200, [(b"content-type", b"application/json")], answer)

    def _is_usable(self, channel: Channel) -> bool:
        worker = self._workers.get(channel.name)
        return worker is not None and worker.is_ready
