"""Follow a JetStream stream in order, without gaps, through restarts of broker and network.

How it works: an ephemeral push consumer (no acks, memory, one replica) delivers to an inbox of ours with idle
heartbeats. Delivery numbers count 1, 2, 3 ...; a number that is not the next, a heartbeat that names another last
number, `misses_max` missed heartbeats or a reconnect mean something was lost: the consumer is dropped and a new one
starts right after the last message handed on, with jittered backoff. (nats-py's own ordered watch was measured 17 s
late after a broker restart; this one is back within about a second.)

Backpressure: messages wait in a bounded queue; flow-control requests are answered only when they are reached in it.

Messages come by callback: nats-py's `next_msg` makes a task, a timer and a UUID for each, which at thousands a second
cost more than all else here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import Error as JetStreamError

from lumen.platform.lifecycle import cancel_until_done

logger = logging.getLogger(__name__)

_QUEUE_MESSAGES_MAX = 4096
_BACKOFF_S_MAX = 2.0


@dataclass(frozen=True, slots=True)
class StreamMessage:
    subject: str
    sequence: int
    data: bytes
    headers: dict[str, str] | None
    timestamp_ns: int
    pending: int  # messages of this filter still behind this one


class _Broken(Exception):
    """The consumer lost its place; re-create it."""


class OrderedReader:
    """`start()`, then `await read()` in a loop; `stop()`.

    `start_sequence`: the first stream sequence wanted; None: the last message of each subject first (KV semantics),
    then everything after.
    """

    def __init__(
        self,
        nc: Client,
        stream: str,
        subjects: Sequence[str],
        *,
        start_sequence: int | None,
        heartbeat_s: float = 0.5,
        misses_max: int = 3,
    ) -> None:
        self._nc = nc
        self._stream = stream
        self._subjects = list(subjects)
        self._next_sequence = start_sequence
        self._heartbeat_s = heartbeat_s
        self._silence_s = heartbeat_s * misses_max
        self._queue: asyncio.Queue[StreamMessage] = asyncio.Queue(_QUEUE_MESSAGES_MAX)
        self._task: asyncio.Task[None] | None = None
        self._alive_at = 0.0
        self._heard_at = 0.0  # as _alive_at; infinite while a message waits for room in the queue
        self._delivered = 0
        self._caught_up = asyncio.Event()
        self.recreated = 0

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"ordered-reader-{self._stream}")

    async def stop(self) -> None:
        if self._task is not None:
            await cancel_until_done([self._task])

    def age_s(self) -> float:
        """Seconds since the broker last proved this view current (infinite before the first proof)."""
        return time.monotonic() - self._alive_at if self._alive_at else float("inf")

    @property
    def is_caught_up(self) -> bool:
        """Everything that was in the stream when last looked at has been taken by `read`."""
        return self._caught_up.is_set() and self._queue.empty()

    async def wait_delivered(self) -> None:
        """Until the initial content has been delivered to the queue."""
        await self._caught_up.wait()

    async def read(self, messages_max: int = 1000, timeout_s: float | None = None) -> list[StreamMessage]:
        """At least one message (or none after `timeout_s`), at most `messages_max`, in stream order."""
        try:
            async with asyncio.timeout(timeout_s):  # not wait_for: on 3.11 it can lose a cancellation
                first = await self._queue.get()
        except TimeoutError:
            return []
        messages = [first]
        while len(messages) < messages_max and not self._queue.empty():
            messages.append(self._queue.get_nowait())
        return messages

    async def _run(self) -> None:
        backoff_s = 0.05
        while True:
            started = time.monotonic()
            try:
                await self._follow()
            except (_Broken, NatsError, JetStreamError, TimeoutError, OSError) as error:
                logger.info("reader re-created", extra={"stream": self._stream, "reason": repr(error)})
            if time.monotonic() - started > 5:
                backoff_s = 0.05
            self.recreated += 1
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))
            backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)

    async def _follow(self) -> None:
        js = self._nc.jetstream(timeout=2)
        inbox = self._nc.new_inbox()
        broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._delivered = 0

        async def receive(msg: Msg) -> None:
            if broken.done():
                return
            try:
                await self._take(msg)
            except Exception as error:
                broken.set_exception(error)

        subscription = await self._nc.subscribe(
            inbox, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=256 * 1024 * 1024
        )
        consumer_name: str | None = None
        try:
            by_sequence = self._next_sequence is not None
            info = await js.add_consumer(
                self._stream,
                ConsumerConfig(
                    deliver_subject=inbox,
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE if by_sequence else DeliverPolicy.LAST_PER_SUBJECT,
                    opt_start_seq=self._next_sequence if by_sequence else None,
                    filter_subject=self._subjects[0] if len(self._subjects) == 1 else None,
                    filter_subjects=self._subjects if len(self._subjects) > 1 else None,
                    ack_policy=AckPolicy.NONE,
                    max_deliver=1,
                    flow_control=True,
                    idle_heartbeat=self._heartbeat_s,
                    mem_storage=True,
                    num_replicas=1,
                    inactive_threshold=30.0,
                ),
            )
            consumer_name = info.name
            self._alive_at = self._heard_at = time.monotonic()
            if not info.num_pending and not (info.delivered and info.delivered.consumer_seq):
                self._caught_up.set()
            await self._until(broken)
        finally:
            broken.cancel()
            await _quietly(subscription.unsubscribe())
            if consumer_name is not None and self._nc.is_connected:
                await _quietly(js.delete_consumer(self._stream, consumer_name))

    async def _until(self, broken: asyncio.Future[None]) -> None:
        """Raises what made the consumer lose its place; a silence does."""
        while not broken.done():
            silent_s = max(0.0, time.monotonic() - self._heard_at)
            if silent_s >= self._silence_s:
                raise _Broken("missed heartbeats")
            await asyncio.wait([broken], timeout=self._silence_s - silent_s)
        broken.result()

    async def _take(self, msg: Msg) -> None:
        headers = msg.headers
        if headers is not None and headers.get("Status") == "100":
            await self._take_heartbeat(msg, headers)
            return
        if headers is not None and "Status" in headers:
            raise _Broken(f"status {headers['Status']}")
        message, number = _parse(msg)
        if number != self._delivered + 1:
            raise _Broken(f"delivery {number} after {self._delivered}")
        self._delivered = number
        self._alive_at = time.monotonic()
        self._heard_at = float("inf")
        await self._queue.put(message)
        self._next_sequence = message.sequence + 1
        self._heard_at = time.monotonic()
        if message.pending == 0:
            self._caught_up.set()

    async def _take_heartbeat(self, msg: Msg, headers: dict[str, str]) -> None:
        self._alive_at = self._heard_at = time.monotonic()
        last = headers.get("Nats-Last-Consumer")
        if last is not None and int(last) != self._delivered:
            raise _Broken(f"heartbeat names {last}, seen {self._delivered}")
        control = msg.reply or headers.get("Nats-Consumer-Stalled")
        if control:
            await self._nc.publish(control, b"")
        elif last is not None:
            self._caught_up.set()  # idle: nothing was pending


def _parse(msg: Msg) -> tuple[StreamMessage, int]:
    """Reply subject: $JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<timestamp>.<pending>, or 12 tokens with
    domain and account hash (NATS ADR-15)."""
    tokens = msg.reply.split(".")
    sequence, number, timestamp, pending = tokens[-5:-1] if len(tokens) >= 12 else tokens[-4:]
    return (
        StreamMessage(msg.subject, int(sequence), msg.data, msg.headers, int(timestamp), int(pending)),
        int(number),
    )


async def _quietly(awaitable) -> None:  # type: ignore[no-untyped-def]
    with contextlib.suppress(NatsError, JetStreamError, TimeoutError, OSError):
        await awaitable
