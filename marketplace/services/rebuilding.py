"""Rebuilding loans: whatever is rare is written down, the life replayed, the differences posted.

What a loan owes and who has received what is a pure function of its contract, its payments and its
events. So a payment that bounced, one with a past date, or an event entered or taken back is put
right by replaying the life and posting where it differs from what is stored: one entry a loan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from accounts.core.posting import EntryDraft, EntryKind
from accounts.selectors.bank_matching import last_closed_date
from accounts.services.transactions import require_transaction
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.life_records import DayStage
from marketplace.core.loan_events import DistributionKind, LoanEventKind
from marketplace.core.states import LoanState
from marketplace.selectors.stored_lives import (
    StoredLife,
    day_stage,
    last_recorded,
    load_lives,
    position_of,
    replay,
    stage_of,
)
from marketplace.services.loan_changes import book_changes
from marketplace.services.loan_money import EntryMoves, post_moves
from marketplace.services.loan_storing import Rewriting, store_lives
from marketplace.services.locks import lock_loans


class RebuildRefused(MarketplaceRefusal):
    """A loan that has no life to replay: unknown, or not paid out."""

    code = "REBUILD_REFUSED"


@dataclass(frozen=True)
class Cause:
    """Why a loan is rebuilt; the rows are written, or taken back, before.

    Attributes:
        loan_id: which loan.
        added: numbers of payments and events just written, whose money is not in the ledger yet.
        undone: numbers of payments that have just bounced, and of events just taken back.
    """

    loan_id: int
    added: frozenset[int] = frozenset()
    undone: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Rebuilt:
    """What rebuilding a loan did, in pence.

    Attributes:
        loan_id: which loan.
        before, after: its states.
        changed: whether anything stored or booked has changed.
        to_lenders, from_lenders: what lenders got and what they gave back, by lender.
        to_borrower: what was given back to the borrower, less what was taken back.
        advanced: what Tenner advanced for those whose cash didn't go far enough: their debts.
    """

    loan_id: int
    before: LoanState
    after: LoanState
    changed: bool
    to_lenders: int
    from_lenders: int
    to_borrower: int
    advanced: int


def rebuild_loans(
    *,
    causes: Sequence[Cause],
    on: date,
    actor: str,
    kind: EntryKind,
    reason: str,
    house: House = HOUSE,
) -> list[Rebuilt]:
    """Make loans what their lives say, and post the differences: one entry a loan.

    It brings them up to ``on`` by itself, and posts: call it last in the transaction in which the
    payments and events were written. A fixed number of statements, whatever the loans and parts.

    Args:
        causes: which loans, and what is new about them; one a loan.
        on: the business date on which the differences are booked.
        actor: who caused it.
        kind: of the entries.
        reason: why, for the record of moves.
        house: the house's rules.

    Returns:
        What it did, by loan; ``changed`` is false where a loan was already what its life says.

    Raises:
        RebuildRefused: a loan that is unknown, not paid out or named twice, or a business date
            before what is recorded of it.
        NotEnoughMoney: a payment from cash that is not there.
        MarketplaceRefusal: see :func:`marketplace.core.life.live`.
    """
    require_transaction()
    by_loan = {cause.loan_id: cause for cause in causes}
    if len(by_loan) != len(causes):
        raise RebuildRefused("A loan is named twice.", field="loan")
    lock_loans(sorted(by_loan))
    lives = load_lives(by_loan)
    if len(lives) != len(by_loan):
        raise RebuildRefused("Only loans that are paid out can be rebuilt.", field="loan")
    for stored in lives:
        if on < (last := last_recorded(stored)):
            raise RebuildRefused(
                f"Loan {stored.loan.pk} has records of {last}: nothing can be booked on {on}.",
                field="on",
            )
    closed = day_stage(on)
    rewritings = [
        _rewriting(stored, by_loan[stored.loan.pk], on, stage_of(stored, on, closed), house)
        for stored in lives
    ]
    store_lives(rewritings, on=on, actor=actor, reason=reason)
    open_after = last_closed_date()
    booked = [
        book_changes(each, cause.added, cause.undone, draft_of(kind, cause, on, actor), open_after)
        for each, cause in ((each, by_loan[each.stored.loan.pk]) for each in rewritings)
    ]
    advanced = post_moves([entry for entries in booked for entry in entries]).by_loan
    return [
        _result(each, entries, advanced.get(each.stored.loan.pk, 0))
        for each, entries in zip(rewritings, booked, strict=True)
    ]


def draft_of(kind: EntryKind, cause: Cause, on: date, actor: str) -> EntryDraft:
    """The entry of a rebuild: its key says what of the loan's list caused it, which is once."""
    added, undone = (min(numbers, default=0) for numbers in (cause.added, cause.undone))
    what = f"undone/{undone}" if undone else f"{added}"
    loan = cause.loan_id
    return EntryDraft(kind, f"{kind}/{loan}/{what}", on, actor, f"loan:{loan}")


def _rewriting(
    stored: StoredLife, cause: Cause, on: date, through: DayStage, house: House
) -> Rewriting:
    life = replay(stored, on, through=through, house=house)
    bounced = [row.number for row in stored.payments if row.bounced_on is not None]
    fund_paid = any(
        row.kind == LoanEventKind.FUND_PAYMENT and row.number in cause.added
        for row in stored.events
    )
    return Rewriting(
        stored,
        life,
        stored.position,
        position_of(life, bounced),
        DistributionKind.FUND if fund_paid else DistributionKind.CORRECTION,
    )


def _result(each: Rewriting, entries: Sequence[EntryMoves], advanced: int) -> Rebuilt:
    borrower = each.stored.loan.borrower_id
    got = [item for entry in entries for item in entry.gives.items()]
    gave = [item for entry in entries for item in entry.takes.items()]
    return Rebuilt(
        loan_id=each.stored.loan.pk,
        before=LoanState(each.stored.loan.state),
        after=each.life.state,
        changed=each.changes or any(entry.moves_money for entry in entries),
        to_lenders=sum(pence for member, pence in got if member != borrower),
        from_lenders=sum(pence for member, pence in gave if member != borrower),
        to_borrower=sum(pence for member, pence in got if member == borrower)
        - sum(pence for member, pence in gave if member == borrower),
        advanced=advanced,
    )
