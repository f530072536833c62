"""What own-rate lenders got lately: the rate that pegs follow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from django.db import connection

from marketplace.core.house import HOUSE, House


def traded_rates(on: date, house: House = HOUSE) -> Mapping[int, int]:
    """The amount-weighted mean rate (ppm) of own-rate parts of the last days, by market id.

    Pegs and pool money are not in it, so that pegs can't feed on each other. A market without such
    parts is not in it: there the guide rate counts. One statement.

    Args:
        on: the business date; cycles of this day and of ``house.traded_days`` - 1 before count.
        house: settings.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.market_id, round(sum(m.own_weighted) / sum(m.own_amount))::bigint"
            " FROM marketplace_cyclemarket AS m JOIN marketplace_cycle AS c ON c.id = m.cycle_id"
            " WHERE c.run_on > %s AND c.run_on <= %s AND m.own_amount > 0 GROUP BY m.market_id",
            [on - timedelta(days=house.traded_days), on],
        )
        return {market: int(rate) for market, rate in cursor.fetchall()}
