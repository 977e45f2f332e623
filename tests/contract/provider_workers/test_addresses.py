"""A catalog cannot make the edge call the inside: neither by a base URL nor by a provider's redirect."""

from __future__ import annotations

import pytest

from lumen.platform.addresses import AddressPolicy
from services.edge.provider_workers.transport import ConnectFailed, ConnectionStats
from tests.contract.provider_workers.conftest import NewTransport, ask, post, read_all
from tests.contract.provider_workers.scripted_provider import answering, scripted_provider

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


# `127.1` and `2130706433` are what resolvers read as 127.0.0.1
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
async def test_a_private_address_is_never_connected_to(
    new_transport: NewTransport, stats: ConnectionStats, host: str
) -> None:
    async with scripted_provider(answering(HELLO)) as provider:
        transport = new_transport(f"http://{host}:{provider.port}", addresses=AddressPolicy())
        with pytest.raises(ConnectFailed, match=r"not a public address, nor one of LUMEN_EDGE_PRIVATE_UPSTREAMS"):
            await transport.send(post())
        assert provider.connections == stats.connects == stats.connections_open == 0


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.1", "0.0.0.0", "224.0.0.1", "[fe80::1]", "[fd00:ec2::254]"]
)
async def test_permission_for_one_network_is_none_for_others(new_transport: NewTransport, host: str) -> None:
    with pytest.raises(ConnectFailed, match="not a public address"):
        await new_transport(f"http://{host}:9").send(post())


@pytest.mark.parametrize("permitted", ["127.0.0.0/8", "all"])
async def test_what_the_operator_permits_is_connected_to_by_name_and_address(
    new_transport: NewTransport, permitted: str
) -> None:
    async with scripted_provider(answering(HELLO)) as provider:
        for host in ("127.0.0.1", "localhost"):
            transport = new_transport(f"http://{host}:{provider.port}", addresses=AddressPolicy.parse(permitted))
            assert await ask(transport) == b"hello"
            assert provider.requests[-1].headers[b"host"] == f"{host}:{provider.port}".encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(new_transport: NewTransport, status: int) -> None:
    async with scripted_provider(answering(HELLO)) as elsewhere:
        redirect = b"HTTP/1.1 %d Elsewhere\r\nlocation: %b/\r\ncontent-length: 5\r\n\r\nthere"
        async with scripted_provider(answering(redirect % (status, elsewhere.url.encode()))) as provider:
            response = await new_transport(provider.url).send(post())
            assert (response.status, await read_all(response)) == (status, b"there")
            assert len(provider.requests) == 1
        assert elsewhere.connections == 0
