"""One question through one vendor's SDK, whatever the model: what an application sees of the answer."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai

from tests.fixtures.stack import Customer, Stack

# Shared: loading the certificates of a client that needs none takes longer than a test.
OPENAI_HTTP = openai.DefaultHttpxClient(verify=False)
ANTHROPIC_HTTP = anthropic.DefaultHttpxClient(verify=False)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Conversation:
    """One question through one vendor's SDK; `ask` gives what an application would see of the answer."""

    def __init__(self, stack: Stack, customer: Customer) -> None:
        self.openai = openai.OpenAI(
            base_url=f"{stack.base_url}/v1", api_key=customer.key, max_retries=0, http_client=OPENAI_HTTP
        )
        self.anthropic = anthropic.Anthropic(
            base_url=stack.base_url,
            auth_token=customer.key,
            api_key=None,
            max_retries=0,
            http_client=ANTHROPIC_HTTP,
        )

    def ask(self, client: str, model: str, prompt: str, *, stream: bool, tools: bool = False) -> dict[str, Any]:
        ask: Any = getattr(self, f"_{client}_{'stream' if stream else 'single'}")
        answer: dict[str, Any] = ask(model, prompt, tools)
        return answer

    @staticmethod
    def _chat_arguments(model: str, prompt: str, tools: bool) -> dict[str, Any]:
        arguments: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        if tools:
            arguments["tools"] = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
        return arguments

    def _chat_single(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        answer = self.openai.chat.completions.create(**self._chat_arguments(model, prompt, tools), stream=False)
        choice, usage = answer.choices[0], answer.usage
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []]
        return seen(choice.message.content, calls, choice.finish_reason, usage.prompt_tokens, usage.completion_tokens)

    def _chat_stream(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        with self.openai.chat.completions.stream(**self._chat_arguments(model, prompt, tools)) as events:
            for _ in events:
                pass
            answer = events.get_final_completion()
        choice, usage = answer.choices[0], answer.usage
        assert usage is not None
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []]
        return seen(choice.message.content, calls, choice.finish_reason, usage.prompt_tokens, usage.completion_tokens)

    @staticmethod
    def _responses_arguments(model: str, prompt: str, tools: bool) -> dict[str, Any]:
        arguments: dict[str, Any] = {"model": model, "input": prompt}
        if tools:
            arguments["tools"] = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}]
        return arguments

    def _responses_single(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        return self._response(
            self.openai.responses.create(**self._responses_arguments(model, prompt, tools), stream=False)
        )

    def _responses_stream(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        with self.openai.responses.stream(**self._responses_arguments(model, prompt, tools)) as events:
            for _ in events:
                pass
            return self._response(events.get_final_response())

    @staticmethod
    def _response(answer: Any) -> dict[str, Any]:
        calls = [(item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"]
        return seen(answer.output_text, calls, answer.status, answer.usage.input_tokens, answer.usage.output_tokens)

    @staticmethod
    def _messages_arguments(model: str, prompt: str, tools: bool) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": model,
            "max_tokens": 4000,
            "messages": [{"role": "user", "content": prompt}],
        }
        if tools:
            arguments["tools"] = [{"name": "get_weather", "input_schema": SCHEMA}]
        return arguments

    def _messages_single(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        return self._message(self.anthropic.messages.create(**self._messages_arguments(model, prompt, tools)))

    def _messages_stream(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        with self.anthropic.messages.stream(**self._messages_arguments(model, prompt, tools)) as events:
            return self._message(events.get_final_message())

    @staticmethod
    def _message(answer: Any) -> dict[str, Any]:
        text = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
        prompt = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
        return seen(text, calls, answer.stop_reason, prompt, answer.usage.output_tokens)


def seen(text: str | None, calls: list[Any], finish: str, prompt: int, output: int) -> dict[str, Any]:
    return {"text": text or "", "calls": calls, "finish": finish, "prompt": prompt, "output": output}
