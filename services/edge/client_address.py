"""The client's IP address: the peer's, or what a trusted proxy says of it (the rightmost hop that is not trusted)."""

from __future__ import annotations

import ipaddress

_HOPS_MAX = 20

Peer = tuple[str, int] | None  # of the connection; None: a Unix socket


class ClientAddresses:
    """`trusted_proxies`: addresses or CIDRs, comma-separated. Raises ValueError for anything else."""

    def __init__(self, trusted_proxies: str) -> None:
        self._trusted = [
            ipaddress.ip_network(part.strip(), strict=False) for part in trusted_proxies.split(",") if part.strip()
        ]

    def of(self, peer: Peer, fields: dict[bytes, bytes]) -> str:
        """ "" when there is none (a Unix socket)."""
        address = peer[0] if peer else ""
        if not self._trusted:
            return address
        hops = fields.get(b"x-forwarded-for", b"").decode("latin-1").split(",")[-_HOPS_MAX:]
        while hops and self._is_trusted(address):
            hop = hops.pop().strip()
            if parse_address(hop) is None:
                break
            address = hop
        return address

    def _is_trusted(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None for what is no address. An IPv4 peer of a dual-stack socket (`::ffff:192.0.2.1`) is IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
