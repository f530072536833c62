"""What matching cycles did."""

from __future__ import annotations

from marketplace.models import CycleMarket


def last_cycle() -> list[CycleMarket]:
    """What each market did in the last cycle, by term and band; one statement, or nothing."""
    rows = CycleMarket.objects.select_related("market", "cycle").order_by(
        "-cycle", "market__term_months", "market__position"
    )
    newest = rows[:1].values("cycle")
    return list(rows.filter(cycle__in=newest))
