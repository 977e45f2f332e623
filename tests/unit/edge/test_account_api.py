"""Balance and usage at the edge when billing is not there to ask, slow, or asked by too many."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata
from prometheus_client import CollectorRegistry

from lumen.protocols.errors import ApiError
from protos import auth_pb2, billing_pb2
from services.edge.account_api import AccountApi
from services.edge.key_cache import ApiKey, decode_key
from services.edge.metrics import EdgeMetrics


class Billing:
    """Answers when `may_answer` is set; or fails."""

    def __init__(self, failure: grpc.StatusCode | None = None) -> None:
        self.may_answer = asyncio.Event()
        self._failure = failure

    async def GetBalance(self, request: Any, **_: Any) -> billing_pb2.Balance:
        if self._failure is not None:
            raise AioRpcError(self._failure, Metadata(), Metadata(), "", "")
        await self.may_answer.wait()
        return billing_pb2.Balance(balance_nanousd=-1_500_000_000, reserved_nanousd=1, available_nanousd=-1_500_000_001)


def key(key_id: str) -> ApiKey:
    return decode_key(auth_pb2.KeyView(key_id=key_id, account_id="a1", group="default"))


def account_api(billing: Billing | None) -> tuple[AccountApi, CollectorRegistry]:
    registry = CollectorRegistry()
    return AccountApi(cast(Any, billing), EdgeMetrics(registry), keys_max=100, timeout_s=1.0), registry


async def refused(api: AccountApi, key_id: str = "k") -> ApiError:
    with pytest.raises(ApiError) as error:
        await api.balance(key(key_id))
    return error.value


async def test_an_edge_without_billings_address_says_so() -> None:
    error = await refused(account_api(None)[0])
    assert (error.status, error.retry_after_s) == (503, 60)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
async def test_billing_away_is_503_and_counted(code: grpc.StatusCode) -> None:
    api, registry = account_api(Billing(code))
    assert (await refused(api)).status == 503
    labels = {"outcome": code.name.lower()}
    assert registry.get_sample_value("lumen_edge_account_queries_total", labels) == 1


async def test_a_few_ask_at_once_and_the_next_is_told_to_come_again() -> None:
    billing = Billing()
    api, _ = account_api(billing)
    asking = [asyncio.create_task(api.balance(key(f"k{n}"))) for n in range(16)]
    await asyncio.sleep(0)
    assert (await refused(api, "one more")).status == 503
    billing.may_answer.set()
    answers = await asyncio.gather(*asking)
    assert answers[0]["balance_usd"] == "-1.5"
    assert answers[0]["available_usd"] == "-1.500000001"
    assert (await api.balance(key("one more")))["object"] == "balance"
