"""Reading a catalog: the documented form, defaults, and every problem at once with its line and field."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from lumen.catalog.parse import CatalogError, catalog_from_json, catalog_to_json, parse_catalog
from lumen.catalog.problems import Problem
from tests.unit.catalog.catalogs import ISSUE_EXAMPLE, issue_example

VALID = """\
models:
  - {code: m1, name: M, vendor: v, max_output_tokens: 10, price: {input: "1", output: "2"}}
groups:
  - {name: default}
channels:
  - {name: c1, dialects: {openai_chat: "http://h/v1"}, secret: env:K, models: {m1: up}}
"""


def problems(text: str) -> list[Problem]:
    with pytest.raises(CatalogError) as caught:
        parse_catalog(text, "c.yaml")
    return caught.value.problems


def only_problem(text: str) -> Problem:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def test_documented_example_is_read_as_written() -> None:
    catalog = issue_example()
    opus, (default, cc_only), channel = catalog.models[0], catalog.groups, catalog.channels[0]
    assert opus.aliases == ("claude-opus-4-8-20260801",)
    assert opus.price["cache_write_5m"] == "6.25"
    assert (opus.tiers[0].above_prompt_tokens, opus.tiers[0].price) == (200000, {"input": "10", "output": "37.5"})
    assert (default.multiplier, default.models, default.hold, default.clients) == ("1.0", ("*",), "estimate", ())
    assert (cc_only.multiplier, cc_only.hold, cc_only.clients) == ("0.35", "estimate", ("claude_code",))
    assert channel.dialects == {"anthropic_messages": "https://api.anthropic.com"}
    assert channel.secret == "env:ANTHROPIC_API_KEY"
    assert (channel.limits.concurrency, channel.timeouts.first_byte_s, channel.timeouts.total_s) == (512, 300, 3600)
    assert (channel.on_disconnect, channel.transport, channel.cost_multiplier) == ("drain", "lean", "0.8")
    assert channel.resilience.retry
    assert channel.resilience.breaker


def test_what_may_be_left_out_has_the_documented_defaults() -> None:
    channel = parse_catalog(VALID, "c.yaml").channels[0]
    full = issue_example().channels[0]
    assert channel.groups == ("*",)
    assert (channel.priority, channel.weight, channel.cost_multiplier, channel.cost) == (0, 1, "1", {})
    assert (channel.limits, channel.timeouts, channel.resilience) == (full.limits, full.timeouts, full.resilience)


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_accepted_as_yaml(indent: int | str | None) -> None:
    value = json.loads(catalog_to_json(issue_example()))
    value["models"][0]["name"] = 'Opus "\u6a21" \\u \U0001f600'
    catalog = parse_catalog(json.dumps(value, indent=indent), "c.json")
    assert catalog.models[0].name == 'Opus "\u6a21" \\u \U0001f600'
    assert catalog.channels == issue_example().channels


def test_unquoted_numbers_are_prices_by_their_exact_text() -> None:
    text = VALID.replace('input: "1"', "input: 0.000000001").replace('output: "2"', "output: 25")
    assert parse_catalog(text, "c.yaml").models[0].price == {"input": "0.000000001", "output": "25"}


def test_words_that_old_yaml_takes_for_booleans_stay_words() -> None:
    text = VALID.replace("m1", "no")
    assert parse_catalog(text, "c.yaml").models[0].code == "no"


def test_anchors_and_merge_keys_work() -> None:
    text = dedent("""\
        models:
          - &m {code: m1, name: M, vendor: v, max_output_tokens: 10, price: &p {input: "1", output: "2"}}
          - {<<: *m, code: m2, price: {<<: *p, output: "3"}}
        groups: [{name: default}]
        channels: []
        """)
    second = parse_catalog(text, "c.yaml").models[1]
    assert (second.code, second.vendor, second.price) == ("m2", "v", {"input": "1", "output": "3"})


def test_all_problems_come_at_once_with_line_and_field() -> None:
    text = dedent("""\
        models:
          - code: a
            nme: A
            vendor: x
            max_output_tokens: lots
            price: {input: 0.1234567891, outptu: "5"}
            tiers:
              - above_prompt_tokens: 10
                prise: {input: "1"}
          - {code: b, name: B, vendor: x, max_output_tokens: 1, price: {input: 5, output: 1}, aliases: [a, c, c]}
          - {code: b, name: B, vendor: x, max_output_tokens: 0, price: {input: 5}}
        groups:
          - name: default
            models: [bb, "*"]
            multipler: 1
            hold: strct
            clients: [codex]
        channels:
          - name: main
            dialects:
              anthropic_messages: https://x/v1
              openai_chat: https://user:pw@x
              openai: https://x
            secret: sk-ant-secret
            models: {a: a, aa: z}
            groups: [defualt]
            limits: {concurency: 5}
            weight: 0
            on_disconnect: no
          - name: main
            dialects: {}
            secret: env:A
            models: {b: 3}
            cost: {b: {input: "1"}, zzz: {input: "1", output: "1"}}
            timeouts: {connect_s: soon}
        modles: []
        """)
    found = [(problem.line, problem.field) for problem in problems(text)]
    assert found == [
        (2, "models[0].name"),
        (3, "models[0].nme"),
        (5, "models[0].max_output_tokens"),
        (6, "models[0].price.input"),
        (6, "models[0].price.outptu"),
        (8, "models[0].tiers[0].price"),
        (9, "models[0].tiers[0].prise"),
        (10, "models[1].aliases[0]"),
        (10, "models[1].aliases[2]"),
        (11, "models[2].code"),
        (11, "models[2].max_output_tokens"),
        (11, "models[2].price"),
        (14, "groups[0].models[0]"),
        (15, "groups[0].multipler"),
        (16, "groups[0].hold"),
        (17, "groups[0].clients[0]"),
        (21, "channels[0].dialects.anthropic_messages"),
        (22, "channels[0].dialects.openai_chat"),
        (23, "channels[0].dialects.openai"),
        (24, "channels[0].secret"),
        (25, "channels[0].models.aa"),
        (26, "channels[0].groups[0]"),
        (27, "channels[0].limits.concurency"),
        (28, "channels[0].weight"),
        (29, "channels[0].on_disconnect"),
        (30, "channels[1].name"),
        (31, "channels[1].dialects"),
        (33, "channels[1].models.b"),
        (34, "channels[1].cost.b"),
        (34, "channels[1].cost.zzz"),
        (35, "channels[1].timeouts.connect_s"),
        (36, "modles"),
    ]


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("max_output_tokns: 10", "max_output_tokens: 10", "unknown field; did you mean max_output_tokens?"),
        ('input: "1,5"', 'input: "1"', "a price is a decimal number such as 2.5, with at most 9 fraction digits"),
        ("transport: fast, secret: env:K", "secret: env:K", "must be lean or httpx"),
        ("models: {m2: up}", "models: {m1: up}", "no model has the code m2"),
        ("name: 5, dialects", "name: c1, dialects", "must be text; put it in quotes"),
        ("weight: 0, secret: env:K", "secret: env:K", "must be at least 1"),
        ('"http://h/v1/chat/completions"', '"http://h/v1"', "leave out the final /chat/completions"),
    ],
)
def test_messages_say_how_to_put_it_right(wrong: str, right: str, message: str) -> None:
    assert right in VALID
    found = [problem.message for problem in problems(VALID.replace(right, wrong))]
    assert any(message in text for text in found), found


def test_error_text_has_source_line_and_field() -> None:
    with pytest.raises(CatalogError) as caught:
        parse_catalog(VALID.replace("vendor: v, ", ""), "prod.yaml")
    assert str(caught.value) == "prod.yaml:2: models[0].vendor: required"


@pytest.mark.parametrize("secret", ["sk-ant-api03-abc", "env:", "env:MY KEY", "file:", "vault:x", "ENV:A"])
def test_secret_must_be_a_reference_and_is_never_repeated(secret: str) -> None:
    problem = only_problem(VALID.replace("env:K", f'"{secret}"'))
    assert (problem.line, problem.field) == (6, "channels[0].secret")
    assert problem.message == "write env:NAME or file:PATH; the secret itself never goes into the catalog"


def test_secret_in_an_unknown_field_is_never_repeated() -> None:
    problem = only_problem(VALID.replace("secret: env:K", "api_key: sk-ant-abc, secret: file:/run/key"))
    assert "sk-ant-abc" not in problem.message


def test_key_given_twice_is_a_problem_on_its_second_line() -> None:
    text = VALID + "groups: []\n"
    problem = only_problem(text)
    assert (problem.line, problem.field, problem.message) == (7, "groups", "given twice")


@pytest.mark.parametrize(
    ("text", "line"),
    [("models:\n  - {code: a\n", 3), ("models: [\n\t- x", 2), ("a: b: c", 1), ("", 1), ("\x00", 1), ("- a\n", 1)],
)
def test_what_is_not_a_yaml_mapping_is_one_problem_with_a_line(text: str, line: int) -> None:
    assert only_problem(text).line == line


def test_missing_sections_are_named() -> None:
    assert [(p.field, p.message) for p in problems("models: []")] == [
        ("channels", "required"),
        ("groups", "required"),
        ("models", "must not be empty"),
    ]


def test_sections_and_items_of_a_wrong_kind_are_problems_not_crashes() -> None:
    found = problems("models: {a: b}\ngroups: [3, {name: [x]}]\nchannels: [{name: c, models: [a], dialects: x}]\n")
    assert {problem.field for problem in found} >= {
        "models",
        "groups[0]",
        "groups[1].name",
        "channels[0].models",
        "channels[0].dialects",
        "channels[0].secret",
    }


def test_nesting_and_anchor_bombs_are_refused() -> None:
    assert "nested" in only_problem("a: " + "[" * 60 + "]" * 60).message
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
    )
    assert "too large" in only_problem(bomb).message
    assert "nested" in only_problem("a: &a [*a]").message


def test_two_tiers_at_the_same_size_are_a_problem() -> None:
    tiers = 'tiers: [{above_prompt_tokens: 5, price: {input: "2"}}, {above_prompt_tokens: 5, price: {input: "3"}}]'
    problem = only_problem(VALID.replace("vendor: v", f"vendor: v, {tiers}"))
    assert problem.field == "models[0].tiers[1].above_prompt_tokens"


def test_canonical_json_is_stable_and_round_trips() -> None:
    catalog = issue_example()
    data = catalog_to_json(catalog)
    assert catalog_from_json(data) == catalog
    assert catalog_to_json(catalog_from_json(data)) == data
    swapped = ISSUE_EXAMPLE.read_text().replace("priority: 0\n    weight: 1", "weight: 1\n    priority: 0")
    assert catalog_to_json(parse_catalog(swapped, "x")) == data


def test_json_of_a_newer_release_is_read_without_its_new_fields() -> None:
    value = json.loads(catalog_to_json(issue_example()))
    value["regions"] = []
    value["channels"][0]["region"] = "eu"
    value["models"][0]["tiers"][0]["until"] = 5
    assert catalog_from_json(json.dumps(value).encode()) == issue_example()


def test_fallbacks_name_other_models_once() -> None:
    text = """
models:
  - {code: a, name: A, vendor: v, max_output_tokens: 1, price: {input: "1", output: "1"}, fallbacks: [b, a, b, nope]}
  - {code: b, name: B, vendor: v, max_output_tokens: 1, price: {input: "1", output: "1"}}
groups: [{name: g}]
channels: []
"""
    with pytest.raises(CatalogError) as refused:
        parse_catalog(text, "test")
    found = [(problem.field, problem.message.split(" ")[0]) for problem in refused.value.problems]
    assert found == [
        ("models[0].fallbacks[1]", "a"),
        ("models[0].fallbacks[2]", "a"),
        ("models[0].fallbacks[3]", "no"),
    ]


def test_capabilities_are_optional_and_absent_means_anything() -> None:
    text = """
models:
  - {code: a, name: A, vendor: v, max_output_tokens: 1, price: {input: "1", output: "1"}, capabilities: {tools: false}}
groups: [{name: g}]
channels:
  - {name: c, dialects: {openai_chat: "http://h/v1"}, secret: "env:K", models: {a: a}}
"""
    document = parse_catalog(text, "test")
    limits = document.models[0].capabilities
    assert limits is not None
    assert (limits.tools, limits.images, limits.context_tokens) == (False, True, None)
    assert document.channels[0].capabilities is None
