"""What a Responses upstream cannot be told, and (`answer_`) what a Responses client cannot be answered."""

from __future__ import annotations

from collections.abc import Mapping

from lumen.protocols.codec import Loss, LossAction

_REFUSED, _DROPPED, _ADAPTED = LossAction.REFUSED, LossAction.DROPPED, LossAction.ADAPTED

LOSSES: Mapping[str, Loss] = {
    "choices": Loss(_REFUSED, "Responses gives one answer; fewer than asked for would break the client."),
    "stop_sequences": Loss(
        _REFUSED,
        "Responses has no `stop`. Text beyond the sequence is what the client asked not to get, and parsers and agents"
        " act on what they get: refused rather than left out.",
    ),
    "audio_output": Loss(_REFUSED, "Responses answers in text only; a client that asked for audio cannot use it."),
    "assistant_media": Loss(_REFUSED, "An assistant message holds text only."),
    "file_id": Loss(_REFUSED, "A file stored at another provider, or under another account, cannot be read."),
    "tool_choice": Loss(_REFUSED, "The tool that must be called runs at another provider and was left out."),
    "stored_conversations": Loss(
        _REFUSED,
        "`previous_response_id`, `conversation`, `prompt`, `item_reference`, `background` and an explicit `store: true`"
        " need OpenAI's own store.",
    ),
    "seed": Loss(_DROPPED, "Responses has no seed."),
    "top_k": Loss(_DROPPED, "Responses has no top_k."),
    "presence_penalty": Loss(_DROPPED, "Responses has no penalties."),
    "frequency_penalty": Loss(_DROPPED, "Responses has no penalties."),
    "logit_bias": Loss(_DROPPED, "Responses has no logit_bias."),
    "logprobs": Loss(_DROPPED, "Answers are translated without them; null is a lawful value in the client's dialect."),
    "service_tier": Loss(_DROPPED, "A tier that OpenAI does not have."),
    "metadata": Loss(_DROPPED, "Responses takes strings only, at most 16."),
    "cache_control": Loss(_DROPPED, "OpenAI caches prompts by itself."),
    "server_tools": Loss(_DROPPED, "Tools another provider runs. The model answers without them."),
    "opaque_blocks": Loss(_DROPPED, "Blocks only another dialect has: results of its server tools, its compactions."),
    "reasoning_signature": Loss(
        _DROPPED,
        "Reasoning goes back sealed, to the vendor whose model sealed it, and never as visible text.",
    ),
    "citations": Loss(_DROPPED, "The history's citations of another dialect; its text stays."),
    "participant_name": Loss(_DROPPED, "Messages have no name of who wrote them."),
    "tool_names": Loss(_ADAPTED, "Names OpenAI's pattern refuses are rewritten, and turned back in the answer."),
    "call_id": Loss(_ADAPTED, "Of more than 64 characters its SHA-256, in the call and in its output."),
    "document_text": Loss(
        _ADAPTED, "A document given as text becomes text after its title; its context is a text before it."
    ),
    "tool_result_error": Loss(_ADAPTED, "Tool outputs have no error flag: the output starts with `Error:`."),
    "max_output_tokens": Loss(
        _ADAPTED, "OpenAI takes no cap below 16: a lower one is raised, but for a strict hold's."
    ),
    "thinking_budget": Loss(
        _ADAPTED, "A budget becomes an effort: up to 4095 tokens low, up to 16383 medium, else high."
    ),
    "thinking_disabled": Loss(_ADAPTED, "Effort `none`."),
    "user": Loss(_ADAPTED, "Becomes `safety_identifier`; of more than 64 characters its SHA-256, as OpenAI advises."),
    "answer_citations": Loss(_DROPPED, "Citations without a URL have no annotation here; their text stays."),
    "answer_opaque_blocks": Loss(_DROPPED, "Blocks only the upstream's dialect has."),
    "answer_text_signature": Loss(
        _DROPPED, "A signature on text has no place in a message; Gemini does not need it back."
    ),
    "answer_refusal": Loss(
        _ADAPTED, "An answer the model broke off without words is incomplete with `content_filter`."
    ),
    "answer_stop_sequence": Loss(_ADAPTED, "An answer that met a stop sequence is completed; which one is not said."),
    "answer_paused": Loss(_ADAPTED, "A paused turn is completed: sent back, it goes on."),
    "answer_context": Loss(_ADAPTED, "A full context window is incomplete with `max_output_tokens`."),
}
