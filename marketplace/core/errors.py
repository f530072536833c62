"""The refusals of the marketplace room: typed, each with a stable code that faces may show."""

from __future__ import annotations

from typing import ClassVar


class MarketplaceRefusal(Exception):
    """Root of every refusal raised by ``marketplace``.

    ``code`` is stable and may be matched by clients; ``message`` is a sentence for a person;
    ``field`` names the input that was refused, when there is one.
    """

    code: ClassVar[str] = "MARKETPLACE_REFUSED"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class ShapeRefused(MarketplaceRefusal):
    """Arrays that don't belong together: unequal lengths, floats, or offsets that don't fit."""

    code = "SHAPE_REFUSED"


class RateRefused(MarketplaceRefusal):
    """A rate outside the range that is handled, or a blend of nothing."""

    code = "RATE_REFUSED"


class InterestOutOfBounds(MarketplaceRefusal):
    """Sizes, rates or pence-months for which exact 64-bit interest is not proved."""

    code = "INTEREST_OUT_OF_BOUNDS"


class ScheduleRefused(MarketplaceRefusal):
    """A loan for which there is no schedule of level instalments."""

    code = "SCHEDULE_REFUSED"


class AprRefused(MarketplaceRefusal):
    """Cash flows that have no annual percentage rate."""

    code = "APR_REFUSED"


class SpreadRefused(MarketplaceRefusal):
    """An amount, or running totals, that the four laws of spreading can't be kept for."""

    code = "SPREAD_REFUSED"


class LoanAmountRefused(MarketplaceRefusal):
    """A loan amount that is not a positive multiple of the £10 step."""

    code = "LOAN_AMOUNT_REFUSED"


class NotEnoughOffers(MarketplaceRefusal):
    """The order book can't fund the whole loan; ``fundable`` says how many pence it could."""

    code = "NOT_ENOUGH_OFFERS"

    def __init__(self, message: str, *, fundable: int, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.fundable = fundable


class OrderBookRefused(MarketplaceRefusal):
    """An order-book file that can't be read; names the file, the row and the column.

    ``row`` is the line number in the file counted from 1 (the header is row 1), or ``None`` where
    the whole file is meant; ``column`` is the header's name, or ``None`` where the whole row is.
    """

    code = "ORDER_BOOK_REFUSED"

    def __init__(
        self, reason: str, *, file: str, row: int | None = None, column: str | None = None
    ) -> None:
        where = [file]
        if row is not None:
            where.append(f"row {row}")
        if column is not None:
            where.append(f"column {column}")
        super().__init__(f"{', '.join(where)}: {reason}", field=column)
        self.reason = reason
        self.file = file
        self.row = row
        self.column = column
