"""The provision fund: what is claimed of it, what was decided, where its money came and went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection

from accounts.core.chart import Kind
from accounts.core.posting import EntryKind
from accounts.selectors.bulk import array_of
from marketplace.core.provision_fund import ClaimState
from marketplace.core.states import LoanState
from marketplace.models import FundDecision

# The fund may pay claims on loans in these states.
CLAIMABLE = (LoanState.DEFAULT, LoanState.WRITTEN_OFF)
# What lenders lack of each covered loan in default: what the borrower owes, less what the fund owns
# of it. An award whose payment was taken back counts for nothing.
CLAIMS = """
SELECT l.id AS loan_id, c.id AS claim_id, l.assessment_id, l.defaulted_on,
    coalesce(c.state, 'proposed') AS state,
    l.amount - l.principal_paid - l.fund_principal AS principal,
    greatest(coalesce((SELECT sum(n.interest_due - n.interest_paid)
        FROM marketplace_instalment AS n WHERE n.loan_id = l.id
        AND n.interest_due IS NOT NULL), 0) - l.fund_interest, 0)::bigint AS interest,
    l.fund_principal + l.fund_interest AS owned,
    coalesce((SELECT sum(w.principal + w.interest) FROM marketplace_fundaward AS w
        JOIN marketplace_loanevent AS e ON e.loan_id = l.id AND e.number = w.number
        WHERE w.claim_id = c.id AND e.voided_on IS NULL), 0)::bigint AS paid
FROM marketplace_loan AS l LEFT JOIN marketplace_fundclaim AS c ON c.loan_id = l.id
WHERE l.covered AND l.state IN ('default', 'written_off')
"""


def fund_balance() -> int:
    """What the provision fund has, pence; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(balance), 0)::bigint FROM accounts_account WHERE kind = %s",
            [str(Kind.PROVISION_FUND)],
        )
        [row] = cursor.fetchall()
    return int(row[0])


@dataclass(frozen=True)
class ClaimView:
    """A claim on the fund, pence.

    Attributes:
        claim_id, loan_id: keys.
        claimed_on: the day it was proposed.
        state: where it stands; ``loan_state`` is the loan's.
        claimed_principal, claimed_interest: as of the proposal.
        principal, interest: what lenders lack now, nothing where the loan is past claiming.
        paid: by the fund so far.
        owned: of that, not recovered.
    """

    claim_id: int
    loan_id: int
    claimed_on: date
    state: ClaimState
    loan_state: LoanState
    claimed_principal: int
    claimed_interest: int
    principal: int
    interest: int
    paid: int
    owned: int

    @property
    def unpaid(self) -> int:
        """Principal and interest that lenders lack."""
        return self.principal + self.interest


def fund_claims(*, waiting_only: bool = True) -> list[ClaimView]:
    """Claims on the fund, the oldest first; one statement.

    Args:
        waiting_only: leave out those declined, or with nothing left to pay.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id, c.loan_id, c.claimed_on, c.state, l.state, c.principal, c.interest,"
            " coalesce(q.principal, 0), coalesce(q.interest, 0), coalesce(q.paid, ("
            "  SELECT sum(w.principal + w.interest) FROM marketplace_fundaward AS w"
            "  WHERE w.claim_id = c.id), 0)::bigint, l.fund_principal + l.fund_interest"
            " FROM marketplace_fundclaim AS c JOIN marketplace_loan AS l ON l.id = c.loan_id"
            f" LEFT JOIN ({CLAIMS}) AS q ON q.claim_id = c.id"
            " WHERE NOT %s OR (c.state <> 'declined' AND q.principal + q.interest > 0)"
            " ORDER BY c.id",
            [waiting_only],
        )
        return [
            ClaimView(
                claim_id=row[0],
                loan_id=row[1],
                claimed_on=row[2],
                state=ClaimState(row[3]),
                loan_state=LoanState(row[4]),
                claimed_principal=row[5],
                claimed_interest=row[6],
                principal=row[7],
                interest=row[8],
                paid=row[9],
                owned=row[10],
            )
            for row in cursor.fetchall()
        ]


@dataclass(frozen=True)
class DecisionView:
    """A decision on claims: what was asked of the fund, what it had, what it paid; pence.

    ``proportion_ppm`` is of what was unpaid of each claim.
    """

    decision_id: int
    decided_on: date
    proportion_ppm: int
    claims: int
    claimed: int
    paid: int
    balance_before: int
    decided_by: str
    second: str
    reason: str


def fund_decisions() -> list[DecisionView]:
    """All decisions, the oldest first; one statement."""
    rows = FundDecision.objects.order_by("pk").values_list(
        "pk",
        *("decided_on", "proportion", "claims", "claimed", "paid", "balance_before"),
        *("decided_by", "second", "reason"),
    )
    return [DecisionView(*row) for row in rows]


@dataclass(frozen=True)
class FundDay:
    """A business date on which the fund's money moved; signed pence, outgoing below nothing.

    Attributes:
        on: the date.
        fed: contributions of loans paid out.
        paid: to lenders, for claims.
        recovered: of claims that the fund owns, net of costs.
        other: anything else, such as a correction or a contribution given back.
        balance: at the end of the date.
    """

    on: date
    fed: int
    paid: int
    recovered: int
    other: int
    balance: int


_FED, _PAID, _RECOVERED, _OTHER = range(4)
_COLUMN = {
    EntryKind.PAID_OUT: _FED,
    EntryKind.FUND_PAID: _PAID,
    EntryKind.PAYMENT_DISTRIBUTED: _RECOVERED,
}


def fund_history(on: date, *, since: date | None = None) -> list[FundDay]:
    """How the fund came to what it has by the end of ``on``; two statements.

    Args:
        on: the last business date.
        since: leave out earlier dates; balances count them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(id ORDER BY id) FROM accounts_account WHERE kind = %s",
            [str(Kind.PROVISION_FUND)],
        )
        [[accounts]] = cursor.fetchall()
        stripes = array_of(np.array(accounts, dtype=np.int64))
        cursor.execute(
            "SELECT t.effective_on, e.kind, sum(t.amount)::bigint FROM ("
            " SELECT entry_id, effective_on, amount FROM accounts_transfer"
            "  WHERE credit_id = ANY (%(stripes)s::int[]) AND effective_on <= %(on)s"
            " UNION ALL SELECT entry_id, effective_on, -amount FROM accounts_transfer"
            "  WHERE debit_id = ANY (%(stripes)s::int[]) AND effective_on <= %(on)s) AS t"
            " JOIN accounts_entry AS e ON e.id = t.entry_id GROUP BY 1, 2 ORDER BY 1, 2",
            {"stripes": stripes, "on": on},
        )
        rows = cursor.fetchall()
    days: dict[date, list[int]] = {}
    for day, kind, amount in rows:
        days.setdefault(day, [0, 0, 0, 0])[_column(kind)] += amount
    balance, found = 0, []
    for day, (fed, paid, recovered, other) in days.items():
        balance += fed + paid + recovered + other
        found.append(FundDay(day, fed, paid, recovered, other, balance))
    return [each for each in found if since is None or each.on >= since]


def _column(kind: str) -> int:
    return _COLUMN.get(EntryKind(kind), _OTHER)
