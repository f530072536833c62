"""Checking an order-book file's own running figures, row by row, against exact sums.

``Loan Size`` is the running sum of min(``Max Exposure``, ``Available``) down the queue of one
market: the smallest loan that the offer would join. ``Simple Rate`` is the running mean of annual
rates weighted by the same exposures. Published files drift (their own mean accumulates rounding)
and have gaps (hidden rows), so differences are reported and nothing is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import groupby

from marketplace.core.order_book_file import BookRow, OrderBookFile
from marketplace.core.rates import PPM


@dataclass(frozen=True, slots=True)
class RowCheck:
    """One row's running figures: the file's own less the exact ones.

    Attributes:
        row: line number in the file.
        loan_size: exact running size, pence; loan_size_difference: pence, 0 where the file is
            silent.
        simple_rate: exact running mean, a fraction; simple_rate_difference: likewise.
        rate_differs: whether the file's rate is not the exact one rounded to its own decimals.
    """

    row: int
    loan_size: int
    loan_size_difference: int
    simple_rate: Fraction
    simple_rate_difference: Fraction
    rate_differs: bool


@dataclass(frozen=True, slots=True)
class MarketCheck:
    """The check of one market of the file.

    Attributes:
        market, term: band and months.
        rows: how many offers it has.
        sizes_differing, rates_differing: how many rows' figures differ.
        largest_size: the row with the largest difference of loan size (the first of equals).
        largest_rate: the row with the largest difference of simple rate (the first of equals).
    """

    market: str
    term: int
    rows: int
    sizes_differing: int
    rates_differing: int
    largest_size: RowCheck
    largest_rate: RowCheck


def check_running_figures(book: OrderBookFile) -> tuple[MarketCheck, ...]:
    """Recompute every row's running figures from exact sums and compare, market by market.

    Rows of a market are taken by rate, then date; where both are equal, in the order that the
    file's own loan sizes tell, or in the order of the file if fewer rows differ then: a size may be
    empty or wrong.

    Returns:
        One check for each market that has offers, by band and term.
    """
    rows = sorted(book.rows, key=_market)
    checks: list[MarketCheck] = []
    for (market, term), group in groupby(rows, key=_market):
        checked = _running(list(group))
        checks.append(
            MarketCheck(
                market=market,
                term=term,
                rows=len(checked),
                sizes_differing=sum(row.loan_size_difference != 0 for row in checked),
                rates_differing=sum(row.rate_differs for row in checked),
                largest_size=max(checked, key=lambda row: abs(row.loan_size_difference)),
                largest_rate=max(checked, key=lambda row: abs(row.simple_rate_difference)),
            )
        )
    return tuple(checks)


def _market(row: BookRow) -> tuple[str, int]:
    return row.market, row.term


def _queue(row: BookRow) -> tuple[int, datetime]:
    return row.rate_ppm, row.offered_at


def _running(rows: list[BookRow]) -> list[RowCheck]:
    """Return the checks of one market's rows, in queue order."""
    checks: list[RowCheck] = []
    size = weighted = 0
    for _, group in groupby(sorted(rows, key=_queue), key=_queue):
        tied = sorted(group, key=_row)
        orders = [sorted(tied, key=_told_size), tied] if len(tied) > 1 else [tied]
        best = min((_walked(order, size, weighted) for order in orders), key=_differing)
        checks += best
        size += sum(map(_exposure, tied))
        weighted += sum(_exposure(row) * row.rate_ppm for row in tied)
    return checks


def _walked(rows: Sequence[BookRow], size: int, weighted: int) -> list[RowCheck]:
    """Return the checks of rows in this order, behind others of so many pence (and pence x ppm)."""
    checks: list[RowCheck] = []
    for row in rows:
        size += _exposure(row)
        weighted += _exposure(row) * row.rate_ppm
        mean = Fraction(weighted, size * PPM)
        difference = Fraction(row.simple_rate) - mean if row.simple_rate is not None else Fraction()
        checks.append(
            RowCheck(
                row=row.row,
                loan_size=size,
                loan_size_difference=0 if row.loan_size is None else row.loan_size - size,
                simple_rate=mean,
                simple_rate_difference=difference,
                rate_differs=abs(difference) > _half_a_digit(row.simple_rate),
            )
        )
    return checks


def _differing(checks: Sequence[RowCheck]) -> int:
    return sum((row.loan_size_difference != 0) + row.rate_differs for row in checks)


def _exposure(row: BookRow) -> int:
    return min(row.max_exposure, row.available)


def _told_size(row: BookRow) -> int:
    return row.loan_size or 0


def _row(row: BookRow) -> int:
    return row.row


def _half_a_digit(rate: Decimal | None) -> Fraction:
    """Return half a unit of the last decimal that the file writes."""
    if rate is None:
        return Fraction()
    exponent = rate.as_tuple().exponent
    return Fraction(1, 2 * 10 ** -int(exponent)) if isinstance(exponent, int) else Fraction()
