"""Spreading one payment each of many loans: principal, interest inside a period, and fee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measuring import Result, median_of, seconds
from marketplace.core.arrays import PENCE_PER_UNIT, IntArray, offsets_of, segment_sums
from marketplace.core.distribution import PartBook, Receipts, distribute
from marketplace.core.interest import cumulative_interest_by_loan, fee_rate_e12
from marketplace.core.rates import E12

LOANS, PARTS = 20_000, 200
FEE_PPM = 10_000
TIMES = 25


@dataclass(frozen=True, eq=False)
class _Case:
    """Loans of which 60 % of the first interest is paid; the second payment fills half of the next.

    ``first`` and ``second`` are ``S`` on the two due dates, ``[L]``.
    """

    book: PartBook
    receipts: Receipts
    first: IntArray
    second: IntArray


def servicing_distribute() -> Result:
    """The second payment of 20,000 loans of 200 parts; the peer is the rule in plain Python."""
    case = _case()
    sample = 50

    def peers() -> float:
        spent = seconds(lambda: [_plain(case, loan) for loan in range(sample)])
        return spent * LOANS / sample

    ours, peer = median_of(
        lambda: seconds(lambda: distribute(case.book, case.receipts, fee_ppm=FEE_PPM)), peers, 5
    )
    return Result(
        "servicing-distribute",
        "servicing",
        ours,
        "s",
        f"plain Python, {sample} loans scaled up",
        peer,
        peer / ours,
        f">= {TIMES}",
        holds=peer / ours >= TIMES,
    )


def _case() -> _Case:
    rng = np.random.default_rng(4)
    rows = LOANS * PARTS
    units = rng.integers(1, 6, rows)
    rates = rng.integers(4_000_000_000, 12_000_000_000, rows)
    offsets, ids = offsets_of(np.full(LOANS, PARTS)), np.tile(np.arange(PARTS), LOANS)
    nothing = np.zeros(rows, dtype=np.int64)
    first = segment_sums(units, offsets) * PENCE_PER_UNIT
    second = first + first * 97 // 100
    due, later = (
        segment_sums(cumulative_interest_by_loan(units, rates, months, offsets), offsets)
        for months in (first, second)
    )
    paid, inside = due * 6 // 10, (later - due) // 2
    size = units * PENCE_PER_UNIT
    book = PartBook(ids, units, size, rates, nothing, nothing, nothing, offsets)
    zeros = np.zeros(LOANS, dtype=np.int64)
    before = distribute(book, Receipts(zeros, zeros, first, paid, paid), fee_ppm=FEE_PPM)
    book = PartBook(
        ids,
        units,
        size,
        rates,
        before.principal_received,
        before.interest_received,
        before.fee_received,
        offsets,
    )
    principal = rng.integers(1_000, 50_000, LOANS)
    receipts = Receipts(principal, first, second, inside, due - paid + inside)
    return _Case(book, receipts, first, second)


def _plain(case: _Case, loan: int) -> list[tuple[int, int, int]]:
    """One loan's new running totals, part by part, in plain integers."""
    rows = slice(loan * PARTS, (loan + 1) * PARTS)
    units, rates, size, had, interest = (
        column[rows].tolist()
        for column in (
            case.book.units,
            case.book.monthly_e12,
            case.book.size,
            case.book.principal_received,
            case.book.interest_received,
        )
    )
    [fee_rate] = fee_rate_e12(FEE_PPM).tolist()
    first, second, whole = int(case.first[loan]), int(case.second[loan]), int(sum(units))

    def fixed(unit: int, rate: int, months: int) -> int:
        return (2 * unit * rate * months + whole * E12) // (2 * whole * E12)

    full = [fixed(unit, rate, first) for unit, rate in zip(units, rates, strict=True)]
    following = [fixed(unit, rate, second) for unit, rate in zip(units, rates, strict=True)]
    buckets = [later - now for later, now in zip(following, full, strict=True)]
    before = [max(got - now, 0) for got, now in zip(interest, full, strict=True)]
    fresh = int(case.receipts.partial_interest[loan]) - sum(before)
    inside = _earliest(fresh, buckets, before)
    principal = _earliest(int(case.receipts.principal[loan]), size, had)
    found = []
    for place, unit in enumerate(units):
        low = min(fixed(unit, fee_rate, first), full[place])
        high = min(fixed(unit, fee_rate, second), following[place])
        fee = low + (high - low) * inside[place] // max(buckets[place], 1)
        found.append((principal[place], full[place] + inside[place], fee))
    return found


def _earliest(amount: int, weights: Sequence[int], had: Sequence[int]) -> list[int]:
    """Earliest whole penny first, one loan: new running totals."""
    total, came = max(sum(weights), 1), sum(had) + amount
    shares = [divmod(came * weight, total) for weight in weights]
    now = [max(got, floor) for got, (floor, _) in zip(had, shares, strict=True)]
    ready = sorted(
        (-(-(got + 1) * total // weight), place)
        for place, (got, (floor, rest), weight) in enumerate(zip(now, shares, weights, strict=True))
        if rest and got <= floor
    )
    for _, place in ready[: came - sum(now)]:
        now[place] += 1
    return now
