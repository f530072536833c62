"""Spreading what has cleared over the parts of its loans, to the penny.

Working out the shares and writing them are two steps, so that several workers can do the first, for
some loans each, and one does the second. A draft knows the state in which it found each loan; a
loan that has changed since is left out, and taken up again by the next pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, Posting, posting
from accounts.selectors.bulk import array_of, fetch_columns
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.bulk import Packed, copy_rows
from accounts.services.posting import post
from accounts.services.transactions import require_transaction
from marketplace.core.arrays import BoolArray, IntArray, segment_sums
from marketplace.core.loan_events import DistributionKind
from marketplace.selectors.servicing import loans_to_spread
from marketplace.services.closing_loans import close_or_cure
from marketplace.services.distribution_drafts import DistributionDraft, draft_distribution
from marketplace.services.locks import lock_loans, lock_servicing


def distribute_cleared(*, on: date, actor: str) -> int:
    """Spread every payment that is allocated and has cleared by ``on`` over the parts of its loan.

    Of each, what repays nothing becomes the borrower's cash; the provision fund gets the share of
    what it owns. One pass, one posting, a fixed number of statements; what changes meanwhile is
    left to the next call.

    Args:
        on: business date.
        actor: who asks.

    Returns:
        How many shares were written: parts that got something.
    """
    with transaction.atomic():
        lock_servicing()
        loans = loans_to_spread(on)
        if not len(loans):
            return 0
        lock_loans(loans)
        draft = compute_distribution(on=on, loan_ids=loans)
        return write_distribution(draft=draft, on=on, actor=actor).shares


def compute_distribution(*, on: date, loan_ids: IntArray | None = None) -> DistributionDraft:
    """Work out the shares of what has cleared by ``on``; reads only, five statements at most.

    Args:
        on: business date.
        loan_ids: of which loans (sorted); all without it.

    Raises:
        SpreadRefused: running totals that the rule can't have left.
    """
    return draft_distribution(on, loans_to_spread(on) if loan_ids is None else loan_ids)


@dataclass(frozen=True)
class Written:
    """What was spread.

    Attributes:
        loans, payments: how many.
        shares: parts that got something, payment by payment.
        stale: loans of the draft that had changed, and were left out.
    """

    loans: int
    payments: int
    shares: int
    stale: int


def write_distribution(*, draft: DistributionDraft, on: date, actor: str) -> Written:
    """Write what was worked out, and post it, last; a fixed number of statements.

    Loans that have changed since the draft are left out.

    Raises:
        RuntimeError: no transaction is open.
    """
    require_transaction()
    lock_servicing()
    lock_loans(draft.loan)
    fresh = _unchanged(draft)
    stale = int((~fresh).sum())
    sound = draft if stale == 0 else draft.only(fresh)
    if not len(sound.payment):
        return Written(0, 0, 0, stale)
    _mark(sound, on)
    _store(sound, on)
    close_or_cure(loan_ids=sound.loan, on=on)
    post(_posting(sound, on, actor))
    shares = int(np.count_nonzero(sound.net))
    return Written(len(sound.loan), len(sound.payment), shares, stale)


def _unchanged(draft: DistributionDraft) -> BoolArray:
    """Which loans of a draft are as it found them, ``[L]``; one statement."""
    loan, distributions, events, version, waiting = fetch_columns(
        "SELECT l.id, l.distributions::bigint, l.events::bigint, l.xmin::text::bigint,"
        " coalesce(w.payments, 0) FROM marketplace_loan AS l LEFT JOIN (SELECT loan_id,"
        " count(*) AS payments FROM marketplace_payment WHERE id = ANY (%s::bigint[])"
        " AND distributed_on IS NULL AND bounced_on IS NULL GROUP BY loan_id) AS w"
        " ON w.loan_id = l.id WHERE l.id = ANY (%s::bigint[]) ORDER BY l.id",
        [array_of(draft.payment), array_of(draft.loan)],
        5,
    )
    place = np.searchsorted(loan, draft.loan)
    fresh: BoolArray = distributions[place] == draft.distributions
    fresh &= (events[place] == draft.events) & (version[place] == draft.version)
    fresh &= waiting[place] == np.bincount(draft.loan_of, minlength=len(draft.loan))
    return fresh


def _mark(draft: DistributionDraft, on: date) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_payment SET distributed_on = %s WHERE id = ANY (%s::bigint[])",
            [on, array_of(draft.payment)],
        )


def _store(draft: DistributionDraft, on: date) -> None:
    """Write the running totals; the database checks them, and moves the loans' last numbers."""
    rows = draft.row_payment
    if not len(rows):
        return
    counts = len(rows)
    kind = DistributionKind.PAYMENT.value.encode()
    copy_rows(
        connection,
        "marketplace_distribution",
        {
            "loan_id": draft.loan[draft.loan_of[rows]],
            "number": draft.row_number.astype(np.int32),
            "payment_id": draft.payment[rows],
            "kind": np.full(counts, kind, dtype=f"V{len(kind)}"),
            "spread_on": np.full(counts, on, dtype="datetime64[D]"),
            "principal_total": segment_sums(draft.principal, draft.row_offsets),
            "interest_total": segment_sums(draft.interest, draft.row_offsets),
            "fee_total": segment_sums(draft.fee, draft.row_offsets),
            "principal": Packed(draft.principal, draft.row_offsets),
            "interest": Packed(draft.interest, draft.row_offsets),
            "fee": Packed(draft.fee, draft.row_offsets),
        },
    )


def _posting(draft: DistributionDraft, on: date, actor: str) -> Posting:
    """One entry a payment: one net transfer a part, one fee transfer a loan, and what is left.

    It is named by the payment and the loan's last distribution: a correction may take a payment
    back, with a distribution of its own, and the payment is spread again on the same day.
    """
    loan = draft.loan[draft.loan_of]
    entries = [
        EntryDraft(
            EntryKind.PAYMENT_DISTRIBUTED,
            f"distribution/{loan_id}/{number}/{last}",
            on,
            actor,
            f"loan:{loan_id}",
        )
        for loan_id, number, last in zip(
            loan.tolist(), draft.number.tolist(), draft.last_distribution.tolist(), strict=True
        )
    ]
    keys = [entry.key for entry in entries]
    every = np.arange(len(entries))
    clearing = account_ids(Kind.CLEARING, draft.loan)[draft.loan_of]
    paid = np.flatnonzero(draft.net)
    entry = np.repeat(draft.row_payment, np.diff(draft.row_offsets))[paid]
    kept = draft.cost.copy()
    kept[draft.row_payment] += draft.row_fee
    legs = [Leg(entry, clearing[entry], draft.cash[paid], draft.net[paid], Book.CASH)]
    for credit, amount in (
        (platform_accounts(Kind.FEES, keys), kept),
        (platform_accounts(Kind.PROVISION_FUND, keys), draft.to_fund),
        (account_ids(Kind.CASH, draft.borrower), draft.returned),
    ):
        legs.append(Leg(every, clearing, credit, amount, Book.CASH))
    return posting(entries, legs)
