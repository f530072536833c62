"""How figures are written for people and for the wire."""

from __future__ import annotations

from decimal import Decimal

from accounts.core.money import Pence, text_from_pence

PPM_IN_PERCENT = 10_000


def percent(ppm: int) -> str:
    """A rate in per cent with two to four decimals, exact (71250 is ``"7.125"``)."""
    whole, rest = divmod(abs(ppm), PPM_IN_PERCENT)
    decimals = f"{rest:04d}"
    shown = decimals[:2] + decimals[2:].rstrip("0")
    return f"{'-' if ppm < 0 else ''}{whole}.{shown}"


def short_percent(ppm: int) -> str:
    """A rate in per cent rounded to two decimals, halves to even (71251 is ``"7.13"``)."""
    return f"{Decimal(ppm) / PPM_IN_PERCENT:.2f}"


def pounds(pence: Pence) -> str:
    """An amount for a person (123456 is ``£1,234.56``)."""
    whole, _, rest = text_from_pence(abs(pence)).partition(".")
    return f"{'-' if pence < 0 else ''}£{int(whole):,}.{rest}"
