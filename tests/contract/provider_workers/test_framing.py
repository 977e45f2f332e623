"""Messages as providers send them, and as they must not: where a body ends decides what is charged."""

from __future__ import annotations

import zlib

import pytest

from services.edge.provider_workers.transport import ConnectionCut, ProtocolViolation, UpstreamRequest
from tests.contract.provider_workers.conftest import NewTransport, ask, post, read_all
from tests.contract.provider_workers.scripted_provider import Connection, answering, answering_once, scripted_provider

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
HELLO_CHUNKED = CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        HELLO,
        HELLO_CHUNKED,
        CHUNKED + b"5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length:5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO,
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + HELLO_CHUNKED,
    ],
)
@pytest.mark.parametrize("is_split", [False, True], ids=["at_once", "byte_by_byte"])
async def test_whole_message_is_read_however_it_is_split(
    new_transport: NewTransport, answer: bytes, is_split: bool
) -> None:
    pieces = [bytes([byte]) for byte in answer] if is_split else [answer]
    async with scripted_provider(answering(*pieces)) as provider:
        transport = new_transport(provider.url)
        assert await ask(transport) == b"hello"
        assert await ask(transport) == b"hello"
        assert provider.connections == 1


async def test_head_may_be_split_anywhere(new_transport: NewTransport) -> None:
    answers = iter([(HELLO_CHUNKED[:at], HELLO_CHUNKED[at:]) for at in range(1, len(HELLO_CHUNKED))])

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(*next(answers))

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        for _ in range(1, len(HELLO_CHUNKED)):
            assert await ask(transport) == b"hello"


async def test_status_and_headers_are_those_of_the_final_answer(new_transport: NewTransport) -> None:
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nearly: yes\r\n\r\n"
        b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nx-many: a\r\nX-Many: b\r\ncontent-length: 0\r\n\r\n"
    )
    async with scripted_provider(answering(answer)) as provider:
        response = await new_transport(provider.url).send(post())
        assert response.status == 429
        assert response.headers[b"retry-after"] == b"7"
        assert response.headers[b"x-many"] == b"a, b"
        assert b"early" not in response.headers
        assert await response.read() == b""


async def test_request_arrives_with_host_length_and_its_own_headers(new_transport: NewTransport) -> None:
    async with scripted_provider(answering(HELLO)) as provider:
        transport = new_transport(provider.url)
        await ask(transport, post(b'{"a":1}', [(b"content-type", b"application/json"), (b"x-a", b"1")], b"/v1/a?b=c"))
        (request,) = provider.requests
        assert request.line == b"POST /v1/a?b=c HTTP/1.1"
        assert request.body == b'{"a":1}'
        assert request.headers[b"host"] == provider.url.removeprefix("http://").encode()
        assert request.headers[b"content-length"] == b"7"
        assert request.headers[b"x-a"] == b"1"


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_are_complete(new_transport: NewTransport, status: int) -> None:
    async with scripted_provider(answering(b"HTTP/1.1 %d Nothing\r\netag: x\r\n\r\n" % status)) as provider:
        transport = new_transport(provider.url)
        assert await ask(transport) == b""
        assert await ask(transport) == b""
        assert provider.connections == 1


async def test_head_request_has_no_body_whatever_length_is_announced(new_transport: NewTransport) -> None:
    async with scripted_provider(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")) as provider:
        assert await ask(new_transport(provider.url), UpstreamRequest(b"HEAD", b"/", [], b"")) == b""


async def test_body_without_framing_ends_with_the_connection(new_transport: NewTransport) -> None:
    async with scripted_provider(answering_once(b"HTTP/1.1 200 OK\r\n\r\n", b"hel", b"lo")) as provider:
        transport = new_transport(provider.url)
        assert await ask(transport) == b"hello"
        assert await ask(transport) == b"hello"
        assert provider.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        CHUNKED + b"8\r\nhello",
    ],
)
async def test_body_cut_short_is_never_a_clean_end(new_transport: NewTransport, answer: bytes) -> None:
    async with scripted_provider(answering_once(answer)) as provider:
        response = await new_transport(provider.url).send(post())
        assert await response.read() == b"hello"
        with pytest.raises(ConnectionCut):
            await response.read()
        with pytest.raises(ConnectionCut):
            await response.read()


async def test_reset_within_an_unframed_body_is_a_cut(new_transport: NewTransport) -> None:
    async def reset_after_head(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nhel")
        connection.reset()

    async with scripted_provider(reset_after_head) as provider:
        with pytest.raises(ConnectionCut):
            await ask(new_transport(provider.url))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_end_within_the_head_is_a_cut(new_transport: NewTransport, answer: bytes) -> None:
    async with scripted_provider(answering_once(answer)) as provider:
        with pytest.raises(ConnectionCut):
            await new_transport(provider.url).send(post())
        assert provider.connections == len(provider.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 4\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello",
    ],
)
async def test_what_is_not_http_is_a_protocol_violation(new_transport: NewTransport, answer: bytes) -> None:
    async with scripted_provider(answering_once(answer)) as provider:
        with pytest.raises(ProtocolViolation):
            await new_transport(provider.url).send(post())


async def test_broken_chunk_size_is_a_protocol_violation(new_transport: NewTransport) -> None:
    async with scripted_provider(answering_once(CHUNKED, b"zz\r\nhello\r\n")) as provider:
        with pytest.raises(ProtocolViolation):
            await ask(new_transport(provider.url))


@pytest.mark.parametrize("line", [b"x-endless: " + b"a" * 1000 + b"\r\n", b"a" * 1000], ids=["lines", "one_line"])
async def test_endless_head_is_a_protocol_violation(new_transport: NewTransport, line: bytes) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            await connection.send(line)

    async with scripted_provider(handler) as provider:
        with pytest.raises(ProtocolViolation):
            await new_transport(provider.url).send(post())


@pytest.mark.parametrize(
    ("begin", "more"),
    [(b"0\r\nx: ", b"a" * 1000), (b"0\r\n", b"x: a\r\n" * 100), (b"5;", b"a" * 1000)],
    ids=["long_trailer", "many_trailers", "chunk_extension"],
)
async def test_endless_framing_is_a_protocol_violation(new_transport: NewTransport, begin: bytes, more: bytes) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(CHUNKED + begin)
        while True:
            await connection.send(more)

    async with scripted_provider(handler) as provider:
        with pytest.raises(ProtocolViolation):
            await ask(new_transport(provider.url))


@pytest.mark.parametrize("kind", ["lean"], indirect=True)  # httpx limits bytes only
async def test_more_headers_than_the_limit_are_a_protocol_violation(new_transport: NewTransport) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n%b\r\nhello"
    answers = iter([head % (b"x: y\r\n" * 9), head % (b"x: y\r\n" * 10)])

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(next(answers))

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url, headers_max=10)
        assert await ask(transport) == b"hello"
        with pytest.raises(ProtocolViolation):
            await ask(transport)


GZIP = zlib.compressobj(wbits=31)
GZIPPED = GZIP.compress(b"hello " * 1000) + GZIP.flush()


def _coded(coding: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n%b" % (coding, len(body), body)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", GZIPPED),
        (b"x-gzip", GZIPPED),
        (b"deflate", zlib.compress(b"hello " * 1000)),
        (b"deflate", zlib.compress(b"hello " * 1000, wbits=-15)),
        (b"identity", b"hello " * 1000),
    ],
)
async def test_compressed_answer_is_handed_on_plain(new_transport: NewTransport, coding: bytes, body: bytes) -> None:
    async with scripted_provider(answering(_coded(coding, body))) as provider:
        transport = new_transport(provider.url)
        response = await transport.send(post())
        assert b"content-encoding" not in response.headers
        assert await read_all(response) == b"hello " * 1000
        assert await ask(transport) == b"hello " * 1000
        assert provider.connections == 1


async def test_incomplete_compressed_answer_is_a_cut(new_transport: NewTransport) -> None:
    async with scripted_provider(answering(_coded(b"gzip", GZIPPED[:-9]))) as provider:
        with pytest.raises(ConnectionCut):
            await ask(new_transport(provider.url))


async def test_broken_compressed_answer_is_a_protocol_violation(new_transport: NewTransport) -> None:
    async with scripted_provider(answering(_coded(b"gzip", b"not gzip at all"))) as provider:
        with pytest.raises(ProtocolViolation):
            await ask(new_transport(provider.url))


async def test_compressed_bomb_is_unpacked_no_faster_than_it_is_read(new_transport: NewTransport) -> None:
    bomb = zlib.compress(bytes(64 * 1024**2))
    async with scripted_provider(answering(_coded(b"deflate", bomb))) as provider:
        response = await new_transport(provider.url).send(post())
        sizes = []
        while piece := await response.read():
            sizes.append(len(piece))
        assert sum(sizes) == 64 * 1024**2
        assert max(sizes) <= 256 * 1024


async def test_unknown_coding_is_handed_on_with_its_header(new_transport: NewTransport) -> None:
    async with scripted_provider(answering(_coded(b"br", b"opaque"))) as provider:
        response = await new_transport(provider.url).send(post())
        assert response.headers[b"content-encoding"] == b"br"
        assert await read_all(response) == b"opaque"
