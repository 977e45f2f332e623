"""Reading provider answers whole, within limits."""

from __future__ import annotations

import asyncio

from services.edge.provider_workers.transport import ProtocolViolation, UpstreamFailure, UpstreamResponse

_ERROR_BYTES_MAX = 64 * 1024
_ERROR_S_MAX = 5.0
_END_S_MAX = 1.0


async def read_whole(response: UpstreamResponse, bytes_max: int) -> bytes:
    """Raises UpstreamFailure, also when the body is longer than `bytes_max`."""
    first = await response.read()
    if not first:
        return b""
    pieces = [first]
    size = len(first)
    while piece := await response.read():
        pieces.append(piece)
        size += len(piece)
        if size > bytes_max:
            response.abort()
            raise ProtocolViolation(f"the answer is longer than {bytes_max} bytes")
    return first if len(pieces) == 1 else b"".join(pieces)


async def read_error_body(response: UpstreamResponse) -> bytes:
    """As much as comes in time; an error's text is worth a moment and no more."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_ERROR_S_MAX):
            while size <= _ERROR_BYTES_MAX and (piece := await response.read()):
                pieces.append(piece)
                size += len(piece)
            if size > _ERROR_BYTES_MAX:
                response.abort()
    except (UpstreamFailure, TimeoutError):
        response.abort()
    return b"".join(pieces)


async def read_to_end(response: UpstreamResponse) -> None:
    """After the last frame: the message's own end, so that the connection can be used again."""
    try:
        async with asyncio.timeout(_END_S_MAX):
            while await response.read():
                pass
    except (UpstreamFailure, TimeoutError):
        response.abort()
