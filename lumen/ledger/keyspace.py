"""Names shared by everyone who touches the ledger: partitions, subjects, buckets, Redis keys.

A partition is fixed for good (crc32 of the account, modulo 64), so an account's entries, balance and leases always
live together: one JetStream subject prefix, one Redis hash tag `{p<k>}`, one ClickHouse sort prefix.
"""

from __future__ import annotations

import hashlib
from zlib import crc32

PARTITIONS = 64

STREAM = "LEDGER"
STREAM_SUBJECTS = "ledger.>"
DEAD_LETTER_STREAM = "DEAD_LETTERS"
DEAD_LETTER_SUBJECTS = "dead_letter.>"

KV_ACCOUNTS = "accounts"
KV_KEYS = "keys"
KV_USERS = "users"
KV_CATALOG = "catalog"
KV_ADMIN_TOKENS = "admin_tokens"
KV_BILLING = "billing"
BILLING_OWNER_KEY = "owner"

# Core NATS (fire and forget): billing tells auth that a credit was posted, auth tells connected edges.
CREDIT_POSTED_SUBJECT = "lumen.credit_posted"  # payload: account id
# Between the replicas of auth: a worker starves, every replica asks its edges for what is idle.
RECALL_SUBJECT = "lumen.recall"  # payload: account id

# String: the run_id of the Redis process whose leases were last re-asserted; auth compares it to notice a restart.
RUN_ID_KEY = "lumen:run_id"


def partition_of(account: str) -> int:
    return crc32(account.encode()) % PARTITIONS


def subject(partition: int, producer: str) -> str:
    return f"ledger.{partition}.{producer}"


def partition_filter(partition: int) -> str:
    return f"ledger.{partition}.>"


def dead_letter_subject(partition: int) -> str:
    return f"dead_letter.{partition}"


# Header of a message that `lumen ledger adopt` appended again: its entries were posted before, at epoch:sequence.
ADOPTED_HEADER = "Lumen-Adopted"

CREDIT_PRODUCER_PREFIX = "credit-"
EXPIRY_PRODUCER_PREFIX = "expiry-"


def credit_producer(account: str, reference: str) -> str:
    """The producer of one credit: the same caller's key for the same account is the same subject, for ever."""
    digest = hashlib.sha256(f"{account}\0{reference}".encode()).hexdigest()
    return f"{CREDIT_PRODUCER_PREFIX}{digest[:32]}"


def lease_id(worker_id: str, boot: int) -> str:
    """One run of one worker. Books are in memory, so a restarted worker starts a new lease and retires the old."""
    return f"{worker_id}.{boot}"


def mark_key(partition: int) -> str:
    """String `epoch:sequence:hash`: the last stream message whose entries are in the balances."""
    return f"lumen:{{p{partition}}}:mark"


def live_key(partition: int) -> str:
    """Set with a 5 s expiry while billing is at the stream's tail; without it nothing new is granted."""
    return f"lumen:{{p{partition}}}:live"


def vetted_key(partition: int) -> str:
    """String: the run_id of the Redis process whose leases of this partition are known to be re-asserted.

    Gone with the leases when Redis is emptied, and another's after a failover: either way nothing is granted.
    """
    return f"lumen:{{p{partition}}}:vetted"


def account_key(partition: int, account: str) -> str:
    """Hash: `balance`; per lease `g:<lease>` granted, `r:<lease>` released, `p:<lease>` posted, which only grow."""
    return f"lumen:{{p{partition}}}:account:{account}"


def spend_key(partition: int, key_id: str) -> str:
    """Hash of an API key that has a spend limit: `spent`; per lease `g:`, `r:`, `p:` as for the account."""
    return f"lumen:{{p{partition}}}:key:{key_id}"


def lease_accounts_key(partition: int, lease: str) -> str:
    """Set of account ids and `key:<account>:<key id>` members this lease has ever been granted for."""
    return f"lumen:{{p{partition}}}:lease:{lease}"


def lease_member(account: str, key_id: str = "") -> str:
    """How `lease_accounts_key` and `in_use_key` name an account's lease, or a limited key's lease beside it."""
    return f"key:{account}:{key_id}" if key_id else account


def in_use_key(partition: int, lease: str) -> str:
    """Hash: `lease_member` -> nano-USD in use (held plus ever spent) as the worker last asserted it."""
    return f"lumen:{{p{partition}}}:in_use:{lease}"


def beats_key(partition: int) -> str:
    """Hash: lease -> a token that every grant and renewal changes; one that stands still belongs to a silent worker."""
    return f"lumen:{{p{partition}}}:beats"
