"""What can't be done with a loan: a refusal for each kind, naming the state and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.states import LoanState


class LoanActionRefused(MarketplaceRefusal):
    """Something that can't be done with a loan: names its state, and the states that allow it."""

    code = "LOAN_ACTION_REFUSED"

    def __init__(
        self,
        message: str,
        *,
        state: LoanState | None = None,
        allowed: Sequence[LoanState] = (),
        field: str | None = None,
    ) -> None:
        super().__init__(message, field=field)
        self.state = state
        self.allowed = tuple(allowed)


class PaymentRefused(LoanActionRefused):
    """A payment that can't be taken: of nothing, of too much, dated tomorrow, for a closed loan."""

    code = "PAYMENT_REFUSED"


class SettlementRefused(LoanActionRefused):
    """A loan that can't be settled early."""

    code = "SETTLEMENT_REFUSED"


class HolidayRefused(LoanActionRefused):
    """A payment holiday that can't be had: in arrears, too long, or too soon after another."""

    code = "HOLIDAY_REFUSED"


class DueDayRefused(LoanActionRefused):
    """A due day that can't be had."""

    code = "DUE_DAY_REFUSED"


class ArrangementRefused(LoanActionRefused):
    """An arrangement to pay that can't be made."""

    code = "ARRANGEMENT_REFUSED"


class HardshipRefused(LoanActionRefused):
    """Hardship that can't be granted."""

    code = "HARDSHIP_REFUSED"


class DefaultRefused(LoanActionRefused):
    """A loan that can't be put in default."""

    code = "DEFAULT_REFUSED"


class WriteOffRefused(LoanActionRefused):
    """A loan that can't be written off."""

    code = "WRITE_OFF_REFUSED"


class SettledShortRefused(LoanActionRefused):
    """A settlement for less than is owed that can't be made."""

    code = "SETTLED_SHORT_REFUSED"


class RescissionRefused(LoanActionRefused):
    """A loan that can't be rescinded any more."""

    code = "RESCISSION_REFUSED"
