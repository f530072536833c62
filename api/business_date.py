"""The business date of whoever comes in from outside: the only place where it is made up."""

from __future__ import annotations

import os
from datetime import date, datetime
from zoneinfo import ZoneInfo


def today() -> date:
    """London's date, or ``TENNER_BUSINESS_DATE`` (ISO) where the world stands still: the demo."""
    given = os.environ.get("TENNER_BUSINESS_DATE")
    if given:
        return date.fromisoformat(given)
    return datetime.now(ZoneInfo("Europe/London")).date()
