"""Paying funded loans out: the lenders' matched money becomes the borrower's cash, less the fee.

Of the fee, the provision fund's contribution goes to the fund, the rest to Tenner.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.bulk import copy_rows
from accounts.services.idempotency import once
from accounts.services.posting import post
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.schedule import (
    Schedule,
    contract_schedules,
    due_date,
    following_business_day,
)
from marketplace.core.states import LoanState
from marketplace.models import Loan
from marketplace.selectors.servicing import LoanParts, load_parts
from marketplace.services.calendar import bank_holidays_around
from marketplace.services.locks import lock_loans, lock_servicing
from marketplace.services.moves import LoanMoved, move_loans


class LoanUnknown(MarketplaceRefusal):
    """A loan that does not exist, or is not in the state that this needs."""

    code = "LOAN_UNKNOWN"


class NotAccepted(MarketplaceRefusal):
    """A loan whose borrower has not accepted its terms."""

    code = "NOT_ACCEPTED"


def pay_out(*, loan_ids: Sequence[int], on: date, actor: str, key: str) -> int:
    """Pay out funded loans whose borrowers have accepted their terms, and fix their schedules.

    A fixed number of statements, whatever the number of loans and parts.

    Returns:
        Pence that reached the borrowers, the arrangement fees taken off.

    Raises:
        LoanUnknown: one of them is not a funded loan.
        NotAccepted: one of them is not accepted by its borrower.
        IdempotencyConflict: the key was used for other loans.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="pay_out",
            key=key,
            content={"on": on, "loans": sorted(loan_ids)},
            action=lambda: _pay_out(loan_ids, on, actor),
        )
    return int(answer["paid"])


def _pay_out(loan_ids: Sequence[int], on: date, actor: str) -> dict[str, Any]:
    lock_servicing()
    lock_loans(sorted(set(loan_ids)))
    loans = list(Loan.objects.filter(pk__in=loan_ids, state=LoanState.FUNDED).order_by("pk"))
    if len(loans) != len(set(loan_ids)) or not loans:
        raise LoanUnknown("Only funded loans can be paid out.", field="loan")
    waiting = [loan.pk for loan in loans if loan.accepted_on is None]
    if waiting:
        raise NotAccepted(
            f"The borrower of loan {waiting[0]} has not accepted its terms yet; only accepted "
            "loans are paid out.",
            field="loan",
        )
    parts = load_parts(np.array([loan.pk for loan in loans], dtype=np.int64))
    schedules = contract_schedules(
        parts.book.units,
        parts.book.monthly_e12,
        parts.book.offsets,
        [loan.term_months for loan in loans],
    )
    _store_instalments(loans, schedules, on)
    move_loans(
        moves=[
            LoanMoved(loan.pk, LoanState.FUNDED, LoanState.ACTIVE, "Paid out to the borrower.")
            for loan in loans
        ],
        on=on,
    )
    _post_pay_out(loans, parts, on, actor)
    return {"paid": sum(loan.amount - loan.arrangement_fee for loan in loans)}


def _store_instalments(loans: Sequence[Loan], schedules: Sequence[Schedule], on: date) -> None:
    """Write every instalment; one due on a day without banking is due on the next one."""
    closed = bank_holidays_around(on, max(loan.term_months for loan in loans) // 12 + 1)
    longest = max(loan.term_months for loan in loans)
    nominal = [due_date(on, number) for number in range(1, longest + 1)]
    days = np.array([following_business_day(day, closed) for day in nominal], "datetime64[D]")
    named = np.array([on, *nominal], dtype="datetime64[D]")
    length = np.diff(named).astype(np.int16)
    terms = np.array([loan.term_months for loan in loans], dtype=np.int64)
    number = np.concatenate([np.arange(1, term + 1) for term in terms])
    copy_rows(
        connection,
        "marketplace_instalment",
        {
            "loan_id": np.repeat(np.array([loan.pk for loan in loans], dtype=np.int64), terms),
            "number": number.astype(np.int16),
            "nominal_on": named[number],
            "due_on": days[number - 1],
            # A period is a month, however many days it has.
            "period_days": length[number - 1],
            "month_days": length[number - 1],
            "principal_due": np.concatenate([s.principal for s in schedules]),
            "interest_planned": np.concatenate([s.interest for s in schedules]),
        },
    )


def _post_pay_out(loans: Sequence[Loan], parts: LoanParts, on: date, actor: str) -> None:
    """Matched money through the loan's clearing to borrower and fees, and the claim booked."""
    count = len(loans)
    every = np.arange(count)
    amount = np.array([loan.amount for loan in loans], dtype=np.int64)
    fee = np.array([loan.arrangement_fee for loan in loans], dtype=np.int64)
    covered = np.array([loan.contribution for loan in loans], dtype=np.int64)
    borrowers = np.array([loan.borrower_id for loan in loans], dtype=np.int64)
    clearing = account_ids(Kind.CLEARING, parts.loan)
    place = np.repeat(every, np.diff(parts.book.offsets))
    entries = [
        EntryDraft(EntryKind.PAID_OUT, f"pay-out/{loan.pk}", on, actor, f"loan:{loan.pk}")
        for loan in loans
    ]
    keys = [entry.key for entry in entries]
    legs = [
        Leg(
            place,
            debit=account_ids(Kind.MATCHED, parts.lender),
            credit=clearing[place],
            amount=parts.book.size,
            book=Book.CASH,
        ),
        Leg(every, clearing, account_ids(Kind.CASH, borrowers), amount - fee, Book.CASH),
        Leg(every, clearing, platform_accounts(Kind.FEES, keys), fee - covered, Book.CASH),
        Leg(every, clearing, platform_accounts(Kind.PROVISION_FUND, keys), covered, Book.CASH),
        Leg(
            every,
            debit=account_ids(Kind.PRINCIPAL_OWED, parts.loan),
            credit=platform_accounts(Kind.CLAIMS_HELD, keys),
            amount=amount,
            book=Book.CLAIMS,
        ),
    ]
    post(posting(entries, legs))
