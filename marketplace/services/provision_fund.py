"""Claims on the provision fund: proposed at default, decided by people, and paid to lenders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
from django.db import connection, transaction

from accounts.core.posting import LONGEST_REFERENCE, EntryKind
from accounts.services.idempotency import once
from accounts.services.transactions import require_transaction
from marketplace.core.arrays import IntArray
from marketplace.core.house import HOUSE, House
from marketplace.core.loan_events import LoanEventKind
from marketplace.core.provision_fund import (
    ClaimState,
    FundPay,
    FundRefused,
    pay_claims,
    state_after,
)
from marketplace.models import FundDecision
from marketplace.selectors.provision_fund import CLAIMABLE, CLAIMS, fund_balance
from marketplace.services.locks import lock_loans
from marketplace.services.rebuilding import Cause, rebuild_loans

LONGEST_REASON = 200


@dataclass(frozen=True)
class Proposed:
    """How many claims were proposed, and pence of principal and overdue interest in them."""

    claims: int
    principal: int
    interest: int


@dataclass(frozen=True)
class Decided:
    """What became of a decision; pence.

    Attributes:
        decision_id: its key.
        claims: how many it was about.
        principal, interest: paid to lenders.
        proportion_ppm: of what was unpaid of each claim.
        left: of the claims, still unpaid.
    """

    decision_id: int
    claims: int
    principal: int
    interest: int
    proportion_ppm: int
    left: int


def propose_claims(*, on: date, actor: str, key: str) -> Proposed:
    """Propose a claim for each covered loan in default that has none; nothing is paid.

    A claim is for the principal that its lenders lack and the interest that is overdue. One
    statement, beside the key's; a loan is claimed for once.

    Args:
        on: business date.
        actor: who asks.
        key: idempotency key, unique for the actor.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="propose_claims",
            key=key,
            content={},
            action=lambda: asdict(_propose(on, actor)),
        )
    return Proposed(**answer)


def _propose(on: date, actor: str) -> Proposed:
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH made AS (INSERT INTO marketplace_fundclaim"
            " (loan_id, claimed_on, actor, principal, interest)"
            f" SELECT loan_id, %s, %s, principal, interest FROM ({CLAIMS}) AS q"
            " WHERE claim_id IS NULL AND principal + interest > 0 ORDER BY loan_id"
            " ON CONFLICT (loan_id) DO NOTHING RETURNING principal, interest)"
            " SELECT count(*), coalesce(sum(principal), 0)::bigint,"
            " coalesce(sum(interest), 0)::bigint FROM made",
            [on, actor],
        )
        [row] = cursor.fetchall()
    return Proposed(*row)


def decide_claims(
    *,
    claim_ids: Sequence[int],
    proportion_ppm: int | None = None,
    on: date,
    actor: str,
    key: str,
    reason: str,
    second: str = "",
    house: House = HOUSE,
) -> Decided:
    """Decide what the fund pays of some claims, and pay it: one proportion of each.

    Nobody has a right to any of it: it is the decision of whoever decides, and is recorded with
    their reason. What is paid is spread over the loan's parts as a payment would be, and the fund
    owns that much of the claim. What is left unpaid may be decided again.

    Args:
        claim_ids: which claims; all get the same proportion of what is unpaid of them.
        proportion_ppm: 0 to 1,000,000; as far as the fund goes when not given. 0 declines them.
        on: business date.
        actor: who decides.
        key: idempotency key, unique for the actor.
        reason: why, for the record.
        second: who else agreed, somebody other than ``actor``; nobody when not given.
        house: the house's settings.

    Raises:
        FundRefused: no or unknown claims, a loan that is past claiming, nothing unpaid, no reason,
            a proportion that is none, or an empty fund.
        FundTooSmall: the proportion comes to more than the fund has.
        IdempotencyConflict: the key was used for another decision.
        AccountsRefusal: see :func:`accounts.services.posting.post`.
    """
    wanted = sorted(set(claim_ids))
    _check_words(reason, actor, second)
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="decide_claims",
            key=key,
            content={
                "claims": wanted,
                "proportion": proportion_ppm,
                "reason": reason,
                "second": second,
            },
            action=lambda: asdict(
                _decide(wanted, proportion_ppm, on, actor, reason, second, house)
            ),
        )
    return Decided(**answer)


def _check_words(reason: str, actor: str, second: str) -> None:
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise FundRefused(
            f"A decision's reason has 1 to {LONGEST_REASON} printable characters.", field="reason"
        )
    if second.casefold() == actor.casefold():
        raise FundRefused("The second person must be somebody else.", field="second")
    if len(second) > LONGEST_REFERENCE or not second.isprintable():
        raise FundRefused(
            f"The second person is named by up to {LONGEST_REFERENCE} printable characters.",
            field="second",
        )


@dataclass(frozen=True, eq=False)
class _Claims:
    """Claims held for a decision, by loan: what their lenders lack; arrays ``[n]``."""

    claim: IntArray
    loan: IntArray
    principal: IntArray
    interest: IntArray
    paid: IntArray


def _decide(
    claim_ids: Sequence[int],
    proportion_ppm: int | None,
    on: date,
    actor: str,
    reason: str,
    second: str,
    house: House,
) -> Decided:
    held = _hold(claim_ids)
    _lock_fund()
    balance = fund_balance()
    paid = pay_claims(held.principal, held.interest, balance=balance, proportion_ppm=proportion_ppm)
    claimed = int((held.principal + held.interest).sum())
    decision = FundDecision.objects.create(
        decided_on=on,
        proportion=paid.proportion_ppm,
        claims=len(held.claim),
        claimed=claimed,
        paid=paid.total,
        balance_before=balance,
        decided_by=actor,
        second=second,
        reason=reason,
    )
    numbers = _write_events(held, paid, on, actor, reason)
    _write_awards(decision.pk, held, paid, numbers)
    causes = [Cause(loan, added=frozenset({number})) for loan, number in sorted(numbers.items())]
    if causes:
        rebuild_loans(
            causes=causes,
            on=on,
            actor=actor,
            kind=EntryKind.FUND_PAID,
            reason=reason,
            house=house,
        )
    return Decided(
        decision_id=decision.pk,
        claims=len(held.claim),
        principal=int(paid.principal.sum()),
        interest=int(paid.interest.sum()),
        proportion_ppm=paid.proportion_ppm,
        left=claimed - paid.total,
    )


def _hold(claim_ids: Sequence[int]) -> _Claims:
    """Lock the claims' loans, then read what their lenders lack.

    Raises:
        FundRefused: no claims, an unknown one, one past claiming, or one with nothing unpaid.
    """
    if not claim_ids:
        raise FundRefused("A decision is about one claim at least.", field="claims")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT loan_id, id FROM marketplace_fundclaim WHERE id = ANY (%s) ORDER BY loan_id",
            [list(claim_ids)],
        )
        named = dict(cursor.fetchall())
        missing = sorted(set(claim_ids) - set(named.values()))
        if missing:
            raise FundRefused(f"There is no claim {missing[0]}.", field="claims")
        lock_loans(sorted(named))
        cursor.execute(
            "SELECT loan_id, claim_id, principal, interest, paid"
            f" FROM ({CLAIMS} AND l.id = ANY (%s)) AS q ORDER BY loan_id",
            [sorted(named)],
        )
        rows = cursor.fetchall()
        _check_claimable(named, {row[0] for row in rows})
    columns = np.array(rows, dtype=np.int64).T
    loan, claim, principal, interest, paid = columns
    empty = np.flatnonzero(principal + interest == 0)
    if len(empty):
        raise FundRefused(f"Nothing is unpaid of claim {claim[empty[0]]}.", field="claims")
    return _Claims(claim, loan, principal, interest, paid)


def _check_claimable(named: dict[int, int], open_: set[int]) -> None:
    """Refuse claims of loans that the fund doesn't pay for any more, naming the loan's state."""
    closed = sorted(set(named) - open_)
    if not closed:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM marketplace_loan WHERE id = %s", [closed[0]])
        [[state]] = cursor.fetchall()
    allowed = " or ".join(each.value for each in CLAIMABLE)
    raise FundRefused(
        f"Claim {named[closed[0]]} is of a loan that is {state}; the fund pays for loans that are"
        f" {allowed}.",
        field="claims",
    )


def _lock_fund() -> None:
    """One decision at a time reads the fund's balance and spends of it."""
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('provision_fund'))")


def _write_events(
    held: _Claims, paid: FundPay, on: date, actor: str, reason: str
) -> dict[int, int]:
    """Write the loans' events of what the fund pays; returns each one's number by loan."""
    some = np.flatnonzero(paid.principal + paid.interest)
    if not len(some):
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH n AS (SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])"
            " AS n (loan, principal, interest)),"
            " numbered AS (UPDATE marketplace_loan AS l SET events = l.events + 1 FROM n"
            " WHERE l.id = n.loan RETURNING l.id, l.events)"
            " INSERT INTO marketplace_loanevent (loan_id, number, kind, effective_on,"
            " recorded_on, actor, reason, amount, interest)"
            " SELECT n.loan, l.events, %s, %s, %s, %s, %s, n.principal, n.interest"
            " FROM n JOIN numbered AS l ON l.id = n.loan ORDER BY n.loan"
            " RETURNING loan_id, number",
            [
                held.loan[some].tolist(),
                paid.principal[some].tolist(),
                paid.interest[some].tolist(),
                LoanEventKind.FUND_PAYMENT.value,
                on,
                on,
                actor,
                reason,
            ],
        )
        return dict(cursor.fetchall())


def _write_awards(decision_id: int, held: _Claims, paid: FundPay, numbers: dict[int, int]) -> None:
    """Write what each claim got, in one statement, and where each claim stands now."""
    given = paid.principal + paid.interest
    left = held.principal + held.interest - given
    states: list[ClaimState] = [
        state_after(unpaid, in_all)
        for unpaid, in_all in zip(left.tolist(), (held.paid + given).tolist(), strict=True)
    ]
    parameters: list[Any] = [
        decision_id,
        held.claim.tolist(),
        [numbers.get(loan) for loan in held.loan.tolist()],
        paid.principal.tolist(),
        paid.interest.tolist(),
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO marketplace_fundaward"
            " (decision_id, claim_id, number, principal, interest)"
            " SELECT %s, * FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[], %s::bigint[])",
            parameters,
        )
        cursor.execute(
            "UPDATE marketplace_fundclaim AS c SET state = n.state"
            " FROM unnest(%s::bigint[], %s::text[]) AS n (id, state) WHERE c.id = n.id",
            [held.claim.tolist(), [state.value for state in states]],
        )
