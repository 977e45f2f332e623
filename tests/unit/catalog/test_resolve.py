"""Who can use which model, through which channels, in which order."""

from __future__ import annotations

from collections.abc import Iterable

from lumen.catalog.document import Channel
from lumen.catalog.resolve import Resolution, RouteTable, Target, resolution_from_json, resolution_to_json
from lumen.money.usage import TokenUsage
from tests.unit.catalog.catalogs import catalog, channel, group, issue_example, model


def resolution(*channels: Channel) -> Resolution:
    table = RouteTable(catalog([model("m")], [group("g")], list(channels)), 7)
    found = table.resolve("g", "m")
    assert found is not None
    return found


def names(targets: Iterable[Target]) -> list[str]:
    return [target.channel.name for target in targets]


def test_code_and_alias_resolve_to_the_same() -> None:
    table = RouteTable(issue_example(), 3)
    by_code = table.resolve("default", "claude-opus-4-8")
    assert by_code is not None
    assert table.resolve("default", "claude-opus-4-8-20260801") is by_code
    assert by_code.revision == 3
    assert by_code.targets[0].upstream_model == "claude-opus-4-8"


def test_groups_multiply_their_prices() -> None:
    table = RouteTable(issue_example(), 3)
    usage = TokenUsage(input=1000)
    charges = {name: table.resolve(name, "claude-opus-4-8") for name in ("default", "cc_only")}
    assert {name: found and found.rates.cost_nanousd(usage) for name, found in charges.items()} == {
        "default": 5_000_000,
        "cc_only": 1_750_000,
    }


def test_unknown_group_unknown_model_and_model_of_another_group_are_none() -> None:
    models = [model("gpt-1"), model("claude-1")]
    groups = [group("all"), group("claude", models=["claude-*"])]
    table = RouteTable(catalog(models, groups, [channel("c", "gpt-1", "claude-1")]), 1)
    assert table.resolve("nope", "gpt-1") is None
    assert table.resolve("all", "nope") is None
    assert table.resolve("claude", "gpt-1") is None
    assert table.resolve("claude", "claude-1") is not None
    assert [found.code for found in table.models_of("claude")] == ["claude-1"]
    assert [found.code for found in table.models_of("all")] == ["gpt-1", "claude-1"]
    assert table.models_of("nope") == []
    assert table.group("nope") is None


def test_globs_are_case_sensitive_and_cover_aliases_only_through_the_code() -> None:
    models = [model("Claude-1"), model("claude-2", aliases=["gpt-alias"])]
    table = RouteTable(
        catalog(
            models,
            [group("g", models=["claude-?"]), group("h", models=["gpt-*"])],
            [channel("c", "Claude-1", "claude-2")],
        ),
        1,
    )
    assert table.resolve("g", "Claude-1") is None
    assert table.resolve("g", "gpt-alias") is not None
    assert table.resolve("h", "gpt-alias") is None


def test_only_channels_of_this_group_and_model_are_targets() -> None:
    channels = [
        channel("everyone", "m"),
        channel("members", "m", groups=["g"]),
        channel("others", "m", groups=["h"]),
        channel("other-model", "n"),
    ]
    table = RouteTable(catalog([model("m"), model("n")], [group("g"), group("h")], channels), 1)
    found = table.resolve("g", "m")
    assert found is not None
    assert names(found.targets) == ["everyone", "members"]


def test_model_that_no_channel_serves_is_not_listed_and_not_found() -> None:
    table = RouteTable(catalog([model("m"), model("n")], [group("g")], [channel("c", "m")]), 1)
    assert table.resolve("g", "n") is None
    assert [found.code for found in table.models_of("g")] == ["m"]


def test_targets_are_ordered_by_priority() -> None:
    found = resolution(
        channel("third", "m", priority=9), channel("first", "m", priority=0), channel("second", "m", priority=1)
    )
    assert names(found.targets) == ["first", "second", "third"]


def test_resolution_survives_json_with_its_rates() -> None:
    found = RouteTable(issue_example(), 3).resolve("cc_only", "claude-opus-4-8")
    assert found is not None
    assert resolution_from_json(resolution_to_json(found)) == found
