"""What Chat Completions cannot carry. `answer_` rows are about answers to clients, the others about requests upstream.

Hints that OpenAI knows are dropped for the relatives that do not document them (`vendors.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from lumen.protocols.codec import Loss, LossAction

_REFUSED, _DROPPED, _ADAPTED = LossAction.REFUSED, LossAction.DROPPED, LossAction.ADAPTED

LOSSES: Mapping[str, Loss] = {
    # What would change the answer.
    "audio_output": Loss(_REFUSED, "Spoken answers are passed through only."),
    "choices": Loss(_REFUSED, "More than one answer (n) is passed through only."),
    "document_url": Loss(_REFUSED, "Chat Completions takes no documents by URL."),
    "file_id": Loss(_REFUSED, "Files stored at a provider are known to that provider's own API only."),
    "stop_sequences": Loss(_REFUSED, "OpenAI takes at most four stop sequences."),
    "tool_choice": Loss(_REFUSED, "A tool that must be called has to be among those that are sent."),
    # Hints.
    "cache_control": Loss(_DROPPED, "Prompts are cached without being told where."),
    "citations": Loss(_DROPPED, "Citations in earlier answers are not sent back."),
    "frequency_penalty": Loss(_DROPPED, "Some relatives have none."),
    "logit_bias": Loss(_DROPPED, "Token ids belong to one vendor's models."),
    "logprobs": Loss(_DROPPED, "Translated answers carry none."),
    "metadata": Loss(_DROPPED, "Kept by OpenAI with stored completions only."),
    "opaque_blocks": Loss(_DROPPED, "Blocks only the client's dialect knows, such as server tool calls and results."),
    "parallel_tool_calls": Loss(_DROPPED, "Some relatives cannot be told to call one tool at a time."),
    "presence_penalty": Loss(_DROPPED, "Some relatives have none."),
    "prompt_cache_key": Loss(_DROPPED, "OpenAI and Kimi only."),
    "reasoning_display": Loss(_DROPPED, "How thinking is shown cannot be chosen."),
    "reasoning_signature": Loss(
        _DROPPED, "Signed or encrypted thinking has no place here; OpenAI and Google take none back at all."
    ),
    "seed": Loss(_DROPPED, "Some relatives have none."),
    "server_tools": Loss(_DROPPED, "Tools that run at the provider of the client's dialect."),
    "service_tier": Loss(_DROPPED, "OpenAI only, and Anthropic's tiers are others."),
    "strict_tools": Loss(_DROPPED, "Some relatives have no strict schemas."),
    "top_k": Loss(_DROPPED, "Qwen only."),
    "user": Loss(_DROPPED, "OpenAI and Kimi only; of more than 64 characters its SHA-256."),
    "verbosity": Loss(_DROPPED, "OpenAI only."),
    # Said otherwise.
    "allowed_tools": Loss(_ADAPTED, "Relatives get only the tools that may be called."),
    "custom_tools": Loss(_ADAPTED, "For relatives a function with one string, the grammar in its description."),
    "document_text": Loss(_ADAPTED, "A document given as text becomes text under its title."),
    "system_turns": Loss(_ADAPTED, "System turns in mid-conversation become marked user messages for some relatives."),
    "local_shell": Loss(_ADAPTED, "Becomes a function."),
    "reasoning_effort": Loss(_ADAPTED, "The vendor's nearest switch, for many only on and off."),
    "refusal_history": Loss(_ADAPTED, "Earlier refusals are plain text for relatives."),
    "thinking_budget": Loss(_ADAPTED, "An effort but for Qwen: up to 4095 tokens low, up to 16383 medium, else high."),
    "tool_names": Loss(_ADAPTED, "Namespaces and other characters: see lumen/protocols/tool_names.py."),
    "tool_result_error": Loss(_ADAPTED, 'A failed tool\'s result starts with "Error:".'),
    "tool_result_media": Loss(_ADAPTED, "Images and files of a tool's result follow it in a user message."),
    # Answers.
    "answer_citations": Loss(_DROPPED, "Citations of documents have no form in Chat Completions; those of pages have."),
    "answer_context": Loss(_ADAPTED, "A full context window is `length`."),
    "answer_paused": Loss(_ADAPTED, "A paused turn is `stop`: sent back, it goes on."),
    "answer_stop_sequence": Loss(_ADAPTED, "Which stop sequence it was is not said: `stop`."),
    "answer_opaque_blocks": Loss(_DROPPED, "Server tool calls and their results."),
    "answer_parallel_calls": Loss(_DROPPED, "The old `function_call` has room for one call."),
    "answer_reasoning_signature": Loss(_DROPPED, "Thinking is shown as `reasoning_content`, without its signature."),
}
