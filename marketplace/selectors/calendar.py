"""The UK's working days, as the cores want them: a set of the days on which banks are closed."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import holidays


@lru_cache(maxsize=64)
def bank_holidays(first_year: int, last_year: int) -> frozenset[date]:
    """Bank holidays of England from ``first_year`` to ``last_year``, both included."""
    calendar = holidays.country_holidays("GB", subdiv="ENG", years=range(first_year, last_year + 1))
    return frozenset(calendar)


def bank_holidays_around(day: date, years_ahead: int = 1) -> frozenset[date]:
    """Bank holidays from the year of ``day`` on, for ``years_ahead`` more years."""
    return bank_holidays(day.year, day.year + years_ahead)
