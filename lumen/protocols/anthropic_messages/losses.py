"""What this dialect cannot carry. `answer_` rows are of answers to its clients, the others of requests upstream."""

from __future__ import annotations

from collections.abc import Mapping

from lumen.protocols.codec import Loss, LossAction

_REFUSED, _DROPPED, _ADAPTED = LossAction.REFUSED, LossAction.DROPPED, LossAction.ADAPTED

LOSSES: Mapping[str, Loss] = {
    "choices": Loss(_REFUSED, "Messages gives one answer; n > 1 would give fewer than asked for."),
    "logprobs": Loss(_REFUSED, "There are no log probabilities."),
    "audio_input": Loss(_REFUSED, "Messages takes no audio."),
    "audio_output": Loss(_REFUSED, "Messages speaks no audio."),
    "file_id": Loss(_REFUSED, "The file is stored at another provider."),
    "document_type": Loss(_REFUSED, "Documents are PDFs or text."),
    "stored_conversations": Loss(_REFUSED, "What is stored at another provider cannot be continued here."),
    "tool_choice": Loss(
        _REFUSED,
        "The model refuses forced tool use (Opus and Sonnet 5.5, Fable 5.1 and later), or the tool is not there.",
    ),
    "sampling": Loss(_DROPPED, "Claude 4.7 and later refuse temperature, top_p and top_k."),
    "temperature": Loss(_DROPPED, "Only the default is allowed with thinking."),
    "top_p": Loss(_DROPPED, "Not allowed beside temperature, nor below 0.95 with thinking."),
    "top_k": Loss(_DROPPED, "Not allowed with thinking."),
    "seed": Loss(_DROPPED, "There is no seed."),
    "presence_penalty": Loss(_DROPPED, "There are no penalties."),
    "frequency_penalty": Loss(_DROPPED, "There are no penalties."),
    "logit_bias": Loss(_DROPPED, "There is no bias."),
    "stop_sequences": Loss(_DROPPED, "Sequences of white space alone are refused by the API."),
    "service_tier": Loss(_DROPPED, "Other vendors' tiers have no counterpart."),
    "metadata": Loss(_DROPPED, "Only a user id can be sent."),
    "user": Loss(_DROPPED, "The API refuses ids of more than 256 characters and those that are mail or phone numbers."),
    "prompt_cache_key": Loss(_DROPPED, "Caching is by prefix, with marks."),
    "verbosity": Loss(_DROPPED, "There is no such setting."),
    "image_detail": Loss(_DROPPED, "There is no such setting."),
    "participant_name": Loss(_DROPPED, "Turns have a role and no name."),
    "server_tools": Loss(_DROPPED, "Tools that run at another provider."),
    "strict_tools": Loss(_DROPPED, "The model, or this schema, has no strict tools."),
    "opaque_blocks": Loss(_DROPPED, "Another provider's own blocks."),
    "citations": Loss(_DROPPED, "Another dialect's citations in the history."),
    "reasoning_signature": Loss(_DROPPED, "Another model's sealed reasoning is of no use to this one."),
    "reasoning_effort": Loss(
        _DROPPED, "Thinking is not possible here: forced tools, a small cap, a history without it, or always on."
    ),
    "cache_control": Loss(_ADAPTED, "Kept, but for marks on empty blocks, which are left out with them."),
    "temperature_range": Loss(_ADAPTED, "Above 1 becomes 1."),
    "thinking_budget": Loss(_ADAPTED, "A budget becomes adaptive thinking, an effort a budget, as the model has it."),
    "effort_levels": Loss(_ADAPTED, "A level that the model lacks becomes the next lower one it has."),
    "allowed_tools": Loss(_ADAPTED, "Only the tools that may be called are sent."),
    "custom_tools": Loss(_ADAPTED, "A function with one string, `input`; the grammar is told in its description."),
    "local_shell": Loss(_ADAPTED, "A function with the members of its action."),
    "tool_names": Loss(_ADAPTED, "Namespaces and other characters: see lumen/protocols/tool_names.py."),
    "json_object": Loss(_ADAPTED, "An instruction at the end of the system prompt."),
    "json_schema": Loss(
        _ADAPTED,
        "Objects are closed and constraints the API refuses move to descriptions; without schemas, an instruction.",
    ),
    "system_turns": Loss(
        _ADAPTED, "Where the model or the place allows none: text in <system-reminder> in the user's turn."
    ),
    "first_turn": Loss(_ADAPTED, "A conversation that does not begin with the user gets a turn of `.` before it."),
    "parallel_tool_calls": Loss(_ADAPTED, "disable_parallel_tool_use, which needs a tool choice: auto."),
    "answer_citations": Loss(_DROPPED, "Citations need what only Anthropic's search gives with them."),
    "answer_text_signature": Loss(_DROPPED, "Text has no place for a signature."),
    "answer_opaque_blocks": Loss(_DROPPED, "Another provider's own blocks."),
    "answer_refusal": Loss(_ADAPTED, "A refusal is text, with the stop reason refusal."),
}
