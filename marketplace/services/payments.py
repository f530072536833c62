"""Borrowers' payments: taken in when they arrive, spread over the parts once they have cleared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.money import LARGEST_PENCE
from accounts.core.posting import EntryDraft, EntryKind, Leg, Posting, posting
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.bulk import copy_rows
from accounts.services.idempotency import once
from accounts.services.posting import post
from marketplace.core.arrays import IntArray, segment_sums
from marketplace.core.distribution import Distribution, distribute
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.schedule import add_business_days
from marketplace.core.states import LoanState
from marketplace.core.waterfall import Allocation, receipts_of, waterfall
from marketplace.models import Loan, Payment
from marketplace.selectors.servicing import (
    PAYABLE,
    ClearedPayments,
    LoanInstalments,
    LoanParts,
    load_cleared,
    load_open_instalments,
    load_parts,
)
from marketplace.services.calendar import bank_holidays_around
from marketplace.services.locks import lock_servicing
from marketplace.services.moves import LoanMoved, move_loans


class PaymentRefused(MarketplaceRefusal):
    """A payment that can't be taken: no such loan, a closed loan, or no amount."""

    code = "PAYMENT_REFUSED"


@dataclass(frozen=True)
class PaymentDraft:
    """What arrived for a loan: ``amount`` in pence."""

    loan_id: int
    amount: int


def receive_payments(
    *, payments: Sequence[PaymentDraft], on: date, actor: str, key: str, house: House = HOUSE
) -> int:
    """Take payments in: bank to the borrowers' cash, and at once into their loans' clearing.

    There they wait, out of anyone's reach, and are spread when they have cleared. One payment a
    loan; a fixed number of statements.

    Returns:
        How many were taken in; the same again for a key used before.

    Raises:
        PaymentRefused: an unknown or closed loan, a loan named twice, no amount.
        IdempotencyConflict: the key was used for other payments.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="receive_payments",
            key=key,
            content={"on": on, "payments": [(p.loan_id, p.amount) for p in payments]},
            action=lambda: {"taken": _receive(payments, on, actor, house)},
        )
    return int(answer["taken"])


def _receive(payments: Sequence[PaymentDraft], on: date, actor: str, house: House) -> int:
    lock_servicing()
    amounts = {payment.loan_id: payment.amount for payment in payments}
    if len(amounts) != len(payments):
        raise PaymentRefused("A loan is named twice among the payments.", field="loan")
    if any(not 0 < amount <= LARGEST_PENCE for amount in amounts.values()):
        raise PaymentRefused("A payment is a whole number of pence above zero.", field="amount")
    loans = list(
        Loan.objects.select_for_update()
        .filter(pk__in=amounts, state__in=PAYABLE)
        .order_by("pk")
        .only("id", "payments", "borrower_id")
    )
    if len(loans) != len(amounts):
        raise PaymentRefused("A payment names a loan that is unknown or closed.", field="loan")
    clears_on = add_business_days(on, house.clearing_days, bank_holidays_around(on))
    Payment.objects.bulk_create(
        [
            Payment(
                loan_id=loan.pk,
                number=loan.payments + 1,
                amount=amounts[loan.pk],
                received_on=on,
                clears_on=clears_on,
            )
            for loan in loans
        ]
    )
    ids = [loan.pk for loan in loans]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_loan SET payments = payments + 1 WHERE id = ANY (%s)", [ids]
        )
    post(_received(loans, amounts, on, actor))
    return len(loans)


def _received(loans: Sequence[Loan], amounts: Mapping[int, int], on: date, actor: str) -> Posting:
    """From the bank through the borrowers' cash into their loans' clearing."""
    entries = [
        EntryDraft(
            EntryKind.PAYMENT_RECEIVED,
            f"payment/{loan.pk}/{loan.payments + 1}",
            on,
            actor,
            f"loan:{loan.pk}",
        )
        for loan in loans
    ]
    cash = account_ids(Kind.CASH, np.array([loan.borrower_id for loan in loans]))
    clearing = account_ids(Kind.CLEARING, np.array([loan.pk for loan in loans]))
    pence = np.array([amounts[loan.pk] for loan in loans], dtype=np.int64)
    every = np.arange(len(loans))
    bank = platform_accounts(Kind.CLIENT_BANK, [entry.key for entry in entries])
    legs = [
        Leg(every, debit=bank, credit=cash, amount=pence, book=Book.CASH),
        Leg(every, debit=cash, credit=clearing, amount=pence, book=Book.CASH),
    ]
    return posting(entries, legs)


def distribute_cleared(*, on: date, actor: str, cleared_by: date | None = None) -> int:
    """Spread every payment that has cleared by ``on`` over the parts of its loan, to the penny.

    Oldest instalment first, interest before principal. A payment that came before anything was
    due waits in the loan's clearing; of one that is more than what is due, the rest becomes the
    borrower's cash. The number of statements depends on how many payments of one loan wait, not
    on the number of loans or parts.

    Args:
        on: business date.
        actor: who asks.
        cleared_by: leave payments that cleared later where they are; ``on`` when not given.

    Returns:
        How many shares were written.
    """
    shares = 0
    while True:
        # One posting a transaction, last: two in one would lock accounts out of order.
        with transaction.atomic():
            lock_servicing()
            cleared = load_cleared(cleared_by or on)
            if not len(cleared.loan):
                return shares
            shares += _distribute_once(cleared, on, actor)


def _distribute_once(cleared: ClearedPayments, on: date, actor: str) -> int:
    instalments = load_open_instalments(cleared.loan)
    allocation = waterfall(instalments.open, cleared.amount)
    receipts = receipts_of(instalments.open, allocation, instalments.paid_pence_months)
    parts = load_parts(cleared.loan)
    shares = distribute(parts.book, receipts, fee_ppm=cleared.fee_ppm)
    _store_allocation(cleared, instalments, allocation, receipts.principal, receipts.interest, on)
    written = _store_shares(cleared, parts, shares)
    _close_or_cure(cleared.loan, on)
    post(_posting(cleared, parts, shares, receipts.principal, receipts.interest, on, actor))
    return written


def _store_allocation(
    cleared: ClearedPayments,
    instalments: LoanInstalments,
    allocation: Allocation,
    principal: IntArray,
    interest: IntArray,
    on: date,
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_instalment AS i SET interest_paid = i.interest_paid + n.interest,"
            " principal_paid = i.principal_paid + n.principal"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS n (id, interest, principal)"
            " WHERE i.id = n.id AND n.interest + n.principal > 0",
            [
                instalments.instalment.tolist(),
                allocation.interest.tolist(),
                allocation.principal.tolist(),
            ],
        )
        cursor.execute(
            "WITH n AS (SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[],"
            " %s::bigint[]) AS n (payment, loan, interest, principal)),"
            " spread AS (UPDATE marketplace_payment AS p SET distributed_on = %s,"
            " interest = n.interest, principal = n.principal FROM n WHERE p.id = n.payment)"
            " UPDATE marketplace_loan AS l SET interest_paid = l.interest_paid + n.interest,"
            " principal_paid = l.principal_paid + n.principal FROM n WHERE l.id = n.loan",
            [
                cleared.payment.tolist(),
                cleared.loan.tolist(),
                interest.tolist(),
                principal.tolist(),
                on,
            ],
        )


def _store_shares(cleared: ClearedPayments, parts: LoanParts, shares: Distribution) -> int:
    """Write the shares that are not nothing; the database moves the parts' running totals."""
    got = np.flatnonzero(shares.principal + shares.interest)
    payment = np.repeat(cleared.payment, np.diff(parts.book.offsets))
    return copy_rows(
        connection,
        "marketplace_distribution",
        {
            "payment_id": payment[got],
            "part_id": parts.book.part_id[got],
            "principal": shares.principal[got],
            "interest": shares.interest[got],
            "fee": shares.fee[got],
        },
    )


def _posting(
    cleared: ClearedPayments,
    parts: LoanParts,
    shares: Distribution,
    principal: IntArray,
    interest: IntArray,
    on: date,
    actor: str,
) -> Posting:
    """One entry a payment: one net transfer a part, one fee transfer a loan, and the claims."""
    named = zip(cleared.loan.tolist(), cleared.number.tolist(), strict=True)
    what = EntryKind.PAYMENT_DISTRIBUTED
    entries = [
        EntryDraft(what, f"distribution/{loan}/{number}", on, actor, f"loan:{loan}")
        for loan, number in named
    ]
    keys = [entry.key for entry in entries]
    every = np.arange(len(cleared.loan))
    entry_of_part = np.repeat(every, np.diff(parts.book.offsets))
    net = shares.principal + shares.interest - shares.fee
    paid = np.flatnonzero(net)
    clearing = account_ids(Kind.CLEARING, cleared.loan)
    held = platform_accounts(Kind.CLAIMS_HELD, keys)
    legs = [
        Leg(
            entry_of_part[paid],
            debit=clearing[entry_of_part[paid]],
            credit=account_ids(Kind.CASH, parts.lender[paid]),
            amount=net[paid],
            book=Book.CASH,
        ),
        Leg(
            every,
            debit=clearing,
            credit=platform_accounts(Kind.FEES, keys),
            amount=segment_sums(shares.fee, parts.book.offsets),
            book=Book.CASH,
        ),
        Leg(
            every,
            debit=clearing,
            credit=account_ids(Kind.CASH, cleared.borrower),
            amount=cleared.amount - principal - interest,
            book=Book.CASH,
        ),
    ]
    for kind, amount in ((Kind.PRINCIPAL_OWED, principal), (Kind.INTEREST_DUE, interest)):
        owed = account_ids(kind, cleared.loan)
        legs.append(Leg(every, debit=held, credit=owed, amount=amount, book=Book.CLAIMS))
    return posting(entries, legs)


_PAID_UP = {
    LoanState.ACTIVE: (LoanState.REPAID, "All instalments are paid."),
    LoanState.ARREARS: (LoanState.REPAID, "All instalments are paid."),
    LoanState.DEFAULT: (LoanState.RECOVERED, "All that was owed has been recovered."),
}


def _close_or_cure(loan_ids: IntArray, on: date) -> None:
    """Loans with nothing left to pay are repaid, or recovered if they were in default.

    Those in arrears that have caught up are active again.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id, l.state, l.principal_paid = l.amount FROM marketplace_loan AS l"
            " WHERE l.id = ANY (%s) AND l.state = ANY (%s) AND NOT EXISTS ("
            " SELECT FROM marketplace_instalment AS i WHERE i.loan_id = l.id AND i.due_on < %s"
            " AND i.interest_due IS NOT NULL"
            " AND (i.interest_paid < i.interest_due OR i.principal_paid < i.principal_due))"
            " AND (l.principal_paid = l.amount OR l.state = %s) ORDER BY l.id",
            [
                loan_ids.tolist(),
                [state.value for state in _PAID_UP],
                on,
                LoanState.ARREARS.value,
            ],
        )
        rows = cursor.fetchall()
    cured = (LoanState.ACTIVE, "Everything overdue has been paid.")
    moves = []
    for loan, state, paid_up in rows:
        before = LoanState(state)
        after, reason = _PAID_UP[before] if paid_up else cured
        moves.append(LoanMoved(loan, before, after, reason))
    move_loans(moves=moves, on=on)
