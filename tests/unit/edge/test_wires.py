"""What a translated request still asks of the provider."""

from __future__ import annotations

from services.edge.wires import _modifiers_in


def test_a_tier_that_got_lost_in_translation_is_not_charged() -> None:
    assert _modifiers_in(b'{"model":"m"}', {"service_tier": "priority"}) == {}
    asked = {"service_tier": "priority"}
    assert _modifiers_in(b'{"model":"m","service_tier":"priority"}', asked) == asked
