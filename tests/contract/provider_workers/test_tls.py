"""TLS with a certificate of the test's own authority."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from services.edge.provider_workers.transport import ConnectFailed
from tests.contract.provider_workers.conftest import NewTransport, ask, post
from tests.contract.provider_workers.scripted_provider import Connection, answering, scripted_provider

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    path = tmp_path_factory.mktemp("tls")
    key, certificate = path / "key.pem", path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    extension = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *extension], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["http/1.1"])
    return context


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> Callable[[], ssl.SSLContext]:
    return lambda: ssl.create_default_context(cafile=str(certificate[0]))


async def test_connection_is_encrypted_named_and_used_again(
    new_transport: NewTransport, server_tls: ssl.SSLContext, trusting: Callable[[], ssl.SSLContext]
) -> None:
    names: list[str | None] = []
    server_tls.sni_callback = lambda _, name, __: names.append(name)
    protocols: list[str | None] = []

    async def handler(connection: Connection) -> None:
        protocols.append(connection.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await answering(HELLO)(connection)

    async with scripted_provider(handler, server_tls) as provider:
        transport = new_transport(provider.url, ssl_context=trusting)
        for _ in range(3):
            assert await ask(transport) == b"hello"
        assert provider.connections == 1
        assert protocols == ["http/1.1"]
        assert names == ["localhost"]


async def test_large_bodies_pass_through_tls(
    new_transport: NewTransport, server_tls: ssl.SSLContext, trusting: Callable[[], ssl.SSLContext]
) -> None:
    body = bytes(range(256)) * 8192

    async def handler(connection: Connection) -> None:
        while True:
            request = await connection.request()
            await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(request.body) + request.body)

    async with scripted_provider(handler, server_tls) as provider:
        transport = new_transport(provider.url, ssl_context=trusting)
        for _ in range(2):
            assert await ask(transport, post(body)) == body


async def test_untrusted_certificate_is_connect_failed(new_transport: NewTransport, server_tls: ssl.SSLContext) -> None:
    async with scripted_provider(answering(HELLO), server_tls) as provider:
        with pytest.raises(ConnectFailed):
            await new_transport(provider.url).send(post())
        assert not provider.requests


async def test_certificate_of_another_name_is_connect_failed(
    new_transport: NewTransport, server_tls: ssl.SSLContext, trusting: Callable[[], ssl.SSLContext]
) -> None:
    async with scripted_provider(answering(HELLO), server_tls) as provider:
        with pytest.raises(ConnectFailed):
            await new_transport(f"https://127.0.0.1:{provider.port}", ssl_context=trusting).send(post())


async def test_peer_that_speaks_no_tls_is_connect_failed(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.reader.read(1)
        await connection.send(HELLO)

    async with scripted_provider(handler) as provider:
        with pytest.raises(ConnectFailed):
            await new_transport(f"https://localhost:{provider.port}").send(post())


async def test_handshake_that_hangs_is_given_up_after_connect_s(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.gone()

    async with scripted_provider(handler) as provider:
        transport = new_transport(f"https://localhost:{provider.port}", timeouts={"connect_s": 0.1})
        async with asyncio.timeout(5):
            with pytest.raises(ConnectFailed):
                await transport.send(post())
