"""Guessing keys at a real edge, from addresses that a trusted proxy tells."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.e2e.test_errors import ENDPOINTS, body_for, expect_error
from tests.fixtures.edges import EdgeProcess
from tests.fixtures.stack import Stack

LIMIT = 4


def test_an_address_that_guesses_keys_is_429_and_everybody_else_is_served(stack: Stack, tmp_path: Path) -> None:
    customer = stack.customer("10")
    settings = {"LUMEN_EDGE_BAD_KEYS_PER_MINUTE": str(LIMIT), "LUMEN_EDGE_TRUSTED_PROXIES": "127.0.0.1"}
    with EdgeProcess(stack, tmp_path / "edge", settings) as edge:

        def ask(endpoint: str, key: str, address: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {key}", "x-forwarded-for": address}
            return httpx.post(edge.base_url + endpoint, json=body_for(endpoint), headers=headers, timeout=30)

        assert ask("/v1/messages", customer.key, "2001:db8::1").status_code == 200
        for number in range(LIMIT):
            assert ask("/v1/messages", f"sk-lumen-guess{number}", f"2001:db8::{number}").status_code == 401
        for endpoint in ENDPOINTS:
            refused = ask(endpoint, "sk-lumen-another", "2001:db8::9")
            expect_error(refused, endpoint, 429, "rate_limit_exceeded", "rate_limit_error")
            assert 1 <= int(refused.headers["retry-after"]) <= 60 // LIMIT
        assert edge.metric('lumen_edge_bad_keys_total{outcome="refused"}') == len(ENDPOINTS)
        assert ask("/v1/messages", customer.key, "2001:db8::9").status_code == 200
        assert ask("/v1/messages", "sk-lumen-another", "2001:db8:0:1::9").status_code == 401
