"""Which addresses a server may connect to on somebody else's word (SSRF): a catalog's base URL, a person's webhook.

Judged is the address that is really connected to: names are resolved, filtered and connected to by address, so that a
name cannot point elsewhere between check and use (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Azure's platform services: an address of the internet by number, of the inside by use.
_INSIDE = frozenset({ipaddress.ip_address("168.63.129.16")})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(OSError):
    """A host has no address that may be connected to; the text names one and says why."""


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet: not private, loopback, link-local (metadata), multicast or reserved,
    nor such an IPv4 address within an IPv6 one. Raises ValueError for what is no address."""
    return _is_public(ipaddress.ip_address(address.partition("%")[0]))


def _is_public(found: Address) -> bool:
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return _is_public(inner)
        if found in _NAT64:
            return _is_public(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
        if found.is_site_local:
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved and found not in _INSIDE


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public addresses, and of the others those in `networks`."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    is_open: bool = False  # all addresses

    @classmethod
    def parse(cls, text: str) -> AddressPolicy:
        """`all`, or comma-separated CIDRs of addresses that are not public and yet permitted. Raises ValueError."""
        if text.strip() == "all":
            return cls(is_open=True)
        return cls(tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()))

    def permits(self, address: str) -> bool:
        """Raises ValueError for what is no address."""
        if self.is_open:
            return True
        found: Address = ipaddress.ip_address(address.partition("%")[0])
        found = getattr(found, "ipv4_mapped", None) or found
        return _is_public(found) or any(found in network for network in self.networks)


PUBLIC_ONLY = AddressPolicy()


async def resolve_permitted(host: str, port: int, policy: AddressPolicy) -> list[str]:
    """The addresses of a host (a name or an address) to connect to, in the resolver's order.

    Raises AddressRefused when the policy permits none, OSError when the name is unknown.
    """
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = list(dict.fromkeys(str(info[4][0]) for info in infos))
    permitted = [address for address in found if policy.permits(address)]
    if not permitted:
        refused = found[0] if found else "nothing"
        named = f"{host} is {refused}, which is" if refused != host else f"{host} is"
        raise AddressRefused(f"{named} not a public address, nor one of LUMEN_EDGE_PRIVATE_UPSTREAMS")
    return permitted
