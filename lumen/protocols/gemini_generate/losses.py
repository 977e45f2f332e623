"""What a request loses on its way to Gemini."""

from __future__ import annotations

from collections.abc import Mapping

from lumen.protocols.codec import Loss, LossAction

_REFUSED, _DROPPED, _ADAPTED = LossAction.REFUSED, LossAction.DROPPED, LossAction.ADAPTED

LOSSES: Mapping[str, Loss] = {
    # Without these the client would get something else than it asked for.
    "audio_output": Loss(_REFUSED, "Answers other than text."),
    "choices": Loss(_REFUSED, "More than one answer (`n`)."),
    "file_id": Loss(_REFUSED, "A file stored at the client's provider cannot be read by Google."),
    "stop_sequences": Loss(_REFUSED, "More than five."),
    "stored_conversations": Loss(_REFUSED, "What is stored at another provider cannot be continued here."),
    "tool_choice": Loss(_REFUSED, "A choice that forces a tool which had to be left out."),
    "unmatched_results": Loss(_REFUSED, "A tool result without its call: Gemini wants the function's name with it."),
    # Hints.
    "cache_control": Loss(_DROPPED, "Gemini caches prompts by itself."),
    "citations": Loss(_DROPPED, "Citations in the history; the text they are on stays."),
    "image_detail": Loss(_DROPPED, "Gemini has no such setting for one image."),
    "logit_bias": Loss(_DROPPED, "Gemini has none."),
    "logprobs": Loss(_DROPPED, "The answer's log probabilities are not translated."),
    "metadata": Loss(_DROPPED, "It would end up as billing labels of our account."),
    "opaque_blocks": Loss(_DROPPED, "Blocks only the client's dialect knows, such as calls of its server tools."),
    "parallel_tool_calls": Loss(_DROPPED, "Gemini cannot be kept from calling several functions at once."),
    "participant_name": Loss(_DROPPED, "The `name` of a message."),
    "prompt_cache_key": Loss(_DROPPED, "Gemini caches prompts by itself."),
    "reasoning_effort": Loss(_DROPPED, "Models before Gemini 2.5 do not think."),
    "reasoning_signature": Loss(_DROPPED, "Thoughts of another vendor's model, or without their signature."),
    "seed": Loss(_DROPPED, "One of more than 32 bits."),
    "server_tools": Loss(_DROPPED, "Tools that run at the client's provider."),
    "service_tier": Loss(_DROPPED, "Tiers are the catalog's, not the client's, across vendors."),
    "user": Loss(_DROPPED, "Gemini takes no end user id."),
    "verbosity": Loss(_DROPPED, "Gemini has none."),
    # Said in other words.
    "custom_tools": Loss(_ADAPTED, "A function with one string `input`; its grammar stands in the description."),
    "document_text": Loss(_ADAPTED, "A document's name and context become text before it."),
    "first_turn": Loss(_ADAPTED, "A conversation that does not begin with the user gets a user's blank before it."),
    "json_schema": Loss(
        _ADAPTED,
        "const, exclusive bounds, definitions and nullable in words Gemini knows; the schema's name is left out.",
    ),
    "local_shell": Loss(_ADAPTED, "A function with the members of its action."),
    "missing_signature": Loss(_ADAPTED, "Gemini 3: the documented placeholder on calls another model made."),
    "refusal": Loss(_ADAPTED, "Earlier refusals are plain text."),
    "strict_tools": Loss(_ADAPTED, "One strict function makes the calling mode VALIDATED for all."),
    "system_turns": Loss(_ADAPTED, "A system message within the conversation becomes a user's."),
    "thinking_budget": Loss(
        _ADAPTED, "Budgets become levels for Gemini 3 and efforts budgets for 2.5; Pro models always think a little."
    ),
    "tool_names": Loss(_ADAPTED, "Namespaces and other characters: see lumen/protocols/tool_names.py."),
    "tool_result_media": Loss(_ADAPTED, "Before Gemini 3 a result's images stand beside it."),
}
