"""Load that remembers what it saw: for each request whether its end came, and what it must then have cost."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import aiohttp

from tests.e2e.prices import cost_nanousd

MODEL = "claude-opus-4-8"
_ENDS = {
    "/v1/chat/completions": b"data: [DONE]",
    "/v1/messages": b'"message_stop"',
    "/v1/responses": b"response.completed",
}


@dataclass(slots=True)
class Seen:
    """`ended`: request id -> cost of every answer whose end a client saw. `other`: started or failed, end unseen:
    what each may at most have cost."""

    ended: dict[str, int] = field(default_factory=dict)
    unseen_nanousd_max: int = 0
    unseen: int = 0
    statuses: dict[int, int] = field(default_factory=dict)


class Load:
    """`await run()` until `stop()`; `workers` clients, each one request after the other."""

    def __init__(self, base_url: str, key: str, *, workers: int, seed: int = 1) -> None:
        self._base_url = base_url
        self._key = key
        self._workers = workers
        self._random = random.Random(seed)
        self._is_stopping = False
        self.seen = Seen()

    def stop(self) -> None:
        self._is_stopping = True

    async def run(self) -> Seen:
        async with aiohttp.ClientSession(
            headers={"authorization": f"Bearer {self._key}"}, timeout=aiohttp.ClientTimeout(total=60)
        ) as session:
            await asyncio.gather(*(self._client(session) for _ in range(self._workers)))
        return self.seen

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._is_stopping:
            tokens = self._random.randrange(1, 30)
            endpoint = self._random.choice(list(_ENDS))
            is_stream = self._random.random() < 0.7
            try:
                is_refused = await self._request(session, endpoint, tokens, is_stream)
            except (aiohttp.ClientError, TimeoutError, OSError):
                self._count_unseen(tokens)
                is_refused = True
            if is_refused:
                await asyncio.sleep(0.05)  # as an SDK backs off

    def _count_unseen(self, tokens: int) -> None:
        self.seen.unseen += 1
        self.seen.unseen_nanousd_max += cost_nanousd(MODEL, input=10, output=tokens)

    async def _request(self, session: aiohttp.ClientSession, endpoint: str, tokens: int, is_stream: bool) -> bool:
        """Returns whether it was refused."""
        prompt = f"[[sim tokens={tokens} input=10 delay_ms=2]]"
        body: dict[str, object] = {"model": MODEL, "stream": is_stream}
        if endpoint == "/v1/responses":
            body["input"] = prompt
        else:
            body |= {"max_tokens": 100, "messages": [{"role": "user", "content": prompt}]}
        async with session.post(f"{self._base_url}{endpoint}", json=body) as response:
            statuses = self.seen.statuses
            statuses[response.status] = statuses.get(response.status, 0) + 1
            if response.status != 200:
                await response.read()
                return True
            content = await response.read()
            if is_stream and _ENDS[endpoint] not in content:
                self._count_unseen(tokens)
                return True
            self.seen.ended[response.headers["x-request-id"]] = cost_nanousd(MODEL, input=10, output=tokens)
            return False
