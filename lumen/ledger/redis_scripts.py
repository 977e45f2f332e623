"""The ledger's Lua scripts (`lumen/ledger/scripts/*.lua`): EVALSHA, and the text again when Redis has forgotten it.

A script that answered NOSCRIPT has not run, so sending it again with its text is safe; no other error is retried here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

# keys, arguments of one call
ScriptCall = tuple[Sequence[str], Sequence[str | int]]


class Script:
    """One script by its file name without the suffix; raises FileNotFoundError at construction."""

    def __init__(self, name: str) -> None:
        self.text = (resources.files("lumen.ledger") / "scripts" / f"{name}.lua").read_text()
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, redis: Redis, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Raises redis.exceptions.RedisError; after anything but an error reply the script may or may not have run."""
        try:
            return await redis.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await redis.eval(self.text, len(keys), *keys, *args)

    async def run_many(self, redis: Redis, calls: Sequence[ScriptCall]) -> list[Any]:
        """One round trip for all calls, answers in order; a call's own error stands in its place as an exception.

        Raises redis.exceptions.RedisError when the connection fails: any of the calls may or may not have run.
        """
        answers = await self._pipeline(redis, calls)
        missing = [position for position, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missing:
            await redis.script_load(self.text)
            again = await self._pipeline(redis, [calls[position] for position in missing])
            for position, answer in zip(missing, again, strict=True):
                answers[position] = answer
        return answers

    async def _pipeline(self, redis: Redis, calls: Sequence[ScriptCall]) -> list[Any]:
        async with redis.pipeline(transaction=False) as pipeline:
            for keys, args in calls:
                pipeline.evalsha(self.sha, len(keys), *keys, *args)
            return await pipeline.execute(raise_on_error=False)
