"""The states of everything in the market, and the one table of a loan's allowed moves."""

from __future__ import annotations

from enum import StrEnum

from marketplace.core.errors import MarketplaceRefusal


class ApplicationState(StrEnum):
    """An application's life up to the loan."""

    APPLIED = "applied"
    DECLINED = "declined"
    REFERRED = "referred"
    QUOTED = "quoted"
    LISTED = "listed"
    FUNDED = "funded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class ListingState(StrEnum):
    """A listing's life."""

    OPEN = "open"
    FUNDED = "funded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class OfferState(StrEnum):
    """An offer's life; one whose money is all matched stays open."""

    OPEN = "open"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class CycleState(StrEnum):
    """A matching cycle's life."""

    RUNNING = "running"
    DONE = "done"


class LoanState(StrEnum):
    """A loan's life, from the funded listing on."""

    FUNDED = "funded"
    CANCELLED = "cancelled"
    ACTIVE = "active"
    ARREARS = "arrears"
    ARRANGEMENT = "arrangement"
    HARDSHIP = "hardship"
    DEFAULT = "default"
    REPAID = "repaid"
    RESCINDED = "rescinded"
    SETTLED = "settled"
    WRITTEN_OFF = "written_off"
    RECOVERED = "recovered"


# A borrower with a loan in these states is lent nothing more.
LATE = (
    LoanState.ARREARS,
    LoanState.ARRANGEMENT,
    LoanState.HARDSHIP,
    LoanState.DEFAULT,
    LoanState.WRITTEN_OFF,
)

# Instalments go on falling due in these states, by the contract.
SCHEDULED = (LoanState.ACTIVE, LoanState.ARREARS, LoanState.ARRANGEMENT, LoanState.HARDSHIP)

# Loans in these states take payments.
PAYABLE = (*SCHEDULED, LoanState.DEFAULT, LoanState.WRITTEN_OFF)

# What is still owed on loans in these states is counted as lost, whatever may be recovered later.
LOST = (LoanState.DEFAULT, LoanState.WRITTEN_OFF, LoanState.SETTLED, LoanState.RECOVERED)

_S = LoanState

LOAN_MOVES: dict[LoanState, frozenset[LoanState]] = {
    _S.FUNDED: frozenset({_S.ACTIVE, _S.CANCELLED}),
    _S.ACTIVE: frozenset({_S.ARREARS, _S.HARDSHIP, _S.DEFAULT, _S.REPAID, _S.RESCINDED}),
    # Who has rescinded and pays late goes through these states too.
    _S.ARREARS: frozenset(
        {_S.ACTIVE, _S.ARRANGEMENT, _S.HARDSHIP, _S.DEFAULT, _S.SETTLED, _S.REPAID, _S.RESCINDED}
    ),
    _S.ARRANGEMENT: frozenset(
        {_S.ACTIVE, _S.ARREARS, _S.HARDSHIP, _S.DEFAULT, _S.SETTLED, _S.REPAID, _S.RESCINDED}
    ),
    _S.HARDSHIP: frozenset(
        {_S.ACTIVE, _S.ARREARS, _S.ARRANGEMENT, _S.DEFAULT, _S.SETTLED, _S.REPAID, _S.RESCINDED}
    ),
    _S.DEFAULT: frozenset({_S.SETTLED, _S.WRITTEN_OFF, _S.RECOVERED}),
    _S.WRITTEN_OFF: frozenset({_S.SETTLED, _S.RECOVERED}),
    _S.CANCELLED: frozenset(),
    _S.REPAID: frozenset(),
    _S.RESCINDED: frozenset(),
    _S.SETTLED: frozenset(),
    _S.RECOVERED: frozenset(),
}


class MoveRefused(MarketplaceRefusal):
    """A move that the table of allowed moves doesn't have."""

    code = "MOVE_REFUSED"


def require_move(before: LoanState, after: LoanState) -> None:
    """Refuse a change of a loan's state that is not in :data:`LOAN_MOVES`.

    Raises:
        MoveRefused: names the state and what is allowed from it.
    """
    allowed = LOAN_MOVES[before]
    if after not in allowed:
        choices = ", ".join(sorted(allowed)) or "nothing: this is an end"
        raise MoveRefused(f"A loan that is {before} can't become {after}; allowed: {choices}.")
