"""Chat Completions: the request members that decide.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from lumen.protocols import openai_wording as wording
from lumen.protocols.attachments import PromptTally, is_data_url, is_set, text_of
from lumen.protocols.request_fields import Members, RequestFields, RequestWording

# Run by the client. Anything else in `tools` runs at the provider: Kimi's `builtin_function`, GLM's `web_search` ...
_CLIENT_TOOLS = frozenset({None, "function", "custom"})


class _Part(msgspec.Struct):
    type: str = "text"
    image_url: Raw = Raw()
    video_url: Raw = Raw()
    input_audio: Raw = Raw()
    file: Raw = Raw()


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    audio: Raw = Raw()


_messages = msgspec.json.Decoder(list[_Message])
_members = msgspec.json.Decoder(dict[str, Raw])


def _tally_prompt(members: Members, tally: PromptTally) -> None:
    for message in _messages.decode(members["messages"]):
        if is_set(message.audio):
            tally.unbound("audio")  # an earlier spoken answer, by its id
        if type(message.content) is list:
            for part in message.content:
                if part.type != "text":
                    _tally_part(part, tally)


def _tally_part(part: _Part, tally: PromptTally) -> None:
    if part.type == "image_url":
        tally.image(_inline(_member(part.image_url, "url"), "image_url", tally))
    elif part.type == "video_url":
        tally.file(_inline(_member(part.video_url, "url"), "video_url", tally))
    elif part.type == "input_audio":
        data = _member(part.input_audio, "data")
        tally.audio_clip(data)
        if (text_of(data) or "").startswith("http"):  # Qwen takes URLs here
            tally.unbound("audio_url")
    elif part.type == "file":
        tally.file(_member(part.file, "file_data"))
        if is_set(_member(part.file, "file_id")):
            tally.unbound("file_id")


def _member(raw: Raw, name: str) -> Raw | None:
    """`name` of an object; anything else as it is: some providers take a bare URL where OpenAI has `{"url": ...}`."""
    return _members.decode(raw).get(name) if bytes(memoryview(raw)[:1]) == b"{" else raw


def _inline(url: Raw | None, name: str, tally: PromptTally) -> Raw | None:
    """The URL if it holds the data itself; otherwise what it points to bounds nothing."""
    if url is not None and text_of(url) is not None and is_data_url(url):
        return url
    tally.unbound(name)
    return None


FIELDS = RequestFields(
    wording=RequestWording(
        wording.not_json,
        wording.missing_chat,
        wording.empty,
        wording.wrong_type,
        wording.below_minimum,
        wording.above_maximum,
    ),
    prompts=("messages",),
    tally_prompt=_tally_prompt,
    output_caps=("max_completion_tokens", "max_tokens"),
    is_server_tool=lambda kind, entry: kind not in _CLIENT_TOOLS,
    choices="n",
    choices_max=128,
    modifiers={"service_tier": frozenset({"auto", "default"})},
    server_tool_members={"web_search_options": "web_search"},
    has_stream_usage_option=True,
)
