"""What markets did lately: cycle by cycle for people to see, and day by day for expected dates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
from django.db import connection

from accounts.selectors.bulk import fetch_columns
from marketplace.core.answers import Lending
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.models import Cycle, CycleMarket
from marketplace.selectors.traded import traded_rates

LONGEST_HISTORY = 366
MOST_CYCLES = 100


class HistoryRefused(MarketplaceRefusal):
    """A history of no days, or of too many."""

    code = "HISTORY_REFUSED"


@dataclass(frozen=True)
class MarketCycleView:
    """What one market did in one cycle; pence, and annual effective ppm.

    ``best_rate`` is the lowest rate on offer at the cut-off, ``marginal_rate`` the highest lent at.
    The loans' own blends lie between ``lowest_blend`` and ``highest_blend``; ``deviation`` is their
    standard deviation weighted by amount, in thousandths of a ppm. Without loans there are none.
    """

    run_on: date
    on_offer: int
    best_rate: int | None
    listings: int
    asked: int
    loans: int
    lent: int
    marginal_rate: int | None
    blend_rate: int | None
    lowest_blend: int | None
    highest_blend: int | None
    deviation: int


_FIELDS = tuple(name for name in MarketCycleView.__dataclass_fields__ if name != "run_on")


class MarketHistories:
    """What all markets did up to a day: read when first asked for, a statement each."""

    def __init__(self, on: date) -> None:
        self._on = on
        self._read: dict[int, Mapping[int, tuple[MarketCycleView, ...]]] = {}

    @cached_property
    def traded(self) -> Mapping[int, int]:
        """What own-rate lenders got lately, ppm, by market id; where nobody got anything none."""
        return traded_rates(self._on)

    @cached_property
    def last_marginal(self) -> Mapping[int, int]:
        """The highest rate lent at when a market last lent, ppm, by market id."""
        return last_marginal_rates(self._on)

    def of(self, market_id: int, days: int) -> tuple[MarketCycleView, ...]:
        """One market's cycles of the last days, the newest first.

        Raises:
            HistoryRefused: no days, or too many.
        """
        if days not in self._read:
            self._read[days] = market_history(self._on, days)
        return self._read[days].get(market_id, ())


def market_history(on: date, days: int) -> Mapping[int, tuple[MarketCycleView, ...]]:
    """What each market did in the cycles of the last days, the newest first, by market id.

    At most the newest :data:`MOST_CYCLES` cycles; one statement.

    Args:
        on: the last day.
        days: how many, with that one.

    Raises:
        HistoryRefused: no days, or too many.
    """
    if not 1 <= days <= LONGEST_HISTORY:
        raise HistoryRefused(f"A history has 1 to {LONGEST_HISTORY} days.", field="days")
    cycles = Cycle.objects.filter(run_on__gt=on - timedelta(days=days), run_on__lte=on)
    newest = cycles.order_by("-pk").values("pk")[:MOST_CYCLES]
    rows = CycleMarket.objects.filter(cycle__in=newest).select_related("cycle").order_by("-cycle")
    found: dict[int, list[MarketCycleView]] = defaultdict(list)
    for row in rows:
        figures = {name: getattr(row, name) for name in _FIELDS}
        found[row.market_id].append(MarketCycleView(run_on=row.cycle.run_on, **figures))
    return {market: tuple(views) for market, views in found.items()}


def last_marginal_rates(on: date) -> Mapping[int, int]:
    """The highest rate lent at (ppm) in the last cycle in which a market lent, by market id.

    One statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (m.market_id) m.market_id, m.marginal_rate"
            " FROM marketplace_cyclemarket AS m JOIN marketplace_cycle AS c ON c.id = m.cycle_id"
            " WHERE m.marginal_rate IS NOT NULL AND c.run_on <= %s"
            " ORDER BY m.market_id, m.cycle_id DESC",
            [on],
        )
        return dict(cursor.fetchall())


def recent_lending(on: date, house: House = HOUSE) -> Mapping[int, Lending]:
    """What each market lent on the last ``house.traded_days`` days, by market id; one statement.

    A market that lent nothing is not in it.
    """
    market, *columns = fetch_columns(
        "SELECT m.market_id, (c.run_on - %s::date - 1)::bigint, m.lent, m.marginal_rate::bigint,"
        " m.blend_rate::bigint"
        " FROM marketplace_cyclemarket AS m JOIN marketplace_cycle AS c ON c.id = m.cycle_id"
        " WHERE c.run_on > %s AND c.run_on <= %s AND m.lent > 0",
        [*[on - timedelta(days=house.traded_days)] * 2, on],
        5,
    )
    return {
        each: Lending(house.traded_days, *(column[market == each] for column in columns))
        for each in np.unique(market).tolist()
    }
