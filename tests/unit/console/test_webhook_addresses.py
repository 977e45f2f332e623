"""Webhooks go to the internet only, whatever a name resolves to at that moment."""

from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from services.console.errors import ConsoleError
from services.console.webhook_addresses import PublicResolver, check_url, is_refused_host, signature


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/hook", "https://127.0.0.1/hook", "https://[::1]/hook", "https://user:pass@example.com/"),
        *("ftp://example.com", "https://", "example.com/hook", "https://169.254.169.254/latest"),
        f"https://example.com/{'x' * 2000}",
    ],
)
def test_such_an_address_cannot_be_set(url: str) -> None:
    with pytest.raises(ConsoleError):
        check_url(url, allows_private=False)


def test_a_public_https_address_can_be_set_and_others_in_development() -> None:
    assert check_url("https://example.com/hook", allows_private=False) == "https://example.com/hook"
    assert check_url("http://127.0.0.1:9/hook", allows_private=True) == "http://127.0.0.1:9/hook"
    assert is_refused_host("https://10.0.0.1/")
    assert not is_refused_host("https://example.com/")


class _Answers(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_resolves_to_the_inside_is_refused_when_connecting() -> None:
    with pytest.raises(OSError, match="no public address"):
        await PublicResolver(_Answers("10.0.0.1", "::1")).resolve("rebound.example")
    found = await PublicResolver(_Answers("10.0.0.1", "93.184.216.34")).resolve("mixed.example")
    assert [each["host"] for each in found] == ["93.184.216.34"]


def test_a_signature_covers_time_and_body() -> None:
    signed = signature("whsec_x", 1_795_600_830, b"{}")
    assert signed.startswith("t=1795600830,v1=")
    assert len({signed, signature("whsec_x", 1_795_600_831, b"{}"), signature("whsec_y", 1_795_600_830, b"{}")}) == 3
