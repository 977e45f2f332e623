"""One edge's part of a limit: what is in hand, what is told, who is served and refused, and the rule without auth."""

from __future__ import annotations

import asyncio

from protos import auth_pb2 as pb
from services.edge.limits.share import Share, Waiter

NOW = 1024.0


def share(kind: pb.LimitKind = pb.LIMIT_REQUESTS, limit: int = 600) -> Share:
    return Share("key:k", kind, "", limit, NOW)


def granted(of: Share, amount: int, *, available: int = 0, wait_ms: int = 0, is_scarce: bool = False) -> None:
    of.learn(
        of.asked(NOW), pb.LimitGrant(granted=amount, available=available, wait_ms=wait_ms, is_scarce=is_scarce), NOW
    )


def told(of: Share, workers: int = 4) -> pb.LimitShare:
    return of.order(workers, NOW, is_leased=True)


def waiter(of: Share, need: int) -> asyncio.Future[float | None]:
    answered: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
    of.waiters.append(Waiter(need, answered))
    return answered


def test_requests_take_from_what_is_in_hand_and_are_told_as_totals() -> None:
    part = share()
    assert not part.try_take(1)
    granted(part, 3)
    assert [part.try_take(1) for _ in range(4)] == [True, True, True, False]
    order = told(part)
    assert (order.used, order.used_known, order.held) == (3, 0, 0)
    granted(part, 0)
    assert told(part).used_known == 3


def test_a_slot_is_in_use_until_its_request_ends() -> None:
    part = share(pb.LIMIT_CONCURRENCY, 10)
    granted(part, 1)
    assert part.try_take(1)
    assert not part.try_take(1)
    assert (told(part).used, told(part).held) == (0, 1)
    part.settle(1, 0)
    assert part.try_take(1)


def test_money_not_spent_comes_back_and_money_overspent_is_told() -> None:
    part = share(pb.LIMIT_SPEND_DAY, 10_000)
    granted(part, 100)
    assert part.try_take(80)
    part.settle(80, 30)
    assert (part.left, part.in_use, part.used) == (70, 0, 30)
    assert part.try_take(70)
    part.settle(70, 90)
    assert (part.left, part.in_use, part.used) == (0, 0, 120)


def test_tokens_are_corrected_both_ways() -> None:
    part = share(pb.LIMIT_TOKENS, 10_000)
    granted(part, 150)
    assert part.try_take(100)
    part.correct(30)
    assert (part.left, part.used) == (20, 130)
    part.correct(-90)
    assert (part.left, part.used) == (20, 40)  # only auth knows what has drained meanwhile: not back in hand


async def test_those_who_wait_are_served_in_order_and_the_rest_is_told_how_long() -> None:
    part = share()
    first, second, third = waiter(part, 1), waiter(part, 1), waiter(part, 1)
    order = told(part)
    assert (order.need, order.waiting) == (1, 3)
    granted(part, 2, wait_ms=750)
    assert (first.result(), second.result(), third.result()) == (None, None, 0.75)
    assert part.denied_s(1, NOW) == 0.75
    assert part.denied_s(1, NOW + 0.75) == 0.0


async def test_who_came_while_the_call_was_under_way_waits_for_the_next() -> None:
    part = share()
    early = waiter(part, 1)
    asked = part.asked(NOW)
    late = waiter(part, 1)
    part.learn(asked, pb.LimitGrant(granted=0, wait_ms=500), NOW)
    assert early.result() == 0.5
    assert not late.done()


async def test_a_client_that_has_left_takes_nothing() -> None:
    part = share()
    gone, here = waiter(part, 1), waiter(part, 1)
    gone.cancel()
    granted(part, 1)
    assert here.result() is None
    assert (part.left, part.used) == (0, 1)


def test_a_refusal_of_much_does_not_refuse_little() -> None:
    part = share(pb.LIMIT_TOKENS, 1000)
    part._denied_need, part.denied_until = 500, NOW + 1
    assert part.denied_s(500, NOW) == 1.0
    assert part.denied_s(499, NOW) == 0.0


def test_nothing_idle_is_kept_where_others_starve() -> None:
    part = share(limit=64_000)
    assert told(part, workers=4).ahead == 64_000 // (64 * 4)
    granted(part, 250)
    part.give_back_idle(4, NOW + 1)
    assert part.left == 250
    granted(part, 0, is_scarce=True)
    part.give_back_idle(4, NOW + 1)
    assert part.left == 0


def test_a_second_of_what_is_asked_for_is_taken_ahead() -> None:
    part = share(limit=60_000)
    granted(part, 1000)
    for step in range(10):
        for _ in range(50):  # 500 a second
            assert part.try_take(1)
        part.ahead(4, NOW + 0.1 * (step + 1))
    assert 400 <= part.ahead(4, NOW + 1.0) <= 500


# ---- without auth


def test_without_auth_an_edge_admits_its_part_of_what_was_left_and_of_the_rate() -> None:
    part = share(limit=600)
    granted(part, 0, available=200)
    admitted = sum(part.take_locally(1, 1, 4, NOW) is None for _ in range(600))
    assert admitted == 50  # a quarter of what was left
    refusal = part.take_locally(1, 1, 4, NOW)
    assert refusal is not None
    assert refusal.wait_s == 1 * 60 / 150
    admitted = sum(part.take_locally(1, 1, 4, NOW + 20) is None for _ in range(600))
    assert admitted == 50  # a third of a minute, a quarter of 600
    assert part.used == 100  # told to auth when it is back


def test_without_auth_slots_and_money_do_not_grow() -> None:
    part = share(pb.LIMIT_CONCURRENCY, 40)
    granted(part, 0, available=12)
    assert sum(part.take_locally(1, 1, 4, NOW + each) is None for each in range(100)) == 3
    refusal = part.take_locally(1, 1, 4, NOW + 100)
    assert refusal is not None
    assert refusal.is_unknown


def test_a_limit_smaller_than_the_number_of_edges_still_admits() -> None:
    part = share(limit=2)
    assert part.take_locally(1, 1, 4, NOW) is not None
    assert part.take_locally(1, 1, 4, NOW + 60) is None
