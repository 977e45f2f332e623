"""Redis as billing's second sink: a partition's mark moves by compare-and-set together with all it stands for.

Whoever finds the mark elsewhere has been overtaken, or Redis has been emptied, restored or failed over: nothing is
written, `live` is cleared so that nothing new is granted, and the caller starts over from the marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from lumen.ledger import keyspace
from lumen.ledger.redis_scripts import Script, ScriptCall
from services.billing.groups import PartitionPost
from services.billing.marks import Mark, parse_mark


class MarkConflict(Exception):
    """Some partitions' marks are not where this process left them."""

    def __init__(self, found: Mapping[int, str]) -> None:
        self.found = dict(found)
        super().__init__(f"marks moved under us: {dict(list(self.found.items())[:5])}")


class RedisSink:
    """`marks`: what this process last left in Redis, per partition; `adopt` sets them at start.

    Raises redis.exceptions.RedisError (outcome unknown: call again, the marks decide) and MarkConflict.
    """

    def __init__(self, redis: Redis, *, live_ms: int = 5000) -> None:
        self._redis = redis
        self._live_ms = live_ms
        self._script = Script("post")
        self.marks: dict[int, Mark] = {}

    def adopt(self, marks: Mapping[int, Mark]) -> None:
        self.marks = dict(marks)

    async def load_marks(self, partitions: Sequence[int]) -> dict[int, Mark | None]:
        """None: no mark, or an unfinished rebuild's token."""
        if not partitions:
            return {}
        async with self._redis.pipeline(transaction=False) as pipeline:
            for partition in partitions:
                pipeline.get(keyspace.mark_key(partition))
            values = await pipeline.execute()
        return {partition: parse_mark(value) for partition, value in zip(partitions, values, strict=True)}

    async def post(self, posts: Iterable[PartitionPost]) -> None:
        """Post what is not posted yet; calling it again after an error completes it exactly once."""
        pending = [post for post in posts if self.marks[post.partition] != post.mark]
        calls = [self._call(post.partition, post.mark, post.deltas, live_ms=0) for post in pending]
        await self._run(calls, {post.partition: post.mark for post in pending})

    async def touch(self, partitions: Iterable[int]) -> None:
        """Prove that the marks are still ours and set `live` for partitions that are at the ledger's tail."""
        wanted = {partition: self.marks[partition] for partition in partitions}
        await self._run(
            [self._call(partition, mark, {}, live_ms=self._live_ms) for partition, mark in wanted.items()], wanted
        )

    async def clear_live(self, partitions: Iterable[int]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for partition in partitions:
                pipeline.delete(keyspace.live_key(partition))
            await pipeline.execute()

    async def _run(self, calls: Sequence[ScriptCall], wanted: Mapping[int, Mark]) -> None:
        if not calls:
            return
        answers = await self._script.run_many(self._redis, calls)
        conflicts: dict[int, str] = {}
        failure: RedisError | None = None
        for (partition, mark), answer in zip(wanted.items(), answers, strict=True):
            if isinstance(answer, RedisError):
                failure = answer
            elif isinstance(answer, Exception):
                raise answer
            elif answer[0] == 1 or answer[1].decode(errors="replace") == str(mark):
                self.marks[partition] = mark  # moved now, or by a call of ours whose answer was lost
            else:
                conflicts[partition] = answer[1].decode(errors="replace")
        if conflicts:
            raise MarkConflict(conflicts)
        if failure is not None:
            raise failure

    def _call(self, partition: int, mark: Mark, deltas: Mapping[str, Mapping[str, int]], *, live_ms: int) -> ScriptCall:
        keys = [keyspace.mark_key(partition), keyspace.live_key(partition)]
        args: list[str | int] = [str(self.marks[partition]), str(mark), live_ms]
        for key, fields in deltas.items():
            keys.append(key)
            # one argument per hash: the client spends more on packing arguments than Redis on the script
            args.append(" ".join([f"{name} {amount}" for name, amount in fields.items()]))
        return keys, args
