"""Set-up for the usual clients, ready to copy. As the guides in docs/guides have it, tried with the real programs."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snippet:
    id: str
    title: str
    file: str  # where it goes
    text: str


def snippets(
    base_url: str, key: str, model: str, claude_model: str, *, only_claude_code: bool = False
) -> list[Snippet]:
    """`base_url` without /v1. A group that serves Claude Code only gets no other."""
    claude_code = Snippet(
        "claude-code",
        "Claude Code",
        "~/.profile",
        f"export ANTHROPIC_BASE_URL={base_url}\n"
        f"export ANTHROPIC_AUTH_TOKEN={key}\n"
        f"export ANTHROPIC_MODEL={claude_model}\n"
        f"export ANTHROPIC_DEFAULT_HAIKU_MODEL={claude_model}\n"
        "claude",
    )
    if only_claude_code:
        return [claude_code]
    hello = '[{"role": "user", "content": "Hello"}]'
    return [
        claude_code,
        Snippet(
            "codex-config",
            "Codex",
            "~/.codex/config.toml",
            f'model = "{model}"\n'
            'model_provider = "lumen"\n'
            'model_reasoning_effort = "high"\n\n'
            "[model_providers.lumen]\n"
            'name = "Lumen"\n'
            f'base_url = "{base_url}/v1"\n'
            'wire_api = "responses"\n'
            "requires_openai_auth = true",
        ),
        Snippet(
            "codex-auth",
            "Codex: the key",
            "~/.codex/auth.json",
            json.dumps({"OPENAI_API_KEY": key}, indent=2),
        ),
        Snippet(
            "openai-python",
            "OpenAI SDK (Python)",
            "hello_openai.py",
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="{base_url}/v1", api_key="{key}")\n'
            "stream = client.chat.completions.create(\n"
            f'    model="{model}", messages={hello}, stream=True\n'
            ")\n"
            "for chunk in stream:\n"
            "    if chunk.choices:\n"
            '        print(chunk.choices[0].delta.content or "", end="")',
        ),
        Snippet(
            "anthropic-python",
            "Anthropic SDK (Python)",
            "hello_anthropic.py",
            "from anthropic import Anthropic\n\n"
            f'client = Anthropic(base_url="{base_url}", auth_token="{key}")\n'
            "with client.messages.stream(\n"
            f'    model="{claude_model}", max_tokens=1024, messages={hello}\n'
            ") as stream:\n"
            "    for text in stream.text_stream:\n"
            '        print(text, end="")',
        ),
        Snippet(
            "curl",
            "curl",
            "shell",
            f"curl -N {base_url}/v1/chat/completions \\\n"
            f'  -H "Authorization: Bearer {key}" \\\n'
            '  -H "Content-Type: application/json" \\\n'
            f'  -d \'{{"model": "{model}", "stream": true, "messages": {hello}}}\'',
        ),
    ]
