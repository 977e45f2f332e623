"""A provider whose every frame says when it was sent, so that its delay on the way can be read off each one.

`python -m tests.load.stamped_upstream PORT`. Chat Completions streams alone; the prompt says `frames=N delay_ms=M`. The
stamp is CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share. Frames keep to a timetable, so that one
that goes out late is stamped late and delays none after it.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time

import uvloop

MODEL = "bench-stamped"
_BACKLOG = 8192
_SCRIPT = re.compile(rb"frames=(\d+) delay_ms=(\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_START = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"m","choices":['
_FRAME = _START + b'{"index":0,"delta":{"content":"%d"},"finish_reason":null}]}\n\n'
_USAGE = b'"usage":{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}'
_FINISH = _START + b'{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
_END = _START + b"]," + _USAGE + b"}\n\ndata: [DONE]\n\n"


def prompt(frames: int, delay_ms: int) -> str:
    return f"frames={frames} delay_ms={delay_ms}"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length.group(1))) if length else b""
            script = _SCRIPT.search(body)
            if script is None:
                writer.write(_EMPTY)
                if b"HTTP/1.0" in head:  # the readiness probe reads to the end
                    return
                continue
            await _stream(writer, int(script.group(1)), int(script.group(2)) / 1e3)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has gone
    finally:
        writer.close()


async def _stream(writer: asyncio.StreamWriter, frames: int, delay_s: float) -> None:
    writer.write(_HEAD)
    started = time.monotonic()
    for number in range(frames):
        await asyncio.sleep(started + number * delay_s - time.monotonic())
        writer.write(_chunk(_FRAME % time.monotonic_ns()))
        await writer.drain()
    writer.write(_chunk(_FINISH) + _chunk(_END % (frames, frames + 9)) + b"0\r\n\r\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def main(port: int) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", port, backlog=_BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
