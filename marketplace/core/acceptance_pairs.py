"""Whether demands can still be met where some lenders already have something in some borrowers.

Of a set ``J`` of ``k`` listings, a lender with budgets ``b`` (``B`` in all), limits ``t`` and
``h(j)`` held in listing ``j`` can fund::

    min(B, min over t of (b of entries with a limit above t) + sum over J of max(0, t - h(j)))

That is at least ``f(k)``, what it were with nothing held, less the units held in ``J``; and it is
``f(k)`` itself once ``k`` is so large that money runs out before limits do, whatever is held: for
every ``t``, ``t * k`` is at least the budgets of the entries with a limit up to ``t``, and all that
the lender holds. Up to that ``k`` what a lender holds is counted as if it were a demand.
So demands are met if, for every ``k``, the ``k`` largest of demands with what counts are at most
``G(k)`` (:mod:`marketplace.core.acceptance_supply`). Where they are more, the set of those ``k``
listings either can't get its demands by the formula above, and that decides it; or the bound was
too cautious, and nothing is decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from marketplace.core.acceptance_supply import Supply, largest_sums
from marketplace.core.arrays import BoolArray, IntArray


def can_be_routed(
    *,
    lenders: IntArray,
    budgets: IntArray,
    limits: IntArray,
    largest: int,
    offered: IntArray,
    demands: IntArray,
    held: IntArray,
) -> bool | None:
    """Return whether demands that could be met with nothing held can be met; ``None``: unknown.

    Args:
        lenders: whose each entry is, ``int64 [N]``.
        budgets: of each entry, units of £10, ``[N]``.
        limits: of each entry, units, ``[N]``.
        largest: no demand is larger; ``offered`` takes limits for cut to it.
        offered: ``G(k)`` of these entries, ``[n + 1]``.
        demands: units, ``[n]``.
        held: lender, place in ``demands`` and units, each pair once, ``[H, 3]``.
    """
    pairs = _Pairs.of(lenders, budgets, limits, largest, held)
    if pairs.owner.size == 0:
        return True
    listings = demands.size
    ends = np.zeros(listings + 2, dtype=np.int64)
    np.add.at(ends, np.minimum(pairs.until, listings + 1), pairs.lost)
    counting = pairs.lost.sum() - np.cumsum(ends)[:-1]
    by_listing = np.zeros_like(demands)
    np.add.at(by_listing, pairs.listing, pairs.lost)
    most = largest_sums(demands) + np.minimum(counting, largest_sums(by_listing))
    answer: bool | None = True
    for k in np.flatnonzero(most > offered).tolist():
        counts = pairs.until > k
        worth = demands.copy()
        np.add.at(worth, pairs.listing[counts], pairs.lost[counts])
        dearest = np.argsort(-worth, kind="stable")[:k]
        if worth[dearest].sum() > offered[k]:
            chosen = np.zeros(listings, dtype=np.bool_)
            chosen[dearest] = True
            if pairs.most_into(chosen, int(offered[k])) < demands[dearest].sum():
                return False
            answer = None
    return answer


@dataclass(frozen=True, slots=True)
class _Pairs:
    """What ``H`` pairs hold, of ``Q`` lenders with ``M`` entries, by lender, then by limit.

    Attributes:
        whose: ``int64 [M]``, the lender's number from 0.
        budget, limit: ``[M]``, positive.
        below: ``[M]``, budgets of the lender's entries up to this one.
        owner, listing, held: ``[H]``, lender's number, listing and units of each pair.
        lost: ``[H]``, units that the pair can cost at most.
        until: ``[H]``, from this many listings on, what the lender holds costs nothing.
        alone: what these lenders would give to one listing and more with nothing held, as pieces.
    """

    whose: IntArray
    budget: IntArray
    limit: IntArray
    below: IntArray
    owner: IntArray
    listing: IntArray
    held: IntArray
    lost: IntArray
    until: IntArray
    alone: Supply

    @classmethod
    def of(
        cls,
        lenders: IntArray,
        budgets: IntArray,
        limits: IntArray,
        largest: int,
        held: IntArray,
    ) -> Self:
        rows = np.flatnonzero(np.isin(lenders, held[:, 0]) & (budgets > 0) & (limits > 0))
        rows = rows[np.lexsort((limits[rows], lenders[rows]))]
        budget, limit = budgets[rows], limits[rows]
        ids, first, whose = np.unique(lenders[rows], return_index=True, return_inverse=True)
        last = np.append(first[1:], rows.size)[: ids.size] - 1
        held = held[np.isin(held[:, 0], ids)]
        owner = np.searchsorted(ids, held[:, 0])
        cut = np.minimum(limit, largest)
        lost = np.minimum(held[:, 2], cut[last][owner])
        whole = np.zeros(ids.size, dtype=np.int64)
        np.add.at(whole, owner, lost)
        running = np.cumsum(budget)
        below = running - (running - budget)[first][whose]
        until = np.zeros(ids.size, dtype=np.int64)
        np.maximum.at(until, whose, -(-(below + whole[whose]) // cut))
        alone = Supply.of(whose, budget, cut)
        pairs = (owner, held[:, 1], held[:, 2], lost, until[owner])
        return cls(whose, budget, limit, below, *pairs, alone=alone)

    def most_into(self, chosen: BoolArray, offered: int) -> int:
        """Return the most that a set of listings can get, of ``offered`` with nothing held."""
        count = int(chosen.sum())
        lenders = int(self.whose[-1]) + 1
        whole = np.zeros(lenders, dtype=np.int64)
        np.add.at(whole, self.whose, self.budget)
        inside = np.flatnonzero(chosen[self.listing])
        entries = np.bincount(self.whose, minlength=lenders)
        first = np.cumsum(entries) - entries
        # Each pair meets each entry of its lender.
        each = entries[self.owner[inside]]
        pair = np.repeat(inside, each)
        entry = np.arange(pair.size) - np.repeat(np.cumsum(each) - each, each)
        entry += first[self.owner[pair]]
        through = self.limit * count
        np.subtract.at(through, entry, np.minimum(self.limit[entry], self.held[pair]))
        most = whole.copy()
        np.minimum.at(most, self.whose, whole[self.whose] - self.below + through)
        return offered - int(self.alone.up_to(count)[count]) + int(most.sum())
