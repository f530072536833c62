"""The market as a plain network: unit by unit along cheapest paths, with nothing clever."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SOURCE, SINK = "source", "sink"


@dataclass
class Network:
    """Arcs with capacities and costs; every arc has its reverse at the next odd number."""

    heads: list[object] = field(default_factory=list)
    capacity: list[int] = field(default_factory=list)
    cost: list[int] = field(default_factory=list)
    leaving: dict[object, list[int]] = field(default_factory=dict)

    def arc(self, tail: object, head: object, capacity: int, cost: int = 0) -> None:
        for start, end, room, price in ((tail, head, capacity, cost), (head, tail, 0, -cost)):
            self.leaving.setdefault(start, []).append(len(self.heads))
            self.heads.append(end)
            self.capacity.append(room)
            self.cost.append(price)

    def fill(self) -> tuple[int, int]:
        """Send as much as possible at the least cost; return how much and what it costs."""
        sent = paid = 0
        while True:
            distance: dict[object, int] = {SOURCE: 0}
            by: dict[object, int] = {}
            queue: deque[object] = deque([SOURCE])
            while queue:
                node = queue.popleft()
                for arc in self.leaving.get(node, []):
                    reached = distance[node] + self.cost[arc]
                    head = self.heads[arc]
                    if self.capacity[arc] and reached < distance.get(head, reached + 1):
                        distance[head], by[head] = reached, arc
                        queue.append(head)
            if SINK not in distance:
                return sent, paid
            path, node = [], SINK
            while node != SOURCE:
                path.append(by[node])
                node = self.heads[by[node] ^ 1]
            amount = min(self.capacity[arc] for arc in path)
            for arc in path:
                self.capacity[arc] -= amount
                self.capacity[arc ^ 1] += amount
            sent, paid = sent + amount, paid + amount * distance[SINK]


def most_and_least(
    *,
    lenders: Sequence[int],
    budgets: Sequence[int],
    limits: Sequence[int],
    demands: Mapping[int, int],
    costs: Sequence[int],
    held: Mapping[tuple[int, int], int],
) -> tuple[int, int]:
    """Return how many units of the demands can be met, and the least cost of that.

    Entries give into a chain of nodes, one for each limit of their lender and each listing, from
    the lowest limit up; a link carries its limit less what the lender holds in the borrower.
    """
    network = Network()
    for entry, lender in enumerate(lenders):
        network.arc(SOURCE, ("entry", entry), budgets[entry], costs[entry])
        for listing in demands:
            node = ("pair", lender, listing, limits[entry])
            network.arc(("entry", entry), node, budgets[entry])
    for lender in set(lenders):
        steps = sorted({limits[entry] for entry, one in enumerate(lenders) if one == lender})
        for listing in demands:
            nodes: list[object] = [("pair", lender, listing, step) for step in steps]
            nodes.append(("listing", listing))
            for step, tail, head in zip(steps, nodes[:-1], nodes[1:], strict=True):
                network.arc(tail, head, max(0, step - held.get((lender, listing), 0)))
    for listing, demand in demands.items():
        network.arc(("listing", listing), SINK, demand)
    return network.fill()
