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
from marketplace.core.states import LOST, LoanState

FloatArray = npt.NDArray[np.float64]

_UNPAID = (LoanState.FUNDED.value, LoanState.CANCELLED.value)


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


def _returns(group: str, on: date) -> Returns:
    joins = (
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " JOIN marketplace_market AS m ON m.id = l.market_id"
    )
    keys, *totals = fetch_columns(
        f"SELECT {group}, sum(p.size)::bigint, coalesce(sum(p.size - p.principal_received)"
        " FILTER (WHERE l.state <> ALL (%s)), 0)::bigint,"
        " coalesce(sum(p.size - p.principal_received) FILTER (WHERE l.state = ANY (%s)), 0)"
        "::bigint, sum(p.interest_received)::bigint, sum(p.fee_paid)::bigint,"
        " sum(p.size * p.expected_return)::bigint, sum(p.size * p.rate)::bigint, count(*),"
        " count(DISTINCT l.borrower_id)"
        f"{joins} WHERE l.state <> ALL (%s) GROUP BY 1 ORDER BY 1",
        [list(LOST), list(LOST), list(_UNPAID)],
        10,
    )
    lent, outstanding, lost, interest, fees, told, gross, parts, borrowers = totals
    weight = lent * 1_000_000.0
    return Returns(
        group=keys,
        lent=lent,
        outstanding=outstanding,
        lost=lost,
        interest=interest,
        fees=fees,
        told=told / weight,
        earned=_earned(group, joins, keys, outstanding, on),
        gross=gross / weight,
        parts=parts,
        borrowers=borrowers,
    )


def _earned(group: str, joins: str, keys: IntArray, outstanding: IntArray, on: date) -> FloatArray:
    """Money-weighted returns; flows are summed by group and day in the database."""
    owner, day, amount = fetch_columns(
        f"SELECT {group}, (l.paid_out_on - DATE '1970-01-01')::bigint, -sum(p.size)::bigint"
        f"{joins} WHERE l.paid_out_on IS NOT NULL GROUP BY 1, 2 UNION ALL"
        f" SELECT {group}, (y.distributed_on - DATE '1970-01-01')::bigint,"
        " sum(d.principal + d.interest - d.fee)::bigint"
        " FROM marketplace_distribution AS d JOIN marketplace_payment AS y ON y.id = d.payment_id"
        f" JOIN marketplace_part AS p ON p.id = d.part_id{joins.split('AS p', 1)[1]}"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        [],
        3,
    )
    starts = np.searchsorted(owner, keys, side="left")
    ends = np.searchsorted(owner, keys, side="right")
    last = np.datetime64(on, "D")
    earned = np.full(len(keys), np.nan)
    for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        days = np.append(day[start:end].astype("datetime64[D]"), last)
        flows = np.append(amount[start:end], outstanding[place]).astype(np.float64)
        found = pyxirr.xirr(days, flows, silent=True)
        # So close to losing everything no rate is found: that is what it was, not unknown.
        lost_all = flows[1:].sum() < -flows[0] / 10
        earned[place] = found if found is not None else (-1.0 if lost_all else np.nan)
    return earned
