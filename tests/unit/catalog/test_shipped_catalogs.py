"""The catalogs we ship are valid and complete."""

from __future__ import annotations

from pathlib import Path
from string import Template

from lumen.catalog.document import Catalog
from lumen.catalog.parse import parse_catalog
from lumen.catalog.resolve import RouteTable
from lumen.money.usage import TokenUsage
from lumen.protocols.dialects import CLIENT_DIALECTS, Dialect
from lumen.protocols.translation import Translate, plan

DEPLOY = Path(__file__).parents[3] / "deploy"
NAMES = {
    "claude-opus-4-8": "Claude Opus 4.8",
    "claude-opus-4-7": "Claude Opus 4.7",
    "claude-opus-4-6": "Claude Opus 4.6",
    "claude-sonnet-4-6": "Claude Sonnet 4.6",
    "gpt-5.5": "GPT-5.5",
    "gemini-3.1-pro-preview": "Gemini 3.1 Pro",
    "gemini-3-pro-preview": "Gemini 3 Pro",
    "gemini-3-flash-preview": "Gemini 3 Flash",
    "deepseek-v4-pro": "DeepSeek V4 Pro",
    "deepseek-v4-flash": "DeepSeek V4 Flash",
    "kimi-k2.6": "Kimi K2.6",
    "glm-5": "GLM-5",
    "minimax-m3": "MiniMax M3",
    "qwen3.7-max": "Qwen3.7 Max",
}


def local() -> Catalog:
    text = (DEPLOY / "local" / "catalog.yaml").read_text()
    return parse_catalog(Template(text).substitute(SIMULATOR_PORT="7082"), "local")


def providers() -> Catalog:
    return parse_catalog((DEPLOY / "catalog" / "providers.yaml").read_text(), "providers")


def test_both_have_every_model_with_its_name() -> None:
    for catalog in (local(), providers()):
        assert {model.code: model.name for model in catalog.models} == NAMES


def test_local_serves_every_model_in_every_client_dialect() -> None:
    table = RouteTable(local(), 1)
    for code in NAMES:
        resolution = table.resolve("default", code)
        assert resolution is not None
        for target in resolution.targets:
            plans = {client: plan(client, target.channel.dialects) for client in CLIENT_DIALECTS.values()}
            # Of the relatives only Responses is translated.
            translated = {client for client, planned in plans.items() if isinstance(planned, Translate)}
            assert translated == (set() if target.channel.name == "simulator" else {Dialect.OPENAI_RESPONSES})
    simulator = table.catalog.channels[0]
    assert simulator.dialects["openai_responses"] == "http://127.0.0.1:7082/openai/v1"
    assert simulator.secret == "env:LUMEN_SIMULATOR_KEY"


def test_local_groups_are_those_of_the_documentation() -> None:
    groups = {group.name: group for group in local().groups}
    assert set(groups) == {"default", "cc_only", "strict"}
    assert (groups["cc_only"].multiplier, groups["cc_only"].clients) == ("0.35", ("claude_code",))
    assert (groups["default"].hold, groups["strict"].hold) == ("estimate", "strict")
    assert {model.vendor for model in RouteTable(local(), 1).models_of("cc_only")} == {"anthropic"}


def test_every_provider_model_is_reachable_and_every_secret_comes_from_the_environment() -> None:
    catalog = providers()
    table = RouteTable(catalog, 1)
    assert all(table.resolve("default", code) is not None for code in NAMES)
    assert all(channel.secret.startswith("env:") for channel in catalog.channels)
    assert {channel.name for channel in catalog.channels} >= {"anthropic", "openai", "google", "deepseek", "moonshot"}


def test_cached_tokens_never_cost_more_than_fresh_ones() -> None:
    """In any tier: a tier that forgets to name cache_read would keep the base price, which is allowed but checked."""
    for catalog in (local(), providers()):
        table = RouteTable(catalog, 1)
        for code in NAMES:
            resolution = table.resolve("default", code)
            assert resolution is not None
            for tokens in (1000, 1_000_000):
                fresh = resolution.rates.cost_nanousd(TokenUsage(input=tokens))
                assert 0 < resolution.rates.cost_nanousd(TokenUsage(cache_read=tokens)) < fresh
