"""How this edge would route a request now, candidate by candidate: the selection itself, asked for its reasons."""

from __future__ import annotations

import json

from lumen.catalog.resolve import Target
from protos import router_pb2
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.route_tables import RouterUnreachable, RouteTables
from services.edge.routing.affinity import conversation_key
from services.edge.routing.selection import NO_NEEDS, Selector


class Explainer:
    def __init__(self, worker_id: str, tables: RouteTables, workers: ProviderWorkers, selector: Selector) -> None:
        self._worker_id = worker_id
        self._tables = tables
        self._workers = workers
        self._selector = selector

    def answer(self, order: router_pb2.ExplainOrder) -> router_pb2.ExplainedRequest:
        answer = router_pb2.ExplainedRequest(
            order_id=order.order_id, worker_id=self._worker_id, catalog_revision=self._tables.revision
        )
        try:
            resolution = self._tables.lookup(order.group, order.model)
        except RouterUnreachable as error:
            answer.problem = str(error)
            return answer
        if resolution is None:
            answer.problem = f"the group {order.group} has no model {order.model}, or no channel serves it"
            return answer
        key = 0
        if order.text:
            message = json.dumps({"role": "user", "content": order.text}, ensure_ascii=False)
            key = conversation_key(order.account_id, message.encode())
        legs = [resolution]
        for code in resolution.model.fallbacks:
            leg = self._tables.lookup(order.group, code)
            if leg is not None:
                legs.append(leg)
        rows = [(leg, self._selector.explain(leg, key, NO_NEEDS)) for leg in legs]
        served = min(range(len(rows)), key=lambda place: (_gravity(rows[place][1]), place))
        for place, (leg, reasons) in enumerate(rows):
            for number, (target, reason) in enumerate(reasons):
                worker = self._workers.get(target.channel.name)
                answer.candidates.add(
                    channel=target.channel.name,
                    model=leg.model.code,
                    upstream_model=target.upstream_model,
                    priority=target.channel.priority,
                    weight=target.channel.weight,
                    in_flight=0 if worker is None else worker.in_flight,
                    is_chosen=place == served and number == 0 and _gravity(reasons) < _NONE,
                    reason=f"fallback {place} of {resolution.model.code}: {reason}" if place else reason,
                )
        return answer


_NONE = 2


def _gravity(reasons: list[tuple[Target, str]]) -> int:
    """Of one model: 0 healthy, 1 a last resort, 2 nobody can."""
    first = reasons[0][1]
    if not first.startswith("chosen"):
        return _NONE
    return int(first.startswith("chosen as a last resort"))
