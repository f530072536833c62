"""The UK's working days; see :mod:`marketplace.selectors.calendar`."""

from __future__ import annotations

from marketplace.selectors.calendar import bank_holidays, bank_holidays_around

__all__ = ["bank_holidays", "bank_holidays_around"]
