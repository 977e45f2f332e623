"""This edge's part of one limit. No I/O and no clock of its own.

What auth grants is *in hand*: requests take from it without asking. Requests and tokens taken are *used*, for good;
slots and money taken are *in use* until the request ends, when slots come back and of the money what was not spent.
Auth is told the totals (used) and what is kept (in hand and in use), never differences, so a lost answer heals.

Asked for ahead of need: about what a second takes, a tenth of it once somebody somewhere was refused, so that little
lies idle where others starve. What is in hand and has not been needed lately goes back.

While auth (or its Redis) is away, what is in hand serves; then this edge admits by itself: its part of what was left
when it last heard, and for rates its part of the limit as time goes by, where its part is one of all live edges'.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from protos import auth_pb2

_AHEAD_S = 1.0
_AHEAD_SCARCE_S = 0.1
_IDLE_PART = 64  # all edges together keep at most 1/64 of a limit in hand for a request that may come
_BUSY_PART = 16
_SAMPLE_S = 0.1
_DENIED_S_MIN, _DENIED_S_MAX = 0.03, 1.0
_MINUTE_MS = 60_000
_DRAINING = frozenset({auth_pb2.LIMIT_REQUESTS, auth_pb2.LIMIT_TOKENS})


class Refusal(NamedTuple):
    """`wait_s`: until it would be admitted; 0: nobody knows. `is_unknown`: nobody could be asked."""

    share: Share
    wait_s: float
    is_unknown: bool = False


class Waiter(NamedTuple):
    need: int
    answered: asyncio.Future[float | None]  # None: admitted; else seconds to wait


class Asked(NamedTuple):
    """What auth was told, to be compared with its answer."""

    used: int
    waiters: int


class Share:
    __slots__ = (
        "__weakref__",
        "_denied_need",
        "_local_at_ms",
        "_local_epoch",
        "_local_left",
        "_local_rest",
        "_offered",
        "_rate",
        "_sampled_at",
        "answered_at",
        "asked_at",
        "available",
        "denied_until",
        "drains",
        "in_use",
        "is_new",
        "is_scarce",
        "kind",
        "left",
        "limit",
        "low",
        "reserve_part",
        "scope",
        "used",
        "used_known",
        "waiters",
        "window",
        "wish",
    )

    def __init__(self, scope: str, kind: auth_pb2.LimitKind, window: str, limit: int, now: float) -> None:
        self.scope = scope
        self.kind = kind
        self.window = window
        self.limit = limit
        self.drains = kind in _DRAINING
        self.left = self.in_use = self.used = self.used_known = 0
        self.is_new = True
        self.low = 0  # less in hand: ask for more
        self.available = limit  # what nobody had, when last heard
        self.answered_at = float("-inf")  # when the last answered question was sent
        self.asked_at = float("-inf")
        self.is_scarce = False
        self.denied_until = 0.0
        self.waiters: deque[Waiter] = deque()
        # Besides: what somebody would take if it were in hand, and does without if not.
        self.wish = 0
        self.reserve_part = _IDLE_PART
        self._denied_need = 0
        self._rate = 0.0  # asked for, per second
        self._offered = 0
        self._sampled_at = now
        self._local_epoch = 0
        self._local_left = self._local_rest = self._local_at_ms = 0

    # --- requests

    def try_take(self, need: int) -> bool:
        """From what is in hand, unless others wait for it."""
        self._offered += need
        if self.left < need or self.waiters:
            return False
        self._take(need)
        self.left -= need
        return True

    def denied_s(self, need: int, now: float) -> float:
        """A refusal that is still fresh: seconds until asking makes sense again, 0.0: now."""
        return self.denied_until - now if now < self.denied_until and need >= self._denied_need else 0.0

    def take_back(self, need: int) -> None:
        """The request was not admitted after all."""
        self.left += need
        if self.drains:
            self.used -= need
        else:
            self.in_use -= need

    def correct(self, difference: int) -> None:
        """A request used so much more (or less) than was taken for it. Only auth knows what of it has drained."""
        self.used += difference
        if difference > 0:
            self.left -= min(self.left, difference)

    def settle(self, taken: int, spent: int) -> None:
        """A request has ended that took `taken`; `spent` of it stays used (0: a slot)."""
        self.in_use -= taken
        self.used += spent
        self.left = max(0, self.left + taken - spent)

    def _take(self, need: int) -> None:
        if self.drains:
            self.used += need
        else:
            self.in_use += need

    # --- auth

    @property
    def held(self) -> int:
        return self.left + self.in_use

    @property
    def has_news(self) -> bool:
        """Something auth must be told of, now and then."""
        return self.held != 0 or self.used != self.used_known or self.wish > 0 or bool(self.waiters)

    def ahead(self, workers: int, now: float) -> int:
        """How much to have in hand for requests to come; sets the low-water mark."""
        elapsed_s = now - self._sampled_at
        if elapsed_s >= _SAMPLE_S:
            self._rate += (self._offered / elapsed_s - self._rate) * min(1.0, 0.5 * elapsed_s / _SAMPLE_S)
            self._offered, self._sampled_at = 0, now
        if self.is_scarce:
            wanted = int(self._rate * _AHEAD_SCARCE_S)
        else:
            busy = min(round(self._rate * _AHEAD_S), max(1, self.limit // _BUSY_PART))
            wanted = max(busy, self.limit // (self.reserve_part * workers))
        self.low = (wanted + 1) // 2
        return wanted

    def give_back_idle(self, workers: int, now: float) -> None:
        """Of what is in hand, what has not been needed lately."""
        wanted = self.ahead(workers, now)
        if self.left > 2 * wanted:
            self.left = wanted

    def order(self, workers: int, now: float, *, is_leased: bool) -> auth_pb2.LimitShare:
        """What to tell and ask auth. Not `is_leased`: nothing is kept for later."""
        if is_leased:
            ahead = max(0, self.ahead(workers, now) - self.left)
        else:
            ahead = self.left = 0
        return auth_pb2.LimitShare(
            scope=self.scope,
            kind=self.kind,
            window=self.window,
            limit=self.limit,
            used=self.used,
            used_known=self.used_known,
            held=self.held,
            need=self.waiters[0].need if self.waiters else min(1, self.wish),
            waiting=sum(waiter.need for waiter in self.waiters) + self.wish,
            ahead=ahead if now >= self.denied_until else 0,
            is_new=self.is_new,
        )

    def asked(self, now: float) -> Asked:
        self.asked_at = now
        return Asked(self.used, len(self.waiters))

    def learn(self, asked: Asked, grant: auth_pb2.LimitGrant, now: float) -> None:
        """Auth's answer: serve those who waited, in their order, and tell the rest how long it will be."""
        self.used_known = asked.used
        self.is_new = False
        self.available = grant.available
        self.is_scarce = grant.is_scarce
        self.answered_at = self.asked_at
        self.left += grant.granted
        if self.wish and not self.waiters and not grant.granted:
            self.is_scarce = True
            self.denied_until = now + min(max(grant.wait_ms / 1000, _DENIED_S_MIN), _DENIED_S_MAX)
            self._denied_need = 1
        if grant.granted:
            self.wish = 0
        pending = asked.waiters  # those behind came while the call was under way; what is left serves them too
        while self.waiters:
            need, answered = self.waiters[0]
            if not answered.done():  # else its client has left
                if self.left < need:
                    if pending > 0:
                        self._deny(pending, grant.wait_ms / 1000, now)
                    return
                self.left -= need
                self._take(need)
                answered.set_result(None)
            self.waiters.popleft()
            pending -= 1

    def _deny(self, count: int, wait_s: float, now: float) -> None:
        self.is_scarce = True
        self._denied_need = self.waiters[0].need
        self.denied_until = now + min(max(wait_s, _DENIED_S_MIN), _DENIED_S_MAX)
        for _ in range(min(count, len(self.waiters))):
            waiter = self.waiters.popleft()
            if not waiter.answered.done():
                waiter.answered.set_result(max(wait_s, _DENIED_S_MIN))

    def lapse(self) -> None:
        """Auth has not been heard of for so long that it has given to others what was in hand here."""
        self.left = 0

    # --- while auth is away

    def take_locally(self, need: int, epoch: int, workers: int, now: float) -> Refusal | None:
        """By the local rule; `epoch` numbers the outage. None: admitted."""
        part = self._accrue(epoch, workers, now)
        asked = need
        if self.drains:
            need = min(need, part)  # else it could never be admitted
        if self._local_left >= need:
            self._local_left -= need
            self._take(asked)
            return None
        if self.drains:
            return Refusal(self, (need - self._local_left) * 60 / part)
        return Refusal(self, 0.0, is_unknown=True)

    def has_locally(self, epoch: int, workers: int, now: float) -> bool:
        self._accrue(epoch, workers, now)
        return self._local_left > 0

    def _accrue(self, epoch: int, workers: int, now: float) -> int:
        """Bring the local rule's allowance up to date; returns this edge's part of the limit."""
        part = max(1, self.limit // workers)
        now_ms = int(now * 1000)
        if self._local_epoch != epoch:
            self._local_epoch = epoch
            self._local_left = self.available // workers
            self._local_at_ms, self._local_rest = now_ms, 0
        if self.drains:
            owed = min(now_ms - self._local_at_ms, _MINUTE_MS) * part + self._local_rest
            self._local_at_ms = now_ms
            self._local_left = min(part, self._local_left + owed // _MINUTE_MS)
            self._local_rest = owed % _MINUTE_MS
        return part

    # --- for headers

    def remaining(self, now: float) -> int:
        """An estimate of what all edges could still admit."""
        drained = int(min(max(0.0, now - self.answered_at), 60.0) * self.limit / 60) if self.drains else 0
        return max(0, min(self.limit, self.available + self.left + drained))
