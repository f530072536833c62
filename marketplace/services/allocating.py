"""What payments are allocated to, for many loans at once: oldest due first, interest first.

A payment counts for the borrower when it is received, or, if nothing is due then, on the due date
that it waited for. The claims fall with it; its money waits in the loan's clearing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from django.db import connection

from accounts.core.chart import Book, Kind
from accounts.core.posting import Leg
from accounts.selectors.bulk import array_of
from accounts.selectors.ledger import account_ids, platform_accounts
from marketplace.core.arrays import BoolArray, IntArray, segment_sums
from marketplace.core.waterfall import Allocation, OpenInstalments, waterfall
from marketplace.selectors.servicing import LoanClaims, LoanInstalments


@dataclass(frozen=True)
class Arrived:
    """Payments to be allocated, ``[P]``, by loan and number; ``amount`` and ``cost`` in pence."""

    loan: IntArray
    number: IntArray
    amount: IntArray
    cost: IntArray


@dataclass(frozen=True)
class Allocated:
    """What each payment was allocated to, ``[P]``, pence.

    Attributes:
        is_allocated: whether it was; otherwise it waits whole, and the rest is nothing.
        principal, interest: of the borrower's debt, gross.
        returned: what nothing was due for: goes back to the borrower once cleared.
        to_fund_principal, to_fund_interest: the provision fund's share, net of cost.
        cost_principal, cost_interest: what the recovery cost.
        fund_principal, fund_interest: by how much the fund's claim falls.
    """

    is_allocated: BoolArray
    principal: IntArray
    interest: IntArray
    returned: IntArray
    to_fund_principal: IntArray
    to_fund_interest: IntArray
    cost_principal: IntArray
    cost_interest: IntArray
    fund_principal: IntArray
    fund_interest: IntArray


def allocate(arrived: Arrived, claims: LoanClaims, due: LoanInstalments) -> Allocated:
    """Allocate payments of many loans and write it on instalments and loans; two statements.

    Several payments of one loan are allocated in order of number. The loans are locked, and
    ``claims`` and ``due`` are of all loans that have a payment here, in the same order.
    """
    place = np.searchsorted(claims.loan, arrived.loan)
    turn = np.arange(len(place)) - np.searchsorted(place, place, side="left")
    outcome = _nothing(len(place))
    opened, left = due.open, claims
    for number in range(int(turn.max(initial=-1)) + 1):
        rows = np.flatnonzero(turn == number)
        opened, left = _one_each(arrived, rows, place[rows], opened, left, outcome)
    _store(due, opened, claims, left)
    return outcome


def _nothing(count: int) -> Allocated:
    columns = (np.zeros(count, dtype=np.int64) for _ in range(9))
    return Allocated(np.zeros(count, dtype=np.bool_), *columns)


def _one_each(
    arrived: Arrived,
    rows: IntArray,
    place: IntArray,
    due: OpenInstalments,
    left: LoanClaims,
    outcome: Allocated,
) -> tuple[OpenInstalments, LoanClaims]:
    """Allocate one payment a loan into ``outcome``; what is due and left after them."""
    unpaid = due.interest_due + due.principal_due - due.interest_paid - due.principal_paid
    something = segment_sums(unpaid, due.offsets)[place] > 0
    taken = something | (left.principal[place] == 0)
    amounts = np.zeros(len(left.loan), dtype=np.int64)
    amounts[place] = np.where(taken, arrived.amount[rows], 0)
    settled = waterfall(due, amounts)
    interest = segment_sums(settled.interest, due.offsets)[place]
    principal = segment_sums(settled.principal, due.offsets)[place]
    outcome.is_allocated[rows] = taken
    outcome.principal[rows], outcome.interest[rows] = principal, interest
    outcome.returned[rows] = amounts[place] - principal - interest
    shares = _fund_and_costs(principal, interest, arrived.cost[rows], left, place)
    for column, values in zip(_shares_of(outcome), shares, strict=True):
        column[rows] = values
    return _paid(due, settled), _less(left, place, principal, interest, *shares[4:])


def _shares_of(outcome: Allocated) -> tuple[IntArray, ...]:
    return (
        outcome.to_fund_principal,
        outcome.to_fund_interest,
        outcome.cost_principal,
        outcome.cost_interest,
        outcome.fund_principal,
        outcome.fund_interest,
    )


def _fund_and_costs(
    principal: IntArray, interest: IntArray, cost: IntArray, left: LoanClaims, place: IntArray
) -> tuple[IntArray, ...]:
    """The columns of :func:`_shares_of`: costs go over the components, each over its owners."""
    together = principal + interest
    borne = np.minimum(cost, together)
    cost_interest = borne * interest // np.maximum(together, 1)
    costs = (borne - cost_interest, cost_interest)
    to_fund, fund = [], []
    for amount, charged, owned, remaining in (
        (principal, costs[0], left.fund_principal[place], left.principal[place]),
        (interest, costs[1], left.fund_interest[place], left.interest[place]),
    ):
        gross = amount * owned // np.maximum(remaining, 1)
        fund.append(gross)
        to_fund.append(gross - charged * gross // np.maximum(amount, 1))
    return (*to_fund, *costs, *fund)


def _paid(due: OpenInstalments, settled: Allocation) -> OpenInstalments:
    return replace(
        due,
        interest_paid=due.interest_paid + settled.interest,
        principal_paid=due.principal_paid + settled.principal,
    )


def _less(
    left: LoanClaims,
    place: IntArray,
    principal: IntArray,
    interest: IntArray,
    fund_principal: IntArray,
    fund_interest: IntArray,
) -> LoanClaims:
    def after(column: IntArray, values: IntArray) -> IntArray:
        falls = column.copy()
        falls[place] -= values
        return falls

    return replace(
        left,
        principal=after(left.principal, principal),
        interest=after(left.interest, interest),
        fund_principal=after(left.fund_principal, fund_principal),
        fund_interest=after(left.fund_interest, fund_interest),
    )


def _store(
    due: LoanInstalments, after: OpenInstalments, claims: LoanClaims, left: LoanClaims
) -> None:
    interest = after.interest_paid - due.open.interest_paid
    principal = after.principal_paid - due.open.principal_paid
    changed = np.flatnonzero(interest + principal)
    if not len(changed):
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_instalment AS i SET interest_paid = i.interest_paid + n.interest,"
            " principal_paid = i.principal_paid + n.principal"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS n (id, interest, principal)"
            " WHERE i.id = n.id",
            [array_of(c[changed]) for c in (due.instalment, interest, principal)],
        )
        cursor.execute(
            "UPDATE marketplace_loan AS l SET interest_paid = l.interest_paid + n.interest,"
            " principal_paid = l.principal_paid + n.principal,"
            " fund_interest = l.fund_interest - n.fund_interest,"
            " fund_principal = l.fund_principal - n.fund_principal"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])"
            " AS n (id, interest, principal, fund_interest, fund_principal) WHERE l.id = n.id"
            " AND n.interest + n.principal > 0",
            [
                array_of(claims.loan),
                array_of(claims.interest - left.interest),
                array_of(claims.principal - left.principal),
                array_of(claims.fund_interest - left.fund_interest),
                array_of(claims.fund_principal - left.fund_principal),
            ],
        )


def claims_fall(
    entry: IntArray, keys: Sequence[str], arrived: Arrived, claims: LoanClaims, to: Allocated
) -> list[Leg]:
    """The transfers by which the borrowers' debts fall; of loans written off, what stands there.

    Args:
        entry: place of each payment's entry in ``keys``, ``[P]``.
        keys: the entries' keys.
        arrived: the payments.
        claims: their loans.
        to: what they were allocated to.
    """
    held = platform_accounts(Kind.CLAIMS_HELD, keys)[entry]
    written_off = claims.is_written_off[np.searchsorted(claims.loan, arrived.loan)]
    gone = platform_accounts(Kind.WRITTEN_OFF, keys)[entry]
    return [
        Leg(
            entry,
            debit=held,
            credit=np.where(written_off, gone, account_ids(kind, arrived.loan)),
            amount=amount,
            book=Book.CLAIMS,
        )
        for kind, amount in (
            (Kind.PRINCIPAL_OWED, to.principal),
            (Kind.INTEREST_DUE, to.interest),
        )
    ]
