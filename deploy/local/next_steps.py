"""What `lumen up` prints when everything runs: enough to send the first request and to find the way from there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_MODEL = "claude-opus-4-8"


def next_steps(state_dir: Path, env: Mapping[str, str], command: str, *, is_detached: bool) -> str:
    """`env` as in `<state-dir>/env`; `command` is how the shell finds `lumen`. All of it can be pasted as it stands."""
    base, key, account = env["LUMEN_BASE_URL"], env["LUMEN_API_KEY"], env["LUMEN_ACCOUNT"]
    option = "" if state_dir == Path(".lumen").absolute() else f" --state-dir {_short(state_dir)}"
    stop = f"{command} down{option}" if is_detached else f"Ctrl-C, or from elsewhere: {command} down{option}"

    def curl(path: str, body: str) -> str:
        return (
            f"  curl -N {base}{path} \\\n"
            f"    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n"
            f"    -d '{body}'\n"
        )

    hello = f'"model": "{_MODEL}", "stream": true'
    return (
        f"\nLumen is ready.\n\n"
        f"  Base URL   {base}/v1   (Anthropic SDK, Claude Code: {base})\n"
        f"  API key    {key}\n"
        f"  Console    {env['LUMEN_CONSOLE_URL']}   sign in as member@, operator@ or finance@lumen.example,"
        f" password {env['LUMEN_DEMO_PASSWORD']}\n\n"
        "OpenAI Chat Completions:\n"
        + curl("/v1/chat/completions", f'{{{hello}, "messages": [{{"role": "user", "content": "Hello"}}]}}')
        + "\nOpenAI Responses:\n"
        + curl("/v1/responses", f'{{{hello}, "input": "Hello"}}')
        + "\nAnthropic Messages:\n"
        + curl("/v1/messages", f'{{{hello}, "max_tokens": 256, "messages": [{{"role": "user", "content": "Hello"}}]}}')
        + f"\n  Balance    {command} balance {account}{option}\n"
        f"  Usage      {command} usage {account}{option}\n"
        f"  Variables  source {_short(state_dir / 'env')}\n"
        f"  Logs       {_short(state_dir / 'logs')}/\n"
        f"  Stop       {stop}\n"
    )


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
