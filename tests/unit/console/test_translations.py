"""Every text of the pages has a Chinese translation, with the same placeholders; none is left over."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from services.console.web import finance_books, pages
from services.console.web.i18n import preferred, translate
from services.console.web.zh import ZH

_WEB = Path(pages.__file__).parent
_LITERAL = r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_IN_TEMPLATES = re.compile(rf"\b_\(\s*{_LITERAL}")
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
# Said with a variable: `_(label)`, `_(account.status)`.
_BY_VARIABLE = {
    *(label for menu in pages.MENUS.values() for _, label in menu),
    *("member", "finance", "operator", "active", "suspended", "invited", "disabled"),
    *("topup", "grant", "refund", "adjustment", "expiry", "armed", "delivering", "delivered", "failed"),
    *("Auto", "Light", "Dark", "model", "provider", "channel", "group", "account", "key"),
    *finance_books.CHECK_TEXTS.values(),
    *("Claude Code", "Codex", "Codex: the key", "OpenAI SDK (Python)", "Anthropic SDK (Python)", "curl"),
}


def texts() -> set[str]:
    found = set(_BY_VARIABLE)
    for template in (_WEB / "templates").glob("*.html"):
        found |= {ast.literal_eval(text) for text in _IN_TEMPLATES.findall(template.read_text())}
    for module in _WEB.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "say":
                argument = node.args[0]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.add(argument.value)
    return found


def test_every_text_is_translated_and_no_translation_is_left_over() -> None:
    assert sorted(texts() - set(ZH)) == []
    assert sorted(set(ZH) - texts()) == []


@pytest.mark.parametrize("text", sorted(ZH))
def test_a_translation_has_the_placeholders_of_its_text(text: str) -> None:
    assert sorted(_PLACEHOLDER.findall(text)) == sorted(_PLACEHOLDER.findall(ZH[text]))


def test_placeholders_are_filled_in() -> None:
    assert translate("en", "{days} days", days=7) == "7 days"
    assert translate("zh", "{days} days", days=7) == "7 天"


@pytest.mark.parametrize(
    ("header", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-US,zh;q=0.5", "en"), ("fr,de;q=0.8", "en"), ("", "en"), ("fr,zh", "zh")],
)
def test_the_browsers_first_language_that_we_have_is_taken(header: str, language: str) -> None:
    assert preferred(header) == language
