"""Every metric of auth, named and described once. Names follow Prometheus conventions, units last."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class AuthMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.view_age = Gauge(
            "lumen_auth_view_age_seconds",
            "Since the accounts' and keys' store last proved it was alive (the older of both).",
            registry=registry,
        )
        self.unreadable_records = Counter(
            "lumen_auth_unreadable_records_total", "Stored accounts and keys that cannot be read.", registry=registry
        )
        self.authentications = Counter(
            "lumen_auth_authentications_total", "Keys asked for: found, not_found.", ["outcome"], registry=registry
        )
        self.watchers = Gauge("lumen_auth_watchers", "Edges connected to the watch stream.", registry=registry)
        self.dropped_watchers = Counter(
            "lumen_auth_dropped_watchers_total",
            "Watch streams ended because the edge read too slowly.",
            registry=registry,
        )
        self.grants = Counter("lumen_auth_grants_total", "Grants by outcome.", ["outcome"], registry=registry)
        self.granted = Counter("lumen_auth_granted_nanousd_total", "Credit leased to workers.", registry=registry)
        self.renewals = Counter("lumen_auth_renewals_total", "Renewals answered.", registry=registry)
        self.limit_shares = Counter(
            "lumen_auth_limit_shares_total", "Limits shared out to or renewed by workers.", registry=registry
        )
        self.recalls = Counter("lumen_auth_recalls_total", "Recalls of idle credit sent out.", registry=registry)
        self.freed_leases = Counter(
            "lumen_auth_freed_leases_total",
            "Leases freed, per partition: idle (silent), all (silent for longest), retired (a restarted worker's).",
            ["reason"],
            registry=registry,
        )
        self.freed = Counter(
            "lumen_auth_freed_nanousd_total", "Reserved credit given back by auth.", ["reason"], registry=registry
        )
        self.live_workers = Gauge(
            "lumen_auth_live_workers", "Workers heard of within three renewal intervals.", registry=registry
        )
        self.redis_restarts = Counter(
            "lumen_auth_redis_restarts_total", "Redis restarts, failovers and wipes noticed.", registry=registry
        )
        self.grants_paused = Gauge(
            "lumen_auth_grants_paused",
            "1 while workers re-assert their books after a Redis restart.",
            registry=registry,
        )
        self.sign_ins = Counter(
            "lumen_auth_sign_ins_total", "Sign-ins: signed_in, refused, throttled.", ["outcome"], registry=registry
        )
        self.throttled_names = Gauge(
            "lumen_auth_sign_in_throttle_entries",
            "E-mails and addresses whose failed sign-ins are remembered.",
            registry=registry,
        )
        self.pending_passwords = Gauge(
            "lumen_auth_pending_passwords", "Passwords being hashed or waiting for it.", registry=registry
        )
