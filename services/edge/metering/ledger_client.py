"""nats-py's client with a short way for the two things the ledger does for every batch: a publish, and its ack.

The library's own `publish` goes through a queue to a task that flushes, and a message through another queue to a task
per subscription: two wake-ups each, which cost more than the rest of metering. Everything else (connecting,
authentication, TLS, reconnecting, requests) is the library's. The three members used besides its public ones are
checked by `tests/integration/edge_metering/test_ledger_client.py`, as the lock file's version may change.
"""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client
from nats.errors import ConnectionReconnectingError

from lumen.platform import nats as platform_nats

OnMessage = Callable[[str, bytes], None]  # subject, payload


class LedgerClient(Client):
    def __init__(self) -> None:
        super().__init__()
        self._direct: dict[int, OnMessage] = {}

    async def subscribe_directly(self, subject: str, on_message: OnMessage) -> None:
        """`on_message` is called as messages are read, also after a reconnect; it must be quick and not raise."""
        subscription = await self.subscribe(subject)
        self._direct[subscription._id] = on_message

    async def publish_now(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """`headers` as on the wire, from `NATS/1.0` to the empty line. Raises nats.errors.Error when not connected.

        Not validated: subjects are ours.
        """
        command = b"HPUB %b %b %d %d\r\n%b%b\r\n" % (
            subject.encode(),
            reply.encode(),
            len(headers),
            len(headers) + len(payload),
            headers,
            payload,
        )
        if not self.is_connected:
            raise ConnectionReconnectingError
        if self._pending_data_size:  # behind what waits already
            await self._send_command(command)
            await self._flush_pending()
        else:
            assert self._transport is not None
            self._transport.write(command)
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += len(payload)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        on_message = self._direct.get(sid)
        if on_message is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        on_message(subject.decode(), data)


async def connect(url: str, *, name: str) -> LedgerClient:
    """As `lumen.platform.nats.connect`."""
    client = LedgerClient()
    await platform_nats.connect(url, name=name, client=client)
    return client
