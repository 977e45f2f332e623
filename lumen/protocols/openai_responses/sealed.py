"""Reasoning seals as `encrypted_content`.

Anthropic's redacted thinking and its thinking whose text is not shown look alike here, a seal without text, but must go
back as what they were: the wrapped issuer of redacted reasoning is marked.
"""

from __future__ import annotations

from lumen.protocols import seals
from lumen.protocols.canonical.content import Seal

NATIVE_ISSUER = "openai"
_REDACTED = "redacted/"


def encode_seal(seal: Seal, is_redacted: bool) -> str:
    return seals.wrap(Seal(_REDACTED + seal.issuer, seal.value) if is_redacted else seal, NATIVE_ISSUER)


def decode_seal(encrypted_content: str) -> tuple[Seal, bool]:
    """(the seal, whether it is redacted reasoning)"""
    seal = seals.unwrap(encrypted_content, NATIVE_ISSUER)
    if seal.issuer.startswith(_REDACTED):
        return Seal(seal.issuer.removeprefix(_REDACTED), seal.value), True
    return seal, False
