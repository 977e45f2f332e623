"""What each vendor's Chat Completions take beyond what all of them do, by the catalog's `vendor`.

A member that a vendor does not document is not sent: some ignore it, some refuse it, and neither is what was asked for.
https://platform.openai.com/docs/api-reference/chat/create, https://ai.google.dev/gemini-api/docs/openai,
https://api-docs.deepseek.com/api/create-chat-completion, https://platform.moonshot.ai/docs/api/chat,
https://docs.z.ai/api-reference/llm/chat-completion, https://platform.minimax.io/docs/api-reference/text-openai-api,
https://help.aliyun.com/en/model-studio/qwen-api-reference
"""

from __future__ import annotations

from collections.abc import Mapping

# What vLLM and its like know, for vendors of which nothing more is known.
_CLASSIC = frozenset({"seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "parallel_tool_calls"})

_TAKES: Mapping[str, frozenset[str]] = {
    "openai": _CLASSIC
    | {"allowed_tools", "custom_tools", "system_turns", "metadata", "prompt_cache_key", "refusal", "service_tier"}
    | {"bare_functions", "strict_tools", "text_parts", "user", "verbosity"},
    # Refuses members it does not know, the penalties and the seed that its own API has among them.
    "google": frozenset({"text_parts"}),
    "deepseek": frozenset({"presence_penalty", "frequency_penalty", "logprobs", "system_turns"}),
    "moonshot": frozenset({"presence_penalty", "frequency_penalty", "prompt_cache_key", "user", "system_turns"}),
    "zhipu": frozenset({"system_turns"}),
    "minimax": frozenset(),
    "qwen": frozenset({"seed", "presence_penalty", "logprobs", "parallel_tool_calls", "top_k"}),
}

# Their own APIs refuse or ignore thinking that is sent back as text.
_WITHOUT_REASONING = frozenset({"openai", "google"})
# While they think, refuse a conversation with tool calls in which an assistant message lacks `reasoning_content`.
_NEEDING_REASONING = frozenset({"deepseek", "moonshot"})


def takes(issuer: str, feature: str) -> bool:
    return feature in _TAKES.get(issuer, _CLASSIC)


def takes_reasoning(issuer: str) -> bool:
    return issuer not in _WITHOUT_REASONING


def needs_reasoning_beside_calls(issuer: str) -> bool:
    return issuer in _NEEDING_REASONING


def output_cap_name(issuer: str) -> str:
    """gpt-5 refuses `max_tokens`; the relatives all know that one."""
    return "max_completion_tokens" if issuer == "openai" else "max_tokens"
