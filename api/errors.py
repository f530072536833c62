"""The one place where what was refused below becomes what a client is told.

Both faces use it: GraphQL puts code, field and message into ``errors``, REST into the body.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from django.db.utils import DataError

from accounts.core.errors import AccountsRefusal
from marketplace.core.errors import MarketplaceRefusal, NotEnoughOffers
from risk.core.errors import RiskRefusal

logger = logging.getLogger(__name__)


class FaceRefusal(Exception):
    """Root of what the faces themselves refuse; shaped like the refusals of the rooms below."""

    code: ClassVar[str] = "REFUSED"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class Unauthenticated(FaceRefusal):
    """Nobody is signed in."""

    code = "UNAUTHENTICATED"


class Forbidden(FaceRefusal):
    """Who is signed in may not do or see this."""

    code = "FORBIDDEN"


class NotFound(FaceRefusal):
    """There is no such thing, or it is somebody else's: the answer is the same."""

    code = "NOT_FOUND"


class InputRefused(FaceRefusal):
    """Input that can't be read."""

    code = "INPUT_REFUSED"


@dataclass(frozen=True)
class Told:
    """What a client is told of a refusal.

    Attributes:
        code: stable, to be matched by programs.
        message: a sentence for a person.
        field: the input that was refused, when there is one.
        status: HTTP status where the face is REST.
        fundable: pence that the order book could fund, for ``NOT_ENOUGH_OFFERS``.
    """

    code: str
    message: str
    field: str | None = None
    status: int = HTTPStatus.BAD_REQUEST
    fundable: int | None = None


# Whatever is not named here is the client's input: 400.
_STATUS = {
    "UNAUTHENTICATED": HTTPStatus.FORBIDDEN,
    "FORBIDDEN": HTTPStatus.FORBIDDEN,
    "RISK_SELF_APPROVAL": HTTPStatus.FORBIDDEN,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "RISK_NOT_FOUND": HTTPStatus.NOT_FOUND,
    "MARKET_UNKNOWN": HTTPStatus.NOT_FOUND,
    "OFFER_UNKNOWN": HTTPStatus.NOT_FOUND,
    "LOAN_UNKNOWN": HTTPStatus.NOT_FOUND,
    "PAYMENT_UNKNOWN": HTTPStatus.NOT_FOUND,
    "BANK_DETAILS_UNKNOWN": HTTPStatus.NOT_FOUND,
    "SUSPENSE_UNKNOWN": HTTPStatus.NOT_FOUND,
    "BREAK_UNKNOWN": HTTPStatus.NOT_FOUND,
    "BREAK_NOT_OPEN": HTTPStatus.CONFLICT,
    "RECONCILIATION_DATE_REFUSED": HTTPStatus.CONFLICT,
    "MEMBER_UNKNOWN": HTTPStatus.NOT_FOUND,
    "BANK_DETAILS_SELF_VERIFICATION": HTTPStatus.FORBIDDEN,
    "BANK_MOVE_REFUSED": HTTPStatus.CONFLICT,
    "BANK_STATEMENT_CONFLICT": HTTPStatus.CONFLICT,
    "BANK_LINE_CONFLICT": HTTPStatus.CONFLICT,
    "BANK_STATEMENT_GAP": HTTPStatus.CONFLICT,
    "NO_VERIFIED_ACCOUNT": HTTPStatus.CONFLICT,
    "BANK_DETAILS_COOLING_OFF": HTTPStatus.CONFLICT,
    "DEBT_OWED": HTTPStatus.CONFLICT,
    "NO_MANDATE": HTTPStatus.CONFLICT,
    "COLLECTION_UNKNOWN": HTTPStatus.NOT_FOUND,
    "COLLECTION_MOVE_REFUSED": HTTPStatus.CONFLICT,
    "NOTHING_TO_COLLECT": HTTPStatus.CONFLICT,
    "NOTHING_TO_PAY": HTTPStatus.CONFLICT,
    "NOTHING_TO_SWEEP": HTTPStatus.CONFLICT,
    "SWEEP_UNDER_WAY": HTTPStatus.CONFLICT,
    "IDEMPOTENCY_CONFLICT": HTTPStatus.CONFLICT,
    "MOVE_REFUSED": HTTPStatus.CONFLICT,
    "NOT_ACCEPTED": HTTPStatus.CONFLICT,
    "FUND_TOO_SMALL": HTTPStatus.CONFLICT,
    "RECOVERY_REFUSED": HTTPStatus.CONFLICT,
    "FIGURE_CHANGED": HTTPStatus.CONFLICT,
    "LOAN_NOT_PAID_OUT": HTTPStatus.CONFLICT,
    "LOAN_PAYMENT_UNKNOWN": HTTPStatus.NOT_FOUND,
    "SETTLEMENT_REFUSED": HTTPStatus.CONFLICT,
    "RESCISSION_REFUSED": HTTPStatus.CONFLICT,
    "HOLIDAY_REFUSED": HTTPStatus.CONFLICT,
    "DUE_DAY_REFUSED": HTTPStatus.CONFLICT,
    "RISK_MOVE_REFUSED": HTTPStatus.CONFLICT,
    "RISK_NOT_READY": HTTPStatus.CONFLICT,
    "AGREEMENT_CHANGED": HTTPStatus.CONFLICT,
    "AGREEMENT_LAPSED": HTTPStatus.CONFLICT,
    "AGREEMENT_REFUSED": HTTPStatus.CONFLICT,
    "NOT_ENOUGH_OFFERS": HTTPStatus.CONFLICT,
    "NOT_ENOUGH_MONEY": HTTPStatus.CONFLICT,
    "BUSINESS_DATE_REFUSED": HTTPStatus.CONFLICT,
    "ALREADY_REVERSED": HTTPStatus.CONFLICT,
    # Faults of the book or its server, not of whoever asks.
    "JOURNAL_GAP": HTTPStatus.INTERNAL_SERVER_ERROR,
    "JOURNAL_MALFORMED": HTTPStatus.INTERNAL_SERVER_ERROR,
    "SEAL_HORIZON_AHEAD": HTTPStatus.INTERNAL_SERVER_ERROR,
}


def told(error: BaseException) -> Told:
    """What a client is told of ``error``.

    Anything that is not a refusal is a fault of ours: it is logged with its trace under a
    reference, and the client gets the reference alone.
    """
    match error:
        case AccountsRefusal() | RiskRefusal() | MarketplaceRefusal() | FaceRefusal():
            return Told(
                code=error.code,
                message=error.message,
                field=error.field,
                status=_STATUS.get(error.code, HTTPStatus.BAD_REQUEST),
                fundable=error.fundable if isinstance(error, NotEnoughOffers) else None,
            )
        case DataError():
            # Text with a NUL, or a number beyond its column: no room below checks for them.
            logger.warning("the database refused a value", exc_info=error)
            return Told("INPUT_REFUSED", "The input holds a value that can't be stored.")
        case _:
            return _fault(error)


def _fault(error: BaseException) -> Told:
    reference = secrets.token_hex(6)
    logger.error("fault %s", reference, exc_info=error)
    return Told(
        code="INTERNAL",
        message=f"Something went wrong on our side. Quote {reference} when you report it.",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
    )
