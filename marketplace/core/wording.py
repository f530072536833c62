"""How figures are written in texts that members keep: agreements and notices."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from accounts.core.money import Pence, text_from_pence

_PPM_IN_PERCENT = 10_000


def pounds(pence: Pence) -> str:
    """An amount (123456 is ``£1,234.56``)."""
    whole, _, rest = text_from_pence(abs(pence)).partition(".")
    return f"{'-' if pence < 0 else ''}£{int(whole):,}.{rest}"


def percent(ppm: int) -> str:
    """A rate of nothing or more, exact, with two to four decimals (71250 is ``7.125 %``)."""
    whole, rest = divmod(ppm, _PPM_IN_PERCENT)
    decimals = f"{rest:04d}"
    return f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')} %"


def one_decimal(fraction: float) -> str:
    """A rate with one decimal, halves up, as an APR is told (.12745 is ``12.7 %``)."""
    tenths = int(Fraction(repr(fraction)) * 1_000 + Fraction(1, 2))
    return f"{tenths // 10}.{tenths % 10} %"


def long_date(day: date) -> str:
    """A date (``3 May 2016``)."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


# Not the locale's: the same bytes on every machine.
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
