"""What a loan's new figures move in the ledger, against those that were stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from accounts.core.chart import Kind
from accounts.core.posting import EntryDraft, EntryKind
from marketplace.core.loan_events import DistributionKind, LoanEventKind, PaymentKind
from marketplace.core.states import LoanState
from marketplace.models import LoanEvent, Payment
from marketplace.selectors.stored_lives import Columns, Position
from marketplace.services.loan_money import EntryMoves, Holder
from marketplace.services.loan_storing import Rewriting

_FEES: Holder = (Kind.FEES, 0)
_FUND: Holder = (Kind.PROVISION_FUND, 0)
_COLLECTING: Holder = (Kind.COLLECTING, 0)
_HELD: Holder = (Kind.CLAIMS_HELD, 0)


@dataclass(frozen=True)
class _Money:
    """Where a loan's money and claims are by its figures, pence.

    Attributes:
        lenders: net of fees, by lender.
        fees: servicing fees and costs of recovery that Tenner kept.
        to_fund, from_fund: the provision fund's share of what came, and what it paid.
        returned: what went back to the borrower.
        clearing: received and not spread yet.
        principal_owed, interest_due, written_off: the claims on the borrower.
    """

    lenders: Mapping[int, int]
    fees: int
    to_fund: int
    from_fund: int
    returned: int
    clearing: int
    principal_owed: int
    interest_due: int
    written_off: int


def book_changes(
    each: Rewriting,
    added: Collection[int],
    undone: Collection[int],
    draft: EntryDraft,
    closed: date | None,
) -> list[EntryMoves]:
    """The entries of one loan's change: payments that are new, the differences, fees given back.

    Args:
        each: the loan.
        added: numbers of payments and events whose money is not in the ledger yet.
        undone: numbers of payments and events whose money is to leave it.
        draft: the entry of the differences, on the business date of the change.
        closed: the last date on which nothing can be booked any more.
    """
    stored = each.stored
    fresh = [row for row in stored.payments if row.number in added and row.bounced_on is None]
    gone = [row for row in stored.payments if row.number in undone]
    waiting = sum(
        row.amount
        for row in stored.payments
        if row.distributed_on is None
        and row not in fresh
        and (row.bounced_on is None or row in gone)
    )
    before, after = _stored_money(each, waiting), _new_money(each)
    brought = sum(row.amount for row in fresh) - sum(row.amount for row in gone)
    _check(before, after, brought, stored.loan.pk)
    main = EntryMoves(draft, stored.loan.pk)
    for row in gone:
        _pass_through(main, row, stored.loan.borrower_id, back=True)
    decided = each.kind is DistributionKind.FUND
    _move_cash(main, before, after, stored.loan.borrower_id, decided=decided)
    _move_claims(main, before, after)
    return [
        *(_received(row, each, draft, closed) for row in fresh),
        main,
        *(
            _refund(row, each, draft, back=row.number in undone)
            for row in stored.events
            if row.kind == LoanEventKind.RESCISSION and row.number in {*added, *undone}
        ),
    ]


def _stored_money(each: Rewriting, waiting: int) -> _Money:
    loan, position = each.stored.loan, each.before
    spread = [row for row in position.payments.values() if row["distributed_on"] is not None]
    interest_due = sum(row["interest_due"] or 0 for row in position.instalments.values())
    owed, due = loan.amount - loan.principal_paid, interest_due - loan.interest_paid
    written_off = loan.written_off_on is not None or loan.state == LoanState.SETTLED
    lenders_got = int(position.principal.sum() + position.interest.sum())
    return _Money(
        lenders=_net_by_lender(each, position),
        fees=int(position.fee.sum()) + sum(map(_costs, spread)),
        to_fund=sum(map(_to_fund, spread)),
        from_fund=lenders_got - sum(map(_to_lenders, spread)),
        returned=sum(row["returned"] for row in spread),
        clearing=waiting,
        principal_owed=0 if written_off else owed,
        interest_due=0 if written_off else due,
        written_off=owed + due if written_off else 0,
    )


def _new_money(each: Rewriting) -> _Money:
    life, position = each.life, each.after
    spread = [row for row in position.payments.values() if row["distributed_on"] is not None]
    return _Money(
        lenders=_net_by_lender(each, position),
        fees=int(position.fee.sum()) + sum(map(_costs, spread)),
        to_fund=sum(map(_to_fund, spread)),
        from_fund=sum(paid.principal + paid.interest for paid in life.fund_payments),
        returned=sum(row["returned"] for row in spread),
        clearing=life.clearing,
        principal_owed=life.principal_owed,
        interest_due=life.interest_owed,
        written_off=life.written_off_principal + life.written_off_interest,
    )


def _costs(payment: Columns) -> int:
    return int(payment["cost_principal"] + payment["cost_interest"])


def _to_fund(payment: Columns) -> int:
    return int(payment["to_fund_principal"] + payment["to_fund_interest"])


def _to_lenders(payment: Columns) -> int:
    """The lenders' share, the servicing fee not yet taken off."""
    return int(payment["principal"] + payment["interest"]) - _costs(payment) - _to_fund(payment)


def _net_by_lender(each: Rewriting, position: Position) -> dict[int, int]:
    net = position.principal + position.interest - position.fee
    found: dict[int, int] = defaultdict(int)
    for lender, pence in zip(each.stored.lender.tolist(), net.tolist(), strict=True):
        found[lender] += pence
    return dict(found)


def _check(before: _Money, after: _Money, brought: int, loan_id: int) -> None:
    """Refuse to book figures that lose or make money.

    Raises:
        RuntimeError: a mistake in the replay or in what is stored, which nobody may book.
    """

    def gone(money: _Money) -> int:
        out = sum(money.lenders.values()) + money.fees + money.to_fund + money.returned
        return out - money.from_fund

    if before.clearing + brought - (gone(after) - gone(before)) != after.clearing:
        raise RuntimeError(f"the replay of loan {loan_id} does not add up with what is stored")


def _move_cash(
    main: EntryMoves, before: _Money, after: _Money, borrower: int, *, decided: bool
) -> None:
    for lender, pence in after.lenders.items():
        main.settle(lender, pence - before.lenders[lender])
    main.settle(borrower, after.returned - before.returned)
    main.move(main.clearing, _FEES, after.fees - before.fees)
    to_fund, from_fund = after.to_fund - before.to_fund, after.from_fund - before.from_fund
    # What is decided now the fund has. What it has to pay once more, since a payment that spared it
    # bounced, it may have spent, as what it has to give back.
    once_more = 0 if decided else max(from_fund, 0)
    main.move(main.clearing, _FUND, max(to_fund, 0))
    main.fund_gives_back = max(-to_fund, 0) + once_more
    main.move(_FUND, main.clearing, from_fund - once_more)


def _move_claims(main: EntryMoves, before: _Money, after: _Money) -> None:
    owed, due = (Kind.PRINCIPAL_OWED, main.loan_id), (Kind.INTEREST_DUE, main.loan_id)
    main.move(owed, _HELD, after.principal_owed - before.principal_owed)
    main.move(due, _HELD, after.interest_due - before.interest_due)
    main.move((Kind.WRITTEN_OFF, 0), _HELD, after.written_off - before.written_off)


def _pass_through(entry: EntryMoves, row: Payment, borrower: int, *, back: bool) -> None:
    """A payment through the borrower's cash into the loan's clearing, or back to where it came."""
    steps = [((Kind.CASH, borrower), entry.clearing)]
    if row.kind != PaymentKind.CASH:
        steps.insert(0, (_COLLECTING, (Kind.CASH, borrower)))
    for giver, taker in reversed(steps) if back else steps:
        entry.move(giver, taker, -row.amount if back else row.amount)


def receipt_day(kind: PaymentKind, received_on: date, *, on: date, closed: date | None) -> date:
    """The business date on which a payment's receipt is booked.

    It is the day on which the money came, while that can still be booked. Money from cash was cash
    until it was paid with, whatever day it counts from.

    Args:
        kind: how it came.
        received_on: the day from which it counts.
        on: the business date.
        closed: the last date on which nothing can be booked any more.
    """
    is_open = closed is None or received_on > closed
    return received_on if is_open and kind is not PaymentKind.CASH else on


def _received(row: Payment, each: Rewriting, draft: EntryDraft, closed: date | None) -> EntryMoves:
    """A new payment's entry: on the day on which it came, if that can still be booked."""
    loan, on = each.stored.loan, draft.effective_on
    day = receipt_day(PaymentKind(row.kind), row.received_on, on=on, closed=closed)
    entry = EntryMoves(
        EntryDraft(
            EntryKind.PAYMENT_RECEIVED,
            f"payment/{loan.pk}/{row.number}",
            day,
            draft.actor,
            draft.reference,
        ),
        loan.pk,
    )
    _pass_through(entry, row, loan.borrower_id, back=False)
    return entry


def _refund(row: LoanEvent, each: Rewriting, draft: EntryDraft, *, back: bool) -> EntryMoves:
    """The arrangement fee goes back to who rescinds; the provision fund gives its part of it."""
    loan = each.stored.loan
    key = f"fee-refund/{loan.pk}/{row.number}" + ("/undone" if back else "")
    entry = EntryMoves(
        EntryDraft(EntryKind.FEE_REFUNDED, key, draft.effective_on, draft.actor, draft.reference),
        loan.pk,
    )
    sign = -1 if back else 1
    entry.move(_FEES, entry.clearing, sign * (loan.arrangement_fee - loan.contribution))
    if back:
        entry.move(entry.clearing, _FUND, loan.contribution)
    else:
        entry.fund_gives_back = loan.contribution
    entry.settle(loan.borrower_id, sign * loan.arrangement_fee)
    return entry
