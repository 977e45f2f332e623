"""Which request gets which reply."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from simulator.answer import PROMPT_OVERHEAD_TOKENS, compose
from simulator.anthropic import AnthropicMessages
from simulator.dialect import Dialect, encode_json
from simulator.faults import Faults
from simulator.gemini import GeminiGenerate
from simulator.http import Reply, Request, whole_reply
from simulator.openai_chat import OpenAIChat
from simulator.openai_responses import OpenAIResponses
from simulator.prompt import InvalidPrompt
from simulator.records import Requests, Stats
from simulator.rendering import render_error, render_scripted_error, render_single, render_stream
from simulator.routes import Route, Routes
from simulator.script import DEFAULT_SCRIPT, ScriptError, build_script, read_directive, split_model

REFUSED_KEY = "bad-key"
_LAST_DEFAULT = 10
_CACHED_REPLIES_MAX = 512
_CACHED_REPLY_BYTES_MAX = 64 * 1024


class Simulator:
    """`handle` is the whole of it; replies to equal requests are made once and kept, for load tests."""

    def __init__(self) -> None:
        self.requests = Requests()
        self.stats = Stats()
        self.faults = Faults()
        self._routes = Routes([AnthropicMessages(), OpenAIChat(), OpenAIResponses(), GeminiGenerate()])
        self._replies: dict[tuple[str, str, str | None, bytes], Reply] = {}
        self._own: dict[tuple[str, str], Callable[[Request], Reply]] = {
            ("GET", "/healthz"): _ok,
            ("GET", "/readyz"): _ok,
            ("GET", "/_sim/requests"): self._list_requests,
            ("DELETE", "/_sim/requests"): self._clear_requests,
            ("GET", "/_sim/stats"): lambda _: whole_reply(200, self.stats.encode()),
            ("GET", "/_sim/faults"): lambda _: whole_reply(200, self.faults.encode()),
            ("POST", "/_sim/faults"): self._add_fault,
            ("DELETE", "/_sim/faults"): self._clear_faults,
        }

    def handle(self, request: Request) -> Reply:
        own = self._own.get((request.method, request.path))
        if own is not None:
            return own(request)
        route = self._routes.find(request.path, request.query)
        if route is None:
            return whole_reply(404, b'{"error":{"message":"The simulator has no such path."}}')
        self.requests.add(request)
        return self._answer(request, route)

    def _answer(self, request: Request, route: Route) -> Reply:
        dialect = route.dialect
        key = dialect.key(request.headers) or _query_key(request, dialect)
        if not key or key == REFUSED_KEY:
            message = f"Incorrect API key provided: {key}." if key else "You did not provide an API key."
            return render_error(dialect, 401, message, _digest(request), DEFAULT_SCRIPT)
        if request.method != "POST" or route.target is None:
            message = f"Unknown request: {request.method} {request.path}."
            return render_error(dialect, 404, message, _digest(request), DEFAULT_SCRIPT)
        if self.faults:
            return self._compose(request, route, key)
        # A missing version is an error of its own, so it is a part of what makes requests equal.
        cache_key = (request.path, request.query, request.headers.get("anthropic-version"), request.body)
        reply = self._replies.get(cache_key)
        if reply is None:
            reply = self._compose(request, route, key)
            self._keep(cache_key, reply)
        return reply

    def _keep(self, cache_key: tuple[str, str, str | None, bytes], reply: Reply) -> None:
        if len(cache_key[3]) + sum(map(len, reply.pieces)) > _CACHED_REPLY_BYTES_MAX:
            return
        if len(self._replies) >= _CACHED_REPLIES_MAX:
            del self._replies[next(iter(self._replies))]
        self._replies[cache_key] = reply

    def _compose(self, request: Request, route: Route, key: str) -> Reply:
        dialect, target, digest = route.dialect, route.target, _digest(request)
        assert target is not None, "checked by the caller"
        try:
            prompt = dialect.read(target, request.headers, _object(request.body), digest)
            model, pairs = split_model(prompt.model)
            directive = read_directive(prompt.last_user_text) if b"[[sim" in request.body else {}
            fault = self.faults.take(model=model, key=key, path=request.path, dialect=dialect.name)
            script = build_script(pairs, directive, fault)
        except InvalidPrompt as error:
            return render_error(dialect, 400, str(error), digest, DEFAULT_SCRIPT, error.param)
        except ScriptError as error:
            return render_error(dialect, 400, str(error), digest, DEFAULT_SCRIPT)
        error_reply = render_scripted_error(dialect, prompt, script)
        if error_reply is not None:
            return error_reply
        if target.operation == "count_tokens":
            tokens = prompt.words + PROMPT_OVERHEAD_TOKENS if script.input is None else script.input
            return whole_reply(200, encode_json({"input_tokens": tokens}))
        answer = compose(prompt, script, model)
        return render_stream(dialect, answer) if prompt.stream else render_single(dialect, answer)

    def _list_requests(self, request: Request) -> Reply:
        last = parse_qs(request.query).get("last", [str(_LAST_DEFAULT)])[0]
        if not last.isdecimal():
            return _bad_request("last: expected a number")
        return whole_reply(200, self.requests.encode(int(last)))

    def _clear_requests(self, request: Request) -> Reply:
        self.requests.clear()
        return _no_content()

    def _add_fault(self, request: Request) -> Reply:
        try:
            fault = self.faults.add(request.body)
        except ScriptError as error:
            return _bad_request(str(error))
        return whole_reply(200, encode_json(fault))

    def _clear_faults(self, request: Request) -> Reply:
        self.faults.clear()
        return _no_content()


def _ok(request: Request) -> Reply:
    return whole_reply(200, b"ok", "text/plain")


def _no_content() -> Reply:
    return whole_reply(200, b"{}")


def _bad_request(message: str) -> Reply:
    return whole_reply(400, encode_json({"error": {"message": message}}))


def _query_key(request: Request, dialect: Dialect) -> str:
    """Gemini takes the key as a query parameter, too."""
    if dialect.name != "gemini_generate" or not request.query:
        return ""
    return parse_qs(request.query).get("key", [""])[0]


def _digest(request: Request) -> str:
    return hashlib.blake2b(request.body, key=request.path.encode()[-64:], digest_size=16).hexdigest()


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise InvalidPrompt(f"We could not parse the JSON body of your request: {error}") from None
    if not isinstance(value, dict):
        raise InvalidPrompt("The body of the request must be a JSON object.")
    return value
