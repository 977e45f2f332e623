"""Which addresses may be connected to, and that a name is judged by the answer that is used."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from lumen.platform.addresses import AddressPolicy, AddressRefused, is_public, resolve_permitted
from services.edge.provider_workers.httpx_transport import HttpxTransport
from services.edge.provider_workers.lean.transport import LeanTransport
from services.edge.provider_workers.transport import (
    ConnectFailed,
    ConnectionStats,
    TransportOptions,
    UpstreamRequest,
)
from tests.contract.provider_workers.scripted_provider import answering_once, scripted_provider

INSIDE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
    *("2002:7f00:1::", "240.0.0.1", "255.255.255.255", "168.63.129.16", "fd00:ec2::254", "fec0::1", "::7f00:1"),
    *("100.100.100.200", "64:ff9b:1::7f00:1"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_of_the_inside_are_not_public(address: str) -> None:
    assert not is_public(address)
    assert not AddressPolicy().permits(address)
    assert AddressPolicy.parse("all").permits(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_addresses_of_the_internet_are(address: str) -> None:
    assert is_public(address)
    assert AddressPolicy().permits(address)


def test_a_permitted_network_permits_itself_alone() -> None:
    policy = AddressPolicy.parse(" 10.20.0.0/16 , fd12::/16")
    assert [policy.permits(a) for a in ("10.20.1.1", "::ffff:10.20.1.1", "fd12::1")] == [True] * 3
    assert [policy.permits(a) for a in ("10.21.1.1", "127.0.0.1", "fd13::1")] == [False] * 3
    for wrong in ("10.0.0.0/33", "some", "10.0.0.0/8 all"):
        with pytest.raises(ValueError, match="does not appear to be"):
            AddressPolicy.parse(wrong)


class Names:
    """The machine's resolver: the answers for one name, one after the other; the last for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real: Callable[..., Any] = socket.getaddrinfo

        def getaddrinfo(host: str, port: int, *args: Any, **named: Any) -> Any:
            if host != "provider.example":
                return real(host, port, *args, **named)
            self.asked += 1
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            return [
                (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in answer
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


async def test_refused_addresses_of_a_name_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(["10.0.0.1", "93.184.216.34", "::1"]).install(monkeypatch)
    assert await resolve_permitted("provider.example", 443, AddressPolicy()) == ["93.184.216.34"]
    Names(["10.0.0.1", "::1"]).install(monkeypatch)
    with pytest.raises(AddressRefused, match=r"provider.example is 10.0.0.1, which is not a public address"):
        await resolve_permitted("provider.example", 443, AddressPolicy())


@pytest.mark.parametrize("transport_kind", [LeanTransport, HttpxTransport])
async def test_a_name_that_is_bound_anew_is_judged_by_the_address_connected_to(
    monkeypatch: pytest.MonkeyPatch, transport_kind: type[LeanTransport] | type[HttpxTransport]
) -> None:
    """The first answer is permitted (and the way past one that refuses connections), every later one is not. Were the
    name resolved again between check and connection, the connection would go to the second."""
    names = Names(["10.0.0.1", "127.0.0.2", "127.0.0.1"], ["169.254.169.254"])
    names.install(monkeypatch)
    options = TransportOptions(addresses=AddressPolicy.parse("127.0.0.0/8"))
    hello = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    async with scripted_provider(answering_once(hello)) as provider:
        transport = transport_kind(f"http://provider.example:{provider.port}", options, ConnectionStats())
        request = UpstreamRequest(b"POST", b"/v1/x", [], b"{}")
        response = await transport.send(request)
        assert await response.read() == b"hello"
        assert names.asked == 1
        response.abort()
        with pytest.raises(ConnectFailed, match=r"provider.example is 169.254.169.254"):
            await transport.send(request)
        assert provider.connections == 1
        await transport.close()
