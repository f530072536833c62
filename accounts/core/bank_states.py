"""The states of everything about the bank, and the tables of their allowed moves."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from accounts.core.errors import AccountsRefusal


class OurAccount(StrEnum):
    """Our bank accounts: other people's money, our own, and the provision fund's."""

    CLIENT = "client"
    OWN = "own"
    FUND = "fund"


class FileFormat(StrEnum):
    """Formats of bank files that are read."""

    CAMT053 = "camt053"
    CSV = "csv"


class FileState(StrEnum):
    """What became of a bank file; a refused one may be given again, and be posted then."""

    POSTED = "posted"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class LineOutcome(StrEnum):
    """What a bank line turned out to be."""

    DEPOSIT = "deposit"
    SUSPENSE = "suspense"
    WITHDRAWAL_CONFIRMED = "withdrawal_confirmed"
    WITHDRAWAL_RETURNED = "withdrawal_returned"
    DEPOSIT_REVERSED = "deposit_reversed"
    RETURN_CONFIRMED = "return_confirmed"
    RETURN_BOUNCED = "return_bounced"
    SWEEP_CONFIRMED = "sweep_confirmed"
    SWEEP_RETURNED = "sweep_returned"
    MOVED = "moved"
    COLLECTED = "collected"
    COLLECTION_UNPAID = "collection_unpaid"
    UNEXPLAINED = "unexplained"


class SuspenseState(StrEnum):
    """What became of money that nobody could be found for."""

    OPEN = "open"
    ASSIGNED = "assigned"
    RETURNING = "returning"
    RETURNED = "returned"


class DetailsState(StrEnum):
    """What became of a member's bank details."""

    PENDING = "pending"
    VERIFIED = "verified"
    REFUSED = "refused"
    REPLACED = "replaced"


class PaymentKind(StrEnum):
    """Why money goes out: to a member, back where it came from, or fees to our own account."""

    WITHDRAWAL = "withdrawal"
    RETURN = "return"
    SWEEP = "sweep"


class PaymentState(StrEnum):
    """An outgoing payment's life."""

    REQUESTED = "requested"
    CANCELLED = "cancelled"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    RETURNED = "returned"


PAYMENT_MOVES: Mapping[PaymentState, frozenset[PaymentState]] = {
    PaymentState.REQUESTED: frozenset({PaymentState.CANCELLED, PaymentState.SENT}),
    PaymentState.CANCELLED: frozenset(),
    PaymentState.SENT: frozenset({PaymentState.CONFIRMED, PaymentState.REJECTED}),
    PaymentState.CONFIRMED: frozenset({PaymentState.RETURNED}),
    PaymentState.REJECTED: frozenset(),
    PaymentState.RETURNED: frozenset(),
}
SUSPENSE_MOVES: Mapping[SuspenseState, frozenset[SuspenseState]] = {
    # Returned at once: the bank itself took the money back.
    SuspenseState.OPEN: frozenset(
        {SuspenseState.ASSIGNED, SuspenseState.RETURNING, SuspenseState.RETURNED}
    ),
    SuspenseState.ASSIGNED: frozenset(),
    SuspenseState.RETURNING: frozenset({SuspenseState.RETURNED, SuspenseState.OPEN}),
    # Open again: what was sent back came back to us.
    SuspenseState.RETURNED: frozenset({SuspenseState.OPEN}),
}
DETAILS_MOVES: Mapping[DetailsState, frozenset[DetailsState]] = {
    DetailsState.PENDING: frozenset(
        {DetailsState.VERIFIED, DetailsState.REFUSED, DetailsState.REPLACED}
    ),
    DetailsState.VERIFIED: frozenset({DetailsState.REFUSED, DetailsState.REPLACED}),
    DetailsState.REFUSED: frozenset(),
    DetailsState.REPLACED: frozenset(),
}
CURRENT_DETAILS = (DetailsState.PENDING, DetailsState.VERIFIED)
IN_SUSPENSE = (SuspenseState.OPEN, SuspenseState.RETURNING)
UNDER_WAY = (PaymentState.REQUESTED, PaymentState.SENT)


class BankMoveRefused(AccountsRefusal):
    """Something about the bank that isn't in a state in which this can be done."""

    code = "BANK_MOVE_REFUSED"


def check_payment_move(old: PaymentState, new: PaymentState) -> None:
    """Check a payment's move.

    Raises:
        BankMoveRefused: a move that isn't in the table.
    """
    if new not in PAYMENT_MOVES[old]:
        raise BankMoveRefused(f"This payment is {old}: it can't be {new} any more.")


def check_suspense_move(old: SuspenseState, new: SuspenseState) -> None:
    """Check a suspense item's move.

    Raises:
        BankMoveRefused: a move that isn't in the table.
    """
    if new not in SUSPENSE_MOVES[old]:
        raise BankMoveRefused(f"This money is {old}: it can't be {new}.")


def check_details_move(old: DetailsState, new: DetailsState) -> None:
    """Check a move of bank details.

    Raises:
        BankMoveRefused: a move that isn't in the table.
    """
    if new not in DETAILS_MOVES[old]:
        raise BankMoveRefused(f"These bank details are {old}: they can't be {new}.")
