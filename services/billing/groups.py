"""A group: a run of ledger messages turned into what both sinks will be told, before either is told anything.

Each message counts for a sink only above that sink's mark of its partition, so a sink that is ahead of the other
(after a crash between the two, or a restored backup) is not told twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from lumen.ledger import keyspace
from lumen.ledger.entries import CreditEntry, Entry, UsageEntry
from lumen.money.pots import EXPIRY_KIND
from lumen.platform.ordered_reader import StreamMessage
from services.billing.decoding import DecodedMessage, Flaw, Reason, decode_message
from services.billing.marks import Mark, digest_of
from services.billing.rating import NotRatable, Rates
from services.billing.tables import Place, Row, credit_row
from services.billing.usage_rows import UsageRows

_HOUR_US = 3_600_000_000
_TRACEPARENTS_MAX = 128  # as many links as a span keeps


@dataclass(slots=True)
class PartitionPost:
    """What one partition's balances move by: Redis key -> field -> amount, and the mark that stands for it."""

    partition: int
    mark: Mark
    deltas: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, key: str, name: str, amount: int) -> None:
        fields = self.deltas.get(key)
        if fields is None:
            fields = self.deltas[key] = {}
        fields[name] = fields.get(name, 0) + amount

    def charge(self, key: str, total: str, posted: str, cost: int, *, sign: int) -> None:
        """One charge of a lease: the hash's `total` moves by it, down or up, and the lease's `posted` up."""
        fields = self.deltas.get(key)
        if fields is None:
            self.deltas[key] = {total: sign * cost, posted: cost}
            return
        fields[total] = fields.get(total, 0) + sign * cost
        fields[posted] = fields.get(posted, 0) + cost


@dataclass(frozen=True, slots=True)
class Expiry:
    """An entry that says that a credit has expired; its amount is worked out when all before it is in ClickHouse."""

    place: Place
    index: int
    entry: CreditEntry
    is_for_clickhouse: bool
    post: PartitionPost | None


@dataclass(slots=True)
class Group:
    usage: UsageRows = field(default_factory=UsageRows)
    credits: list[Row] = field(default_factory=list)
    dead_letters: list[tuple[Place, Flaw]] = field(default_factory=list)
    expiries: list[Expiry] = field(default_factory=list)  # to be completed before anything is told to a sink
    marks: dict[int, Mark] = field(default_factory=dict)  # ClickHouse's, after this group
    posts: dict[int, PartitionPost] = field(default_factory=dict)  # Redis'
    credited_accounts: set[str] = field(default_factory=set)
    touched_hours: set[tuple[int, int]] = field(default_factory=set)  # (partition, Unix hour)
    traceparents: list[str] = field(default_factory=list)  # of sampled requests, the first of them
    messages: int = 0
    entries: int = 0
    last_sequence: int = 0
    oldest_published_ns: int = 0


@dataclass(frozen=True, slots=True)
class SinkMarks:
    """Where both sinks stood when the reader started, for the partitions being followed and no others."""

    clickhouse: Mapping[int, Mark]
    redis: Mapping[int, Mark]


@dataclass(frozen=True, slots=True)
class ReadMessage:
    partition: int
    message: StreamMessage
    decoded: DecodedMessage


def read_message(message: StreamMessage, followed: SinkMarks) -> ReadMessage | None:
    """Decode a message that some sink still needs; None for others (another owner's, stopped, or known already)."""
    subject = message.subject.split(".", 2)
    if len(subject) != 3 or not (subject[1].isascii() and subject[1].isdigit()):
        return None
    partition = int(subject[1])
    clickhouse, redis = followed.clickhouse.get(partition), followed.redis.get(partition)
    if clickhouse is None or redis is None:
        return None
    if message.sequence <= min(clickhouse.sequence, redis.sequence):
        return None
    if message.headers is not None and keyspace.ADOPTED_HEADER in message.headers:
        return ReadMessage(
            partition, message, DecodedMessage(subject[2], 0, [], [])
        )  # posted before: only the mark moves
    return ReadMessage(partition, message, decode_message(partition, subject[2], message.data))


def is_open_expiry(entry: Entry) -> bool:
    """An expiry whose amount is for billing to work out."""
    return isinstance(entry, CreditEntry) and entry.kind == EXPIRY_KIND and not entry.amount_nanousd


def runs_of(messages: Sequence[ReadMessage]) -> Iterator[list[ReadMessage]]:
    """The messages in runs, each to become a group: before an expiry, a run has nothing of its partition."""
    run: list[ReadMessage] = []
    seen: set[int] = set()
    for read in messages:
        if read.partition in seen and any(is_open_expiry(entry) for _, entry in read.decoded.entries):
            yield run
            run, seen = [], set()
        run.append(read)
        seen.add(read.partition)
    yield run


def posted_field(producer: str, lease_boot: int) -> str:
    return f"p:{keyspace.lease_id(producer, lease_boot)}"


def revisions_of(messages: Sequence[ReadMessage]) -> set[int]:
    return {
        entry.catalog_revision
        for read in messages
        for _, entry in read.decoded.entries
        if isinstance(entry, UsageEntry)
    }


class GroupBuilder:
    """Add messages in stream order, then take `group`. `rates` holds every revision the messages name."""

    def __init__(self, followed: SinkMarks, rates: Mapping[int, Rates]) -> None:
        self._followed = followed
        self._rates = rates
        self._last_payload: dict[int, tuple[int, bytes]] = {}
        self.group = Group()

    def add(self, read: ReadMessage) -> None:
        group, message, decoded, partition = self.group, read.message, read.decoded, read.partition
        epoch = self._followed.clickhouse[partition].epoch
        is_for_clickhouse = message.sequence > self._followed.clickhouse[partition].sequence
        post = self._post_of(partition, epoch) if message.sequence > self._followed.redis[partition].sequence else None
        published_at_us = message.timestamp_ns // 1000
        place = Place(partition, epoch, message.sequence, decoded.producer, decoded.batch_number, published_at_us)

        flaws = list(decoded.flaws)
        leases: dict[int, str] = {}  # boot -> the field of what is posted for it
        for index, entry in decoded.entries:
            if isinstance(entry, CreditEntry):
                self._add_credit(place, index, entry, is_for_clickhouse, post)
                continue
            try:
                charge = self._rates[entry.catalog_revision].charge(entry)
            except NotRatable as error:
                payload = msgspec.msgpack.encode(entry)
                flaws.append(Flaw(index, Reason.NOT_RATABLE, str(error), payload, entry.account, entry.request_id))
                continue
            if entry.traceparent and len(group.traceparents) < _TRACEPARENTS_MAX:
                group.traceparents.append(entry.traceparent)
            if is_for_clickhouse:
                group.usage.add(place, index, entry, charge)
                group.touched_hours.add((partition, entry.started_at_us // _HOUR_US))
            if post is not None and (cost := charge.cost_nanousd):
                boot = entry.lease_boot
                posted = leases.get(boot) or leases.setdefault(boot, posted_field(place.producer, boot))
                account_key = keyspace.account_key(partition, entry.account)
                post.charge(account_key, "balance", posted, cost, sign=-1)
                if entry.key_has_spend_limit:
                    post.charge(keyspace.spend_key(partition, entry.key_id), "spent", posted, cost, sign=1)
        if is_for_clickhouse:
            group.dead_letters += [(place, flaw) for flaw in flaws]

        group.messages += 1
        group.entries += len(decoded.entries) + len(decoded.flaws)
        group.last_sequence = message.sequence
        group.oldest_published_ns = group.oldest_published_ns or message.timestamp_ns
        self._last_payload[partition] = (message.sequence, message.data)

    def finish(self) -> Group:
        """Set the marks; a message's digest is only needed for the last of each partition."""
        for partition, (sequence, payload) in self._last_payload.items():
            before = self._followed.clickhouse[partition]
            mark = Mark(before.epoch, sequence, digest_of(payload))
            if sequence > before.sequence:
                self.group.marks[partition] = mark
            if partition in self.group.posts:
                self.group.posts[partition].mark = mark
        return self.group

    def _post_of(self, partition: int, epoch: int) -> PartitionPost:
        post = self.group.posts.get(partition)
        if post is None:
            post = self.group.posts[partition] = PartitionPost(partition, Mark(epoch, 0, ""))
        return post

    def _add_credit(
        self, place: Place, index: int, entry: CreditEntry, is_for_clickhouse: bool, post: PartitionPost | None
    ) -> None:
        if is_open_expiry(entry):
            self.group.expiries.append(Expiry(place, index, entry, is_for_clickhouse, post))
            return
        if is_for_clickhouse:
            self.group.credits.append(credit_row(place, index, entry))
        if post is not None:
            post.add(keyspace.account_key(place.partition, entry.account), "balance", entry.amount_nanousd)
            self.group.credited_accounts.add(entry.account)
