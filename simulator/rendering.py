"""From an answer and its script to the bytes of a reply, with the faults that the script asks for."""

from __future__ import annotations

from simulator.answer import Answer
from simulator.dialect import Dialect
from simulator.http import LAST_CHUNK, Ending, Reply, encode_chunk, encode_head, resplit
from simulator.prompt import Prompt
from simulator.script import Script

_GARBAGE = b'data: {"this is": not JSON,\n\n'
_COMMENT = b": keep-alive\n\n"
_ERROR_BODIES = {
    "html": ("text/html", b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"),
    "text": ("text/plain", b"upstream connect error or disconnect/reset before headers"),
    "empty": ("application/json", b""),
}


def render_error(
    dialect: Dialect, status: int, message: str, digest: str, script: Script, param: str | None = None
) -> Reply:
    body = dialect.encode_error(status, message, digest, param)
    content_type = "application/json"
    if script.error_body in _ERROR_BODIES:
        content_type, body = _ERROR_BODIES[script.error_body]
    elif script.error_body == "array":
        body = b"[" + body + b"]"
    headers = [("content-type", content_type), ("content-length", str(len(body))), *dialect.headers(digest)]
    if script.retry_after is not None:
        headers.append(("retry-after", str(script.retry_after)))
    head = encode_head(status, headers)
    return Reply((head + body,), first_byte_s=script.first_byte_ms / 1000, answer_tag=script.tag)


def render_scripted_error(dialect: Dialect, prompt: Prompt, script: Script) -> Reply | None:
    """The error that the script wants in place of an answer; None when it wants an answer.

    `error_body=1` without a status is an error's body under status 200, which some providers send.
    """
    if script.status is None and script.error_body == "no":
        return None
    status = script.status or 200
    if status < 400 and script.error_body == "no":
        return None
    told = status if status >= 400 else 500
    message = script.message or dialect.default_message(told)
    return render_error(dialect, status, message, prompt.digest, script)


def render_single(dialect: Dialect, answer: Answer) -> Reply:
    script = answer.script
    body = dialect.encode(answer)
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
    head = encode_head(200, [*headers, *dialect.headers(answer.prompt.digest)])
    ending, stop = _ending(script)
    if stop is not None:
        body = body[: min(stop, max(0, len(body) - 1))]  # at least one announced byte is missing
    pieces = resplit([body], script.split_bytes) if script.split_bytes else [body]
    return _reply(head, pieces, ending, script)


def render_stream(dialect: Dialect, answer: Answer) -> Reply:
    script, prompt = answer.script, answer.prompt
    frames = _with_faults(dialect, dialect.encode_stream(answer), answer)
    ending, stop = _ending(script)
    if script.end_after is not None:
        frames = frames[: script.end_after]
    if stop is not None:
        frames = frames[:stop]
    if script.crlf:
        frames = [frame.replace(b"\n", b"\r\n") for frame in frames]
    if script.one_write:
        frames = [b"".join(frames)]
    elif script.split_bytes:
        frames = resplit(frames, script.split_bytes)
    pieces = [encode_chunk(frame) for frame in frames if frame]
    if ending is Ending.COMPLETE:
        if pieces:
            pieces[-1] += LAST_CHUNK
        else:
            pieces = [LAST_CHUNK]
    content_type = "text/event-stream; charset=utf-8" if prompt.is_sse else "application/json; charset=UTF-8"
    headers = [("content-type", content_type), ("cache-control", "no-cache"), ("transfer-encoding", "chunked")]
    head = encode_head(200, [*headers, *dialect.headers(prompt.digest)])
    return _reply(head, pieces, ending, script)


def _with_faults(dialect: Dialect, frames: list[bytes], answer: Answer) -> list[bytes]:
    """An error frame is the last one; garbage and comments stand between the frames."""
    script = answer.script
    frames = list(frames)
    if (after := script.error_after) is not None:
        frames = [*frames[:after], dialect.encode_stream_error(answer, min(after, len(frames)))]
    for after, extra in ((script.garbage_after, _GARBAGE), (script.comment_after, _COMMENT)):
        if after is not None:
            frames.insert(after, extra)
    return frames


def _ending(script: Script) -> tuple[Ending, int | None]:
    """(how the body ends, after how many frames of a stream or bytes of a single response)."""
    if script.cut_after is not None:
        return Ending.CUT, script.cut_after
    if script.reset_after is not None:
        return Ending.RESET, script.reset_after
    if script.hang_after is not None:
        return Ending.HANG, script.hang_after
    return Ending.COMPLETE, None


def _reply(head: bytes, pieces: list[bytes], ending: Ending, script: Script) -> Reply:
    if not (script.delay_ms or script.first_frame_ms):
        pieces = [b"".join(pieces)]
    if not script.first_frame_ms and pieces:
        pieces[0] = head + pieces[0]
    else:
        pieces.insert(0, head)
    return Reply(
        tuple(pieces),
        first_byte_s=script.first_byte_ms / 1000,
        first_frame_s=script.first_frame_ms / 1000,
        delay_s=script.delay_ms / 1000,
        ending=ending,
        answer_tag=script.tag,
    )
