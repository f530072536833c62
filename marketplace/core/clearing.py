"""Clearing one market: which listings are funded, whose money each takes, and at what rate.

1. :mod:`marketplace.core.acceptance` decides which listings can be funded whole together, by
   arrival, at a least-cost rate that each of them takes.
2. :mod:`marketplace.core.allocation` says whose units go where: at the least total interest, and
   with as nearly the same mix of lenders for every loan as £10 steps allow.
3. Each loan's blend is computed exactly. One that ends above its borrower's highest rate all the
   same (its own mix is a little dearer than the whole) is left out, and the market runs again.

In step 3 those leave, all at once, that are above a highest rate and whose highest rate is the
lowest of all such: others may be fine once those are gone. Every run takes a listing away for good,
so there are at most as many runs as listings, and one more. Whom stage one dropped plays again
after step 3, since fewer loans can mean a lower rate.

Every loan costs about the same, so the order of arrival decides who is funded where money is short,
and nothing else: stage two doesn't know who came first. A larger loan gets the same blend as a
smaller one.

**What isn't best.** The mix is a heuristic, and in some markets loans can't cost the same whatever
is done (:mod:`marketplace.core.allocation`); who is left out in step 3 is decided by that mix.
Of a borrower's listings in one market only the earliest plays, since the exposure limit is about
the borrower; the others wait for a later cycle.
Source: the house design, "The market"; ``docs/matching.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from marketplace.core.acceptance import NOT_LEFT, Accepted, accept
from marketplace.core.allocation import Path, allocate_entries
from marketplace.core.arrays import PENCE_PER_UNIT, BoolArray, IntArray, same_length
from marketplace.core.errors import LoanAmountRefused, ShapeRefused
from marketplace.core.order_book import (
    Held,
    Listings,
    Queue,
    checked,
    has_twice,
    queue_order,
)
from marketplace.core.rates import PPM, Blend, monthly_rate_e12

_SHORT_BITS = 32  # integers of up to so many bits are sorted in half the time
_LIMB = 1_000_000  # monthly rates are summed in two limbs, so that products stay in 64 bits


class Outcome(StrEnum):
    """What clearing decided for a listing, and why it waits when it does."""

    FUNDED = "FUNDED"
    NOT_ENOUGH_OFFERS = "NOT_ENOUGH_OFFERS"
    RATE_ABOVE_HIGHEST = "RATE_ABOVE_HIGHEST"
    EARLIER_LISTING_FIRST = "EARLIER_LISTING_FIRST"


@dataclass(frozen=True, slots=True)
class ListingOutcome:
    """What clearing decided for one listing.

    Attributes:
        listing_id: whose outcome it is.
        outcome: funded, or why it waits.
        fundable: pence: the amount of a funded loan; for one that waits, what the offers could
            still give it beside the funded ones, limits on single pairs aside, at most its amount
            (all of it, if its own blend was too dear; nothing, if an earlier listing goes first).
        rate_ppm: annual effective ppm: the blend of a funded loan; the rate at which a listing
            left because its highest rate is lower; ``None`` for any other.
    """

    listing_id: int
    outcome: Outcome
    fundable: int
    rate_ppm: int | None


@dataclass(frozen=True, slots=True)
class BlendSpread:
    """How far apart the funded loans' rates are, annual effective ppm; ``None`` without loans.

    Attributes:
        least_cost_ppm: what all loans together cost, as one blend.
        lowest_ppm, highest_ppm: the cheapest and the dearest loan's blend.
        deviation_ppm: standard deviation of the loans' blends, weighted by amount, in thousandths;
            for show.
    """

    least_cost_ppm: int | None
    lowest_ppm: int | None
    highest_ppm: int | None
    deviation_ppm: float


@dataclass(frozen=True, slots=True)
class Clearing:
    """The result of clearing one market.

    Attributes:
        listing_id, offer_id, lender_id, rate_ppm, amount: ``int64 [K]``, the parts of all funded
            loans: loans in order of arrival, parts in queue order; amounts in pence.
        outcomes: one for each listing, in order of arrival.
        available: ``[N]``, pence left of each offer, rows as in the queue given.
        blends: how far apart the loans' rates are.
        path: how the units were spread in the last run.
        runs: how often the market was cleared: one, and one more for each time that a loan's own
            blend was above its highest rate.
        rounds: how often listings were accepted from the start, in all runs.
        allocations: how often acceptance had to allocate to be sure of single pairs, in all runs.
    """

    listing_id: IntArray
    offer_id: IntArray
    lender_id: IntArray
    rate_ppm: IntArray
    amount: IntArray
    outcomes: tuple[ListingOutcome, ...]
    available: IntArray
    blends: BlendSpread
    path: Path
    runs: int
    rounds: int
    allocations: int


def clear_market(queue: Queue, listings: Listings, held: Held) -> Clearing:
    """Clear one market: listings are funded whole, at the least total interest, or wait.

    The order of rows of ``queue``, ``listings`` and ``held`` makes no difference.

    Args:
        queue: the offers that stand.
        listings: the loans that look for money.
        held: what lenders already have in borrowers; rounded up to £10 steps, so that no limit is
            passed.

    Raises:
        LoanAmountRefused: for a listing that isn't a positive multiple of £10.
        ShapeRefused: for floats, unequal lengths, negative figures, an id given twice, or listings
            of more than £10 billion.
        RateRefused: for rates below nothing or above 100 % a year.
    """
    offers, loans = _Offers.of(queue), _Loans.of(listings)
    pairs = _pairs(offers, loans, held)
    left_at = np.full(loans.units.size, NOT_LEFT, dtype=np.int64)
    runs = rounds = allocations = 0
    while True:
        runs += 1
        rows = np.flatnonzero(loans.plays & (left_at == NOT_LEFT))
        accepted = _accept(offers, loans, rows, pairs)
        rounds, allocations = rounds + accepted.rounds, allocations + accepted.allocations
        funded = rows[accepted.accepted]
        entry, place, units, path = _allocate(offers, loans, funded, pairs)
        blends = _blends(place, units, entry, offers.rates)
        rates = [one.annual_fraction * PPM for one in blends]
        cost = np.array([round(rate) for rate in rates], dtype=np.int64)
        above = cost > loans.highest_ppm[funded]
        if not above.any():
            break
        above &= loans.highest_ppm[funded] == loans.highest_ppm[funded[above]].min()
        left_at[funded[above]] = cost[above]
    given = np.zeros(offers.units.size, dtype=np.int64)
    # bincount adds floats, which is exact: a market has at most 10⁹ units
    given[offers.order] = np.bincount(entry, units, offers.units.size).astype(np.int64)
    return Clearing(
        listing_id=loans.listing_id[funded].take(place),
        offer_id=offers.offer_id.take(entry),
        lender_id=offers.lenders.take(entry),
        rate_ppm=offers.rates.take(entry),
        amount=units * PENCE_PER_UNIT,
        outcomes=_outcomes(loans, rows, accepted, left_at, cost),
        available=offers.available - given * PENCE_PER_UNIT,
        blends=_spread(blends, rates),
        path=path,
        runs=runs,
        rounds=rounds,
        allocations=allocations,
    )


@dataclass(frozen=True, slots=True)
class _Offers:
    """A queue, checked, in queue order; only ``available`` (pence) stays in the order given."""

    order: IntArray
    offer_id: IntArray
    lenders: IntArray
    rates: IntArray
    limits: IntArray
    units: IntArray
    available: IntArray

    @classmethod
    def of(cls, queue: Queue) -> _Offers:
        queue = checked(queue)
        order = queue_order(queue)
        return cls(
            order=order,
            offer_id=queue.offer_id[order],
            lenders=queue.lender_id[order],
            rates=queue.rate_ppm[order],
            limits=queue.limit[order] // PENCE_PER_UNIT,
            units=queue.available[order] // PENCE_PER_UNIT,
            available=queue.available,
        )


@dataclass(frozen=True, slots=True)
class _Loans:
    """Listings, checked, in order of arrival; ``plays`` is whether it is its borrower's first."""

    listing_id: IntArray
    borrower_id: IntArray
    units: IntArray
    highest_ppm: IntArray
    plays: BoolArray

    @classmethod
    def of(cls, listings: Listings) -> _Loans:
        listing, borrower, arrived, amount, highest = same_length(
            listing_id=listings.listing_id,
            borrower_id=listings.borrower_id,
            arrived=listings.arrived,
            amount=listings.amount,
            highest_rate_ppm=listings.highest_rate_ppm,
        )
        if has_twice(listing):
            raise ShapeRefused("A listing is named twice.", field="listing_id")
        if (amount <= 0).any() or (amount % PENCE_PER_UNIT != 0).any():
            raise LoanAmountRefused(
                "A loan must be a positive multiple of £10, such as 1000.00.", field="amount"
            )
        order = np.lexsort((listing, arrived))
        plays = np.zeros(order.size, dtype=np.bool_)
        plays[np.unique(borrower[order], return_index=True)[1]] = True
        return cls(
            listing_id=listing[order],
            borrower_id=borrower[order],
            units=amount[order] // PENCE_PER_UNIT,
            highest_ppm=highest[order],
            plays=plays,
        )


def _pairs(offers: _Offers, loans: _Loans, held: Held) -> IntArray:
    """Return lender, listing (its place in order of arrival) and units held, ``[H, 3]``, distinct.

    A lender's own listing counts as held up to the highest limit of all.
    """
    borrower, lender, pence = same_length(
        borrower_id=held.borrower_id, lender_id=held.lender_id, pence=held.pence
    )
    if pence.size and pence.min() < 0:
        raise ShapeRefused("pence can't be negative.", field="pence")
    listing = np.flatnonzero(loans.plays)
    listing = listing[np.argsort(loans.borrower_id[listing])]
    borrowers = loans.borrower_id[listing]
    concerns = np.isin(borrower, borrowers) & np.isin(lender, offers.lenders)
    where = listing[np.searchsorted(borrowers, borrower[concerns])]
    pairs, places = np.unique(np.stack([lender[concerns], where]), axis=1, return_inverse=True)
    sums = np.zeros(pairs.shape[1], dtype=np.int64)
    np.add.at(sums, places.reshape(-1), pence[concerns])
    units = -(-sums // PENCE_PER_UNIT)
    own = listing[np.isin(borrowers, offers.lenders)]
    most = np.full_like(own, offers.limits.max(initial=0))
    others = pairs[0] != loans.borrower_id[pairs[1]]
    return np.concatenate(
        [
            np.stack([*pairs[:, others], units[others]], axis=1),
            np.stack([loans.borrower_id[own], own, most], axis=1),
        ]
    )


def _of_rows(pairs: IntArray, rows: IntArray) -> IntArray:
    """Return the pairs that concern ``rows`` (rising), with places in ``rows`` for listings."""
    found = pairs[np.isin(pairs[:, 1], rows)]
    found[:, 1] = np.searchsorted(rows, found[:, 1])
    return found


def _accept(offers: _Offers, loans: _Loans, rows: IntArray, pairs: IntArray) -> Accepted:
    return accept(
        lenders=offers.lenders,
        budgets=offers.units,
        limits=offers.limits,
        demands=loans.units[rows],
        maxima=loans.highest_ppm[rows],
        rates=offers.rates,
        held=_of_rows(pairs, rows),
    )


def _allocate(
    offers: _Offers, loans: _Loans, funded: IntArray, pairs: IntArray
) -> tuple[IntArray, IntArray, IntArray, Path]:
    """Return entry, place in ``funded`` and units of each part, and how units were spread.

    Parts come by loan, and inside a loan in queue order. Loans are shown by their numbers, so
    that when they arrived has no part in the mix.
    """
    shown = np.argsort(loans.listing_id[funded])
    row = np.empty_like(shown)
    row[shown] = np.arange(shown.size)
    held = _of_rows(pairs, funded)
    held[:, 1] = row[held[:, 1]]
    found = allocate_entries(
        lenders=offers.lenders,
        rates=offers.rates,
        budgets=offers.units,
        limits=offers.limits,
        demands=loans.units[funded][shown],
        held=held,
    )
    # Loan and row in one integer sort faster than rows by loan; both have less than 31 bits.
    bits = found.units.size.bit_length()
    keys = (shown << bits).take(found.listing) | np.arange(found.units.size)
    if bits + shown.size.bit_length() <= _SHORT_BITS:
        keys = np.sort(keys.astype(np.uint32)).astype(np.int64)
    else:
        keys.sort()
    order, place = keys & ((1 << bits) - 1), keys >> bits
    return found.entry.take(order), place, found.units.take(order), found.path


def _blends(place: IntArray, units: IntArray, entry: IntArray, rates: IntArray) -> list[Blend]:
    """Return each loan's exact blend, amounts in pence; ``place`` never falls."""
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    if starts.size == 0:
        return []
    amount = np.add.reduceat(units, starts)
    # Monthly rates cost more to find than all the rest: only of those who give.
    gives = np.flatnonzero(np.bincount(entry, minlength=rates.size))
    upper_limb, lower_limb = np.zeros((2, rates.size), dtype=np.int64)
    upper_limb[gives], lower_limb[gives] = np.divmod(monthly_rate_e12(rates[gives]), _LIMB)
    high = np.add.reduceat(units * upper_limb.take(entry), starts)
    low = np.add.reduceat(units * lower_limb.take(entry), starts)
    return [
        Blend(whole * PENCE_PER_UNIT, (upper * _LIMB + lower) * PENCE_PER_UNIT)
        for whole, upper, lower in zip(amount.tolist(), high.tolist(), low.tolist(), strict=True)
    ]


def _spread(blends: list[Blend], rates: list[float]) -> BlendSpread:
    if not blends:
        return BlendSpread(None, None, None, 0.0)
    whole = Blend(sum(one.amount for one in blends), sum(one.weighted for one in blends))
    mean = math.fsum(r * b.amount for r, b in zip(rates, blends, strict=True)) / whole.amount
    squares = math.fsum((r - mean) ** 2 * b.amount for r, b in zip(rates, blends, strict=True))
    return BlendSpread(
        least_cost_ppm=whole.annual_ppm,
        lowest_ppm=round(min(rates)),
        highest_ppm=round(max(rates)),
        deviation_ppm=round(math.sqrt(squares / whole.amount), 3),
    )


def _outcomes(
    loans: _Loans, rows: IntArray, accepted: Accepted, left_at: IntArray, cost: IntArray
) -> tuple[ListingOutcome, ...]:
    """Return what became of each listing, in order of arrival.

    Args:
        loans: all listings.
        rows: those that played in the last run.
        accepted: what stage one said of ``rows``.
        left_at: ``[L]``, the own blend at which a listing left before the last run; ``NOT_LEFT``
            for all others.
        cost: the blends of the funded loans, ppm, in order of arrival.
    """
    fundable, rate = np.where(loans.plays, loans.units, 0), left_at.copy()
    fundable[rows], rate[rows] = accepted.fundable, accepted.left_at_ppm
    rate[rows[accepted.accepted]] = cost
    kinds = (
        Outcome.NOT_ENOUGH_OFFERS,
        Outcome.RATE_ABOVE_HIGHEST,
        Outcome.EARLIER_LISTING_FIRST,
        Outcome.FUNDED,
    )
    kind = np.where(rate != NOT_LEFT, 1, 0)
    kind[~loans.plays] = 2
    kind[rows[accepted.accepted]] = 3
    columns = (loans.listing_id, kind, fundable * PENCE_PER_UNIT, rate)
    return tuple(
        ListingOutcome(listing, kinds[which], pence, None if ppm == NOT_LEFT else ppm)
        for listing, which, pence, ppm in zip(*(c.tolist() for c in columns), strict=True)
    )
