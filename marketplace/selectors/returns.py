"""What lenders earned, losses taken off, against what they were told to expect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyxirr
from django.db import connection

from accounts.selectors.bulk import fetch_columns
from marketplace.core.arrays import IntArray
from marketplace.core.states import LOST
from marketplace.selectors.packed import packed_runs

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Returns:
    """Returns of groups of parts (a lender's, or a band's), one row a group.

    Attributes:
        group: its key: a member's id, or a band's position from the safest.
        lent, outstanding, lost, interest, fees: pence; ``lost`` is principal in default.
        told: expected net annual return when matched, weighted by size, a fraction.
        earned: money-weighted net annual return (XIRR) so far, losses taken off and what is
            outstanding and not in default at its face value, a fraction; -1 where next to nothing
            came back, NaN without a solution.
        gross: mean gross rate asked, weighted by size, a fraction.
        parts, borrowers: how many.
    """

    group: IntArray
    lent: IntArray
    outstanding: IntArray
    lost: IntArray
    interest: IntArray
    fees: IntArray
    told: FloatArray
    earned: FloatArray
    gross: FloatArray
    parts: IntArray
    borrowers: IntArray


def returns_by_lender(on: date) -> Returns:
    """One row a lender with parts in loans that were paid out; two statements.

    As of now; ``on`` is today's business date, at which what is outstanding is valued.
    """
    return _returns("p.lender_id", on)


def returns_by_band(on: date) -> Returns:
    """One row a band, by position from the safest; two statements; ``on`` as above."""
    return _returns("m.position::bigint", on)


def band_names() -> dict[int, str]:
    """Names of the bands by position, safest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT position, band FROM marketplace_market ORDER BY position")
        return dict(cursor.fetchall())


@dataclass(frozen=True, eq=False)
class _Parts:
    """Parts of loans that were paid out, by loan and number; ``place`` is a part's group's."""

    place: IntArray
    loan: IntArray
    number: IntArray
    size: IntArray
    told: IntArray
    rate: IntArray
    borrower: IntArray
    lost: IntArray
    paid_out_on: IntArray


@dataclass(frozen=True, eq=False)
class _Flows:
    """What came back: pence by group and day (days since 1970), and totals by part ``[N]``."""

    place: IntArray
    day: IntArray
    pence: IntArray
    principal: IntArray
    interest: IntArray
    fee: IntArray


def _returns(group: str, on: date) -> Returns:
    owner, *columns = fetch_columns(
        f"SELECT {group}, l.id, p.number::bigint, p.size, p.expected_return::bigint,"
        " p.rate::bigint, l.borrower_id::bigint, (l.state = ANY (%s))::int::bigint,"
        " (l.paid_out_on - DATE '1970-01-01')::bigint"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " JOIN marketplace_market AS m ON m.id = l.market_id"
        " WHERE l.paid_out_on IS NOT NULL ORDER BY l.id, p.number",
        [list(LOST)],
        9,
    )
    keys, place = np.unique(owner, return_inverse=True)
    parts = _Parts(place.astype(np.int64), *columns)
    flows = _flows(parts)
    still = parts.size - flows.principal

    def total(values: IntArray) -> IntArray:
        sums = np.zeros(len(keys), dtype=np.int64)
        np.add.at(sums, parts.place, values)
        return sums

    lent, outstanding = total(parts.size), total(still * (1 - parts.lost))
    weight = lent * 1_000_000.0
    pairs = np.unique(np.stack([parts.place, parts.borrower]), axis=1)
    return Returns(
        group=keys,
        lent=lent,
        outstanding=outstanding,
        lost=total(still * parts.lost),
        interest=total(flows.interest),
        fees=total(flows.fee),
        told=total(parts.size * parts.told) / weight,
        earned=_earned(flows, outstanding, on),
        gross=total(parts.size * parts.rate) / weight,
        parts=np.bincount(parts.place, minlength=len(keys)),
        borrowers=np.bincount(pairs[0], minlength=len(keys)),
    )


def _flows(parts: _Parts) -> _Flows:
    """What parts cost and brought, summed by group and day; one statement, read in runs.

    A row of totals counts on its day, and is taken off again on the day of the loan's next row:
    what is left is what each brought.
    """
    first = np.append(0, np.flatnonzero(np.diff(parts.loan)) + 1)
    loans = parts.loan[first] if len(parts.loan) else parts.loan
    received = [np.zeros_like(parts.size) for _ in range(3)]
    sums = [_by_day(parts.place, parts.paid_out_on, -parts.size)]
    for (loan, day, following), totals, offsets in packed_runs(
        "SELECT l.id, (d.spread_on - DATE '1970-01-01')::bigint,"
        " coalesce((lead(d.spread_on) OVER w - DATE '1970-01-01')::bigint, -1),"
        " d.principal, d.interest, d.fee"
        " FROM marketplace_loan AS l JOIN marketplace_distribution AS d ON d.loan_id = l.id"
        " WINDOW w AS (PARTITION BY d.loan_id ORDER BY d.number) ORDER BY l.id, d.number",
        [],
        (3, 3),
    ):
        counts = np.diff(offsets)
        begins = first[np.searchsorted(loans, loan)]
        row = np.repeat(begins - offsets[:-1], counts) + np.arange(offsets[-1])
        principal, interest, fee = totals
        net = principal + interest - fee
        ended = np.repeat(following, counts)
        last = ended < 0
        for whole, values in zip(received, totals, strict=True):
            whole[row[last]] = values[last]
        sums += [
            _by_day(parts.place[row], np.repeat(day, counts), net),
            _by_day(parts.place[row[~last]], ended[~last], -net[~last]),
        ]
    return _Flows(*_by_day(*map(np.concatenate, zip(*sums, strict=True))), *received)


def _by_day(place: IntArray, day: IntArray, pence: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Sums by group and day, in their order."""
    order = np.lexsort((day, place))
    place, day = place[order], day[order]
    new = np.flatnonzero((np.diff(place, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0))
    sums = np.add.reduceat(pence[order], new) if len(new) else pence
    return place[new], day[new], sums


def _earned(flows: _Flows, outstanding: IntArray, on: date) -> FloatArray:
    """Money-weighted returns of all groups."""
    groups = np.arange(len(outstanding))
    starts = np.searchsorted(flows.place, groups, side="left")
    ends = np.searchsorted(flows.place, groups, side="right")
    last = np.datetime64(on, "D")
    earned = np.full(len(outstanding), np.nan)
    for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        days = np.append(flows.day[start:end].astype("datetime64[D]"), last)
        pence = np.append(flows.pence[start:end], outstanding[place]).astype(np.float64)
        found = pyxirr.xirr(days, pence, silent=True)
        # So close to losing everything no rate is found: that is what it was, not unknown.
        lost_all = pence[1:].sum() < -pence[0] / 10
        earned[place] = found if found is not None else (-1.0 if lost_all else np.nan)
    return earned
