"""Asking every connected edge how it would route a request: an order goes out on the watch streams, answers come back
by `Router.Explained`. Edges that do not answer in time are left out."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from uuid import uuid4

from protos import router_pb2

_WAIT_S_MAX = 1.5
_OPEN_MAX = 64
_QUEUED_MAX = 16


class Inbox:
    """One edge's watch stream: orders it has not been given yet, and what wakes it."""

    def __init__(self) -> None:
        self.orders: deque[router_pb2.ExplainOrder] = deque(maxlen=_QUEUED_MAX)
        self.woken = asyncio.Event()


class _Open:
    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.answers: list[router_pb2.ExplainedRequest] = []
        self.is_complete = asyncio.Event()


class Explanations:
    def __init__(self) -> None:
        self._inboxes: set[Inbox] = set()
        self._open: dict[str, _Open] = {}

    def join(self, inbox: Inbox) -> None:
        self._inboxes.add(inbox)

    def leave(self, inbox: Inbox) -> None:
        self._inboxes.discard(inbox)

    async def ask(self, request: router_pb2.ExplainRequest) -> list[router_pb2.ExplainedRequest]:
        """By worker id; empty when no edge is connected, or too many ask at once."""
        if not self._inboxes or len(self._open) >= _OPEN_MAX:
            return []
        order = router_pb2.ExplainOrder(
            order_id=uuid4().hex,
            group=request.group,
            model=request.model,
            account_id=request.account_id,
            text=request.text,
        )
        waiting = self._open[order.order_id] = _Open(len(self._inboxes))
        try:
            for inbox in self._inboxes:
                inbox.orders.append(order)
                inbox.woken.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(waiting.is_complete.wait(), _WAIT_S_MAX)
            return sorted(waiting.answers, key=lambda answer: answer.worker_id)
        finally:
            del self._open[order.order_id]

    def answered(self, answer: router_pb2.ExplainedRequest) -> None:
        waiting = self._open.get(answer.order_id)
        if waiting is None or len(waiting.answers) >= waiting.expected:
            return
        waiting.answers.append(answer)
        if len(waiting.answers) == waiting.expected:
            waiting.is_complete.set()
