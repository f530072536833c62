"""What a loan would cost, from the order book as it stands. Indicative: it reserves nothing.

It takes from the front of the queue, as a market with this one loan would, and uses the same
schedule that the loan would be contracted on. Source: the house design, "The market".
"""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.core.apr import apr
from marketplace.core.arrays import PENCE_PER_UNIT
from marketplace.core.errors import LoanAmountRefused, NotEnoughOffers
from marketplace.core.order_book import NOBODY, Fill, Held, Queue, fill
from marketplace.core.rates import PPM, monthly_rate_e12
from marketplace.core.schedule import contract_schedule

MONTHS_PER_YEAR = 12


@dataclass(frozen=True, slots=True)
class QuotePart:
    """What one offer would lend: ``rate_ppm`` annual effective, ``amount`` pence."""

    rate_ppm: int
    amount: int


@dataclass(frozen=True, slots=True)
class LoanQuote:
    """An indicative quote.

    Attributes:
        amount: pence borrowed.
        term_months: number of monthly instalments.
        parts: what each offer would lend, in queue order.
        rate_ppm: the blend, annual effective, ppm (a fraction of six decimals).
        marginal_rate_ppm: the rate of the last offer that takes part, ppm.
        instalment: the level instalment, pence; the last one may differ by rounding.
        total_repayable: all instalments, pence.
        arrangement_fee: kept back at pay-out, pence.
        apr: the annual percentage rate of charge, a fraction, the fee counted.
    """

    amount: int
    term_months: int
    parts: tuple[QuotePart, ...]
    rate_ppm: int
    marginal_rate_ppm: int
    instalment: int
    total_repayable: int
    arrangement_fee: int
    apr: float

    @property
    def offers(self) -> int:
        """How many offers take part."""
        return len(self.parts)

    @property
    def rate(self) -> float:
        """The blend as a fraction of six decimals (.07004 is 7.004 %)."""
        return self.rate_ppm / PPM


def quote_from_queue(
    queue: Queue,
    amount: int,
    term_months: int,
    *,
    arrangement_fee: int = 0,
    held: Held | None = None,
    borrower_id: int = NOBODY,
) -> LoanQuote:
    """Quote a loan from the offers that stand in one market.

    Args:
        queue: the market's offers, in any order.
        amount: the loan, pence, a positive multiple of £10.
        term_months: the market's term.
        arrangement_fee: pence kept back at pay-out; nothing for an order-book file.
        held: what lenders already have in the borrower.
        borrower_id: who borrows; nobody in particular when not given.

    Raises:
        NotEnoughOffers: when the book can't fund the whole loan; says how much it could.
        LoanAmountRefused: for an amount off the £10 step, or a fee that eats the whole loan.
        ScheduleRefused: for a term of no months.
    """
    filled = _whole(fill(queue, amount, held=held, borrower_id=borrower_id))
    if not 0 <= arrangement_fee < amount:
        raise LoanAmountRefused(
            "The arrangement fee must be less than the loan.", field="arrangement_fee"
        )
    schedule = contract_schedule(
        filled.amount // PENCE_PER_UNIT, monthly_rate_e12(filled.rate_ppm), term_months
    )
    payments = [
        ((month + 1) / MONTHS_PER_YEAR, int(pence))
        for month, pence in enumerate(schedule.instalments)
    ]
    return LoanQuote(
        amount=amount,
        term_months=term_months,
        parts=tuple(
            QuotePart(int(rate), int(pence))
            for rate, pence in zip(filled.rate_ppm, filled.amount, strict=True)
        ),
        rate_ppm=filled.blend.annual_ppm,
        marginal_rate_ppm=filled.marginal_rate_ppm,
        instalment=schedule.level,
        total_repayable=schedule.total_repayable,
        arrangement_fee=arrangement_fee,
        apr=apr([(0.0, amount - arrangement_fee)], payments),
    )


def _whole(filled: Fill) -> Fill:
    """The fill, if it funds the whole loan."""
    if not filled.is_whole:
        raise NotEnoughOffers(
            f"There are not sufficient offers: £{filled.fundable // 100:,} of "
            f"£{filled.requested // 100:,} could be funded.",
            fundable=filled.fundable,
            field="amount",
        )
    return filled
