"""Two languages. English is the key: a text without a translation shows as English, and a test finds it."""

from __future__ import annotations

from services.console.web.zh import ZH

LANGUAGES = ("en", "zh")
DEFAULT_LANGUAGE = "en"


def translate(language: str, text: str, **values: object) -> str:
    """`text` in the language, with `{name}` replaced by values."""
    found = ZH.get(text, text) if language == "zh" else text
    return found.format(**values) if values else found


def preferred(accept_language: str) -> str:
    """The first of our languages in an Accept-Language header; its order stands for the weights."""
    for part in accept_language.split(",")[:20]:
        tag = part.split(";")[0].strip().lower().partition("-")[0]
        if tag in LANGUAGES:
            return tag
    return DEFAULT_LANGUAGE
