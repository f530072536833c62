"""Replaying a cycle: what it saw gives the same loans, parts and market figures again, or not.

A cycle keeps what it saw, with its digest. Replaying unpacks that, checks the digest, clears every
market afresh, and compares with what is stored. Nothing is written.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any
from zipfile import BadZipFile

import numpy as np

from accounts.selectors.bulk import fetch_columns
from marketplace.core.arrays import PENCE_PER_UNIT, IntArray, offsets_of
from marketplace.core.clearing import Outcome
from marketplace.core.cycle import CycleInput, CycleResult, MarketResult, run_markets
from marketplace.core.differences import Difference, Findings, Rows
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.rates import blend, monthly_rate_e12
from marketplace.core.standing import Pricing
from marketplace.core.states import ListingState
from marketplace.models import Cycle, CycleMarket, CycleSight, Listing, Market

# What cycles write of themselves but don't find in what they saw.
_NOT_SEEN = frozenset({"BORROWER_IN_ARREARS"})
_NUMBER_BITS = 20
_PART_COLUMNS = ("lender", "offer", "rate", "size", "pricing", "limit", "monthly rate")
_LOAN_COLUMNS = ("market", "amount", "rate")
_UNREADABLE = (
    *(ValueError, KeyError, TypeError, OSError, EOFError, IndexError, NotImplementedError),
    *(BadZipFile, zlib.error, MemoryError),
)


class CycleUnknown(MarketplaceRefusal):
    """A cycle that never ran."""

    code = "CYCLE_UNKNOWN"


class CycleNotReplayable(MarketplaceRefusal):
    """A cycle of another version of the engine, or one that kept nothing of what it saw."""

    code = "CYCLE_NOT_REPLAYABLE"


@dataclass(frozen=True)
class MarketFigures:
    """What a market did in a cycle; amounts in pence, rates in ppm, ``None`` without loans.

    Attributes:
        market: band and term.
        listings: how many looked for money.
        loans, parts, lent: what was funded.
        marginal_rate: the dearest part's.
        blend_rate: what all loans together cost.
        lowest_blend, highest_blend: the cheapest and the dearest loan's blend.
        deviation: of the loans' blends, weighted by amount, thousandths of a ppm.
        runs: how often the market was cleared.
        path: how the units were spread.
    """

    market: str
    listings: int
    loans: int
    parts: int
    lent: int
    marginal_rate: int | None
    blend_rate: int | None
    lowest_blend: int | None
    highest_blend: int | None
    deviation: int
    runs: int
    path: str

    @property
    def spread(self) -> int | None:
        """From the cheapest loan's blend to the dearest's, ppm (100 are a basis point)."""
        if self.highest_blend is None or self.lowest_blend is None:
            return None
        return self.highest_blend - self.lowest_blend


@dataclass(frozen=True)
class Replay:
    """What a replay found.

    Attributes:
        cycle_id, run_on: which cycle.
        markets: as recomputed, in the order of clearing; none when what it saw is not to be read.
        differing: how many figures differ.
        differences: the first of each kind of them.
    """

    cycle_id: int
    run_on: date
    markets: tuple[MarketFigures, ...]
    differing: int
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether everything stored is what the input gives."""
        return self.differing == 0


def cycle_ids() -> list[int]:
    """Every cycle that has run, the oldest first; one statement.

    Raises:
        CycleUnknown: none has.
    """
    known = list(Cycle.objects.order_by("pk").values_list("pk", flat=True))
    if not known:
        raise CycleUnknown("No cycle has run yet.")
    return known


def cycle_figures(cycle_id: int) -> list[MarketFigures]:
    """What each market did in a cycle, as it is stored, in the order of clearing; one statement."""
    rows = CycleMarket.objects.filter(cycle=cycle_id).select_related("market").order_by("turn")
    return [_figures_of(str(row.market), vars(row)) for row in rows]


def replay_cycle(cycle_id: int, *, engine: int) -> Replay:
    """Recompute a cycle from what it saw, and compare; at most eight statements.

    Compared are the digest, every loan (market, amount, rate), every part (number, lender, offer,
    rate, size, pricing, limit, monthly rate), every market's row, the outcome's counts, and, for
    the newest cycle, why each listing that is still open waits. The deviation of blends may differ
    by a thousandth of a ppm: it is a figure for show, made from floats.

    Args:
        cycle_id: which.
        engine: the version of the engine that runs here.

    Raises:
        CycleUnknown: there is no such cycle.
        CycleNotReplayable: it ran with another version of the engine, or kept nothing.
    """
    cycle, sight = _kept(cycle_id, engine)
    found = Findings()
    seen = _unpacked(sight, bytes(cycle.input_digest), found)
    if seen is None:
        return Replay(cycle.pk, cycle.run_on, (), found.count, tuple(found.shown))
    result = run_markets(seen)
    names = {market.pk: str(market) for market in Market.objects.all()}
    rows = [_market_row(turn, market, seen) for turn, market in enumerate(result.markets)]
    _compare_markets(cycle, rows, names, found)
    _compare_loans(cycle, result, found)
    _compare_parts(cycle, result, found)
    _compare_outcome(cycle, result, found)
    return Replay(
        cycle_id=cycle.pk,
        run_on=cycle.run_on,
        markets=tuple(_figures_of(_name(names, row["market_id"]), row) for row in rows),
        differing=found.count,
        differences=tuple(found.shown),
    )


def _kept(cycle_id: int, engine: int) -> tuple[Cycle, bytes]:
    cycle = Cycle.objects.filter(pk=cycle_id).first()
    if cycle is None:
        raise CycleUnknown(f"There is no cycle {cycle_id}.", field="cycle")
    ran_with = cycle.settings.get("engine")
    if ran_with != engine:
        raise CycleNotReplayable(
            f"Cycle {cycle_id} ran with engine {ran_with}; this is engine {engine}, which may "
            "decide otherwise. Replay it with the release that it ran with.",
            field="cycle",
        )
    sight = CycleSight.objects.filter(cycle=cycle_id).first()
    if sight is None:
        raise CycleNotReplayable(f"Cycle {cycle_id} kept nothing of what it saw.", field="cycle")
    return cycle, bytes(sight.packed)


def _unpacked(sight: bytes, digest: bytes, found: Findings) -> CycleInput | None:
    """What the cycle saw, or nothing where it isn't what the cycle saw any more."""
    try:
        seen = CycleInput.unpacked(sight)
        now = seen.digest()
    except _UNREADABLE:
        found.compare("what the cycle saw", "can't be read", digest.hex())
        return None
    found.compare("digest of what the cycle saw", digest.hex(), now.hex())
    return seen if now == digest else None


def _market_row(turn: int, market: MarketResult, seen: CycleInput) -> dict[str, Any]:
    """What the cycle's row of a market must hold, by column."""
    parts, blends = market.parts, market.clearing.blends
    asked = seen.listings.amount[seen.listings.market_id == market.market_id]
    own = parts.pricing == Pricing.OWN
    units = parts.amount[own] // PENCE_PER_UNIT
    return {
        "market_id": market.market_id,
        "guide_rate": int(seen.markets.guide[turn]),
        "traded_rate": int(seen.markets.traded[turn]),
        "entries": market.entries,
        "on_offer": market.on_offer,
        "best_rate": market.best_rate,
        "listings": len(asked),
        "asked": int(asked.sum()),
        "loans": len(np.unique(parts.listing_id)),
        "parts": len(parts.amount),
        "lent": int(parts.amount.sum()),
        "marginal_rate": int(parts.rate.max()) if len(parts.rate) else None,
        "blend_rate": blends.least_cost_ppm,
        "lowest_blend": blends.lowest_ppm,
        "highest_blend": blends.highest_ppm,
        "deviation": round(blends.deviation_ppm * 1_000),
        "path": market.clearing.path.value,
        "runs": market.clearing.runs,
        "own_amount": int(parts.amount[own].sum()),
        "own_weighted": int((units * parts.rate[own]).sum()) * PENCE_PER_UNIT,
    }


def _figures_of(name: str, row: Mapping[str, Any]) -> MarketFigures:
    columns = MarketFigures.__dataclass_fields__
    return MarketFigures(name, **{column: row[column] for column in columns if column != "market"})


def _name(names: Mapping[int, str], market_id: int) -> str:
    return names.get(market_id, f"market {market_id}")


def _compare_markets(
    cycle: Cycle, rows: Sequence[Mapping[str, Any]], names: Mapping[int, str], found: Findings
) -> None:
    stored = {row.turn: vars(row) for row in CycleMarket.objects.filter(cycle=cycle)}
    found.compare("markets' rows", sorted(stored), list(range(len(rows))))
    order = [_name(names, row["market_id"]) for row in rows]
    found.compare("order of the markets", cycle.market_order, order)
    for turn, row in enumerate(rows):
        there = stored.get(turn)
        if there is None:
            continue
        for column, value in row.items():
            if column == "deviation" and abs(there[column] - value) <= 1:
                continue
            found.compare(f"{order[turn]}: {column.replace('_', ' ')}", there[column], value)


def _compare_loans(cycle: Cycle, result: CycleResult, found: Findings) -> None:
    parts = result.parts
    by_listing = np.argsort(parts.listing_id, kind="stable")
    listing, counts = np.unique(parts.listing_id, return_counts=True)
    ends = offsets_of(counts).tolist()
    pence, monthly = parts.amount[by_listing], monthly_rate_e12(parts.rate)[by_listing]
    blends = [blend(pence[start:end], monthly[start:end]) for start, end in pairwise(ends)]
    market = np.zeros(len(listing), dtype=np.int64)
    for one in result.markets:
        market[np.searchsorted(listing, np.unique(one.parts.listing_id))] = one.market_id
    amount, rate = (
        np.array([(one.amount, one.annual_ppm) for one in blends], dtype=np.int64).reshape(-1, 2).T
    )
    key, *stored = fetch_columns(
        "SELECT listing_id, market_id::bigint, amount, rate::bigint FROM marketplace_loan"
        " WHERE cycle_id = %s ORDER BY listing_id",
        [cycle.pk],
        4,
    )
    found.compare_rows(
        Rows(key, stored), Rows(listing, [market, amount, rate]), _LOAN_COLUMNS, _loan
    )


def _compare_parts(cycle: Cycle, result: CycleResult, found: Findings) -> None:
    parts = result.parts
    by_listing = np.argsort(parts.listing_id, kind="stable")
    listing = parts.listing_id[by_listing]
    counts = np.unique(listing, return_counts=True)[1]
    number = np.arange(len(listing)) - np.repeat(offsets_of(counts)[:-1], counts) + 1
    columns = [
        column[by_listing]
        for column in (parts.lender_id, parts.offer_id, parts.rate, parts.amount, parts.pricing,
                       parts.limit, monthly_rate_e12(parts.rate))
    ]  # fmt: skip
    of_listing, numbered, *stored = fetch_columns(
        "SELECT l.listing_id, p.number::bigint, p.lender_id, p.offer_id, p.rate::bigint, p.size,"
        ' p.pricing::bigint, p."limit", p.monthly_rate FROM marketplace_part AS p'
        " JOIN marketplace_loan AS l ON l.id = p.loan_id WHERE l.cycle_id = %s ORDER BY 1, 2",
        [cycle.pk],
        9,
    )
    found.compare_rows(
        Rows(_part_key(of_listing, numbered), stored),
        Rows(_part_key(listing, number), columns),
        _PART_COLUMNS,
        _part,
    )


def _compare_outcome(cycle: Cycle, result: CycleResult, found: Findings) -> None:
    waiting = {
        o.listing_id: o.outcome.value for o in result.outcomes if o.outcome is not Outcome.FUNDED
    }
    counts = {
        "loans": len(np.unique(result.parts.listing_id)),
        "parts": len(result.parts.amount),
        "lent": int(result.parts.amount.sum()),
    }
    for name, value in counts.items():
        found.compare(f"outcome: {name}", cycle.outcome.get(name), value)
    told = cycle.outcome.get("waiting", {})
    seen = {reason: count for reason, count in told.items() if reason not in _NOT_SEEN}
    found.compare("outcome: waiting", seen, dict(Counter(waiting.values())))
    if Cycle.objects.filter(pk__gt=cycle.pk).exists():
        return  # a later cycle has said on the listings why they wait
    still = Listing.objects.filter(pk__in=list(waiting), state=ListingState.OPEN)
    for listing_id, reason in still.order_by("pk").values_list("pk", "waits_because"):
        found.compare(f"listing {listing_id}: why it waits", reason, waiting[listing_id])


def _part_key(listing: IntArray, number: IntArray) -> IntArray:
    """Listing and number in one figure; a loan has at most 2,500 parts."""
    keys: IntArray = (listing << _NUMBER_BITS) | number
    return keys


def _part(key: int) -> str:
    return f"part {key & (1 << _NUMBER_BITS) - 1} of listing {key >> _NUMBER_BITS}"


def _loan(key: int) -> str:
    return f"loan of listing {key}"
