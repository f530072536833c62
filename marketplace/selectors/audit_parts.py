"""The audit of parts: what each received, against its exact share of what was spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accounts.selectors.bulk import fetch_columns
from marketplace.core.arrays import PENCE_PER_UNIT, BoolArray, IntArray, segment_sums
from marketplace.core.interest import cumulative_fee, cumulative_interest
from marketplace.selectors.findings import Finding, Wrong, finding_of
from marketplace.selectors.packed import packed_totals
from marketplace.selectors.servicing import loan_offsets

# Interest is spread inside periods, oldest first: the last period that what was spread fills is
# `full`, the one being filled `following`.
_SPREAD = """
SELECT l.id, l.amount, l.servicing_fee::bigint, coalesce(d.principal_total, 0),
    coalesce(d.interest_total, 0), coalesce(d.fee_total, 0), i.full_months, i.next_months
FROM marketplace_loan AS l
LEFT JOIN marketplace_distribution AS d ON d.loan_id = l.id AND d.number = l.distributions
CROSS JOIN LATERAL (
    SELECT coalesce(max(n.balance_months) FILTER (
            WHERE n.running <= coalesce(d.interest_total, 0)), 0) AS full_months,
        coalesce(min(n.balance_months) FILTER (
            WHERE n.running > coalesce(d.interest_total, 0)), 0) AS next_months
    FROM (SELECT balance_months, sum(interest_due) OVER (ORDER BY number) AS running
        FROM marketplace_instalment WHERE loan_id = l.id AND interest_due IS NOT NULL) AS n
) AS i
WHERE EXISTS (SELECT FROM marketplace_part AS p WHERE p.loan_id = l.id) ORDER BY l.id
"""


@dataclass(frozen=True, eq=False)
class _Loans:
    """Loans with parts ``[L]``: terms, totals of the latest distribution, and the two periods."""

    loan: IntArray
    amount: IntArray
    fee_ppm: IntArray
    principal: IntArray
    interest: IntArray
    fee: IntArray
    full: IntArray
    following: IntArray


@dataclass(frozen=True, eq=False)
class _Parts:
    """All parts by loan and number ``[N]``; ``row`` is the loan's place, ``offsets [L + 1]``."""

    loan: IntArray
    number: IntArray
    units: IntArray
    rate: IntArray
    principal: IntArray
    interest: IntArray
    fee: IntArray
    row: IntArray
    offsets: IntArray


def part_findings() -> list[Finding]:
    """Every part against its exact share; three statements."""
    owner, number, size, rate = fetch_columns(
        "SELECT loan_id, number::bigint, size, monthly_rate FROM marketplace_part"
        " ORDER BY loan_id, number",
        [],
        4,
    )
    loans = _Loans(*fetch_columns(_SPREAD, [], 8))
    totals = packed_totals()
    offsets = loan_offsets(owner, loans.loan)
    counts = np.diff(offsets)
    # Arrays of another length than the loan has parts would be read past their end.
    packed = np.searchsorted(loans.loan, totals.loan)
    lengths = np.diff(totals.offsets) == counts[packed]
    uneven = loans.loan[packed[~lengths]]
    known = ~np.isin(owner, uneven)
    principal, interest, fee = (np.zeros_like(owner) for _ in range(3))
    principal[known], interest[known], fee[known] = totals.of(owner[known], number[known])
    parts = _Parts(
        owner,
        number,
        size // PENCE_PER_UNIT,
        rate,
        principal,
        interest,
        fee,
        row=np.repeat(np.arange(len(loans.loan)), counts),
        offsets=offsets,
    )
    return [*_within_a_penny(loans, parts), _sums(loans, parts)]


def _within_a_penny(loans: _Loans, parts: _Parts) -> list[Finding]:
    row, units = parts.row, parts.units
    size = units * PENCE_PER_UNIT
    # In integers: |received x P - R x weight| < P; both products stay below 2**63.
    gap = np.abs(parts.principal * loans.amount[row] - loans.principal[row] * size)
    wrong_principal = gap >= loans.amount[row]
    counts = np.diff(parts.offsets)
    whole = np.repeat(segment_sums(units, parts.offsets), counts)
    full, following = loans.full[row], loans.following[row]
    fixed = cumulative_interest(units, parts.rate, full, whole)
    upper = np.where(following > 0, cumulative_interest(units, parts.rate, following, whole), fixed)
    bucket, inside = upper - fixed, parts.interest - fixed
    due = segment_sums(bucket, parts.offsets)[row]
    came = (loans.interest - segment_sums(fixed, parts.offsets))[row]
    # Between two periods nothing is being filled: there the fixed interest is all there is.
    wrong_interest = (inside < 0) | (inside > bucket)
    wrong_interest |= (due > 0) & (np.abs(inside * due - came * bucket) >= due)
    ppm = loans.fee_ppm[row]
    fee = cumulative_fee(units, fixed, full, whole, ppm)
    step = np.where(following > 0, cumulative_fee(units, upper, following, whole, ppm) - fee, 0)
    wrong_fee = parts.fee != fee + step * inside // np.maximum(bucket, 1)
    rule = "Every part's {} is within a penny of its exact share"
    return [
        _wrong_parts(rule.format("principal"), "part_principal", wrong_principal, parts),
        _wrong_parts(rule.format("interest"), "part_interest", wrong_interest, parts),
        _wrong_parts(
            "Every part's fee is what is kept of its interest", "part_fee", wrong_fee, parts
        ),
    ]


def _sums(loans: _Loans, parts: _Parts) -> Finding:
    """Each loan's totals are the sums of its parts' running totals."""
    packed = [
        segment_sums(column, parts.offsets)
        for column in (parts.principal, parts.interest, parts.fee)
    ]
    told = [loans.principal, loans.interest, loans.fee]
    wrong = np.any([one != other for one, other in zip(told, packed, strict=True)], axis=0)
    expected, found = (principal + interest for principal, interest, _ in (told, packed))
    return finding_of(
        "Every loan's totals are the sums of what its parts received",
        "part_totals",
        len(loans.loan),
        (int(expected.sum()), int(found.sum())),
        [
            Wrong(f"loan {loans.loan[place]}", int(expected[place]), int(found[place]))
            for place in np.flatnonzero(wrong)
        ],
    )


def _wrong_parts(rule: str, code: str, wrong: BoolArray, parts: _Parts) -> Finding:
    names = [
        Wrong(f"part {parts.number[place]} of loan {parts.loan[place]}")
        for place in np.flatnonzero(wrong)
    ]
    return finding_of(rule, code, len(wrong), (0, 0), names)
