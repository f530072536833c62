"""The matching cycle: over what stood at the cut-off, all markets, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from accounts.services.idempotency import once
from marketplace.core.clearing import ListingOutcome, Outcome
from marketplace.core.cycle import ENGINE, CycleInput, CycleResult, run_markets
from marketplace.core.house import HOUSE, House
from marketplace.core.states import LATE, ApplicationState, CycleState, ListingState
from marketplace.models import Application, Cycle, CycleSight, Listing
from marketplace.selectors.markets import MarketUnknown, MarketView, list_markets
from marketplace.selectors.order_book import load_sight
from marketplace.services.cycle_rows import (
    store_loans,
    store_markets,
    store_parts,
    take_from_offers,
)
from marketplace.services.locks import hold_offers, lock_matching
from risk.selectors.rate_tables import RateTableView, current_rate_table

BORROWER_IN_ARREARS = "BORROWER_IN_ARREARS"


@dataclass(frozen=True)
class CycleView:
    """What a cycle did.

    Attributes:
        cycle_id: its number.
        loans: how many loans it funded.
        parts: into how many parts.
        lent: pence.
        waiting: listings left open, by reason.
    """

    cycle_id: int
    loans: int
    parts: int
    lent: int
    waiting: Mapping[str, int]


def run_cycle(*, on: date, actor: str, key: str, house: House = HOUSE) -> CycleView:
    """Match listings with offers in every market, and write parts, loans and transfers.

    Markets are cleared one after another; each cycle begins one market further along, so that
    none is favoured over time. What one market takes of an offer is gone for the next. Two cycles
    never overlap; one that dies leaves nothing.

    Raises:
        RiskRefusal: no approved rate table.
        MarketUnknown: no market is open.
        IdempotencyConflict: the key was used for another day's cycle.
    """
    with transaction.atomic():
        lock_matching()
        answer = once(
            scope="platform",
            name="run_cycle",
            key=key,
            content={"on": on},
            action=lambda: _run(on, actor, key, house),
        )
    return CycleView(**answer)


def _run(on: date, actor: str, key: str, house: House) -> dict[str, Any]:
    hold_offers()
    _expire(on)
    held_back = _hold_back()
    table = current_rate_table()
    order = _turns(list_markets(table))
    seen = load_sight(order, on)
    cycle = Cycle.objects.create(
        run_on=on,
        key=key,
        market_order=[market.name for market in order],
        settings={"engine": ENGINE, "rate_table": table.id, "house": asdict(house)},
        input_digest=seen.digest(),
    )
    CycleSight.objects.create(cycle=cycle, packed=seen.packed())
    result = run_markets(seen)
    outcome = _write(cycle, table, order, seen, result, on, actor)
    if held_back:
        outcome["waiting"][BORROWER_IN_ARREARS] = held_back
    cycle.state = CycleState.DONE
    cycle.outcome = outcome
    cycle.finished_at = timezone.now()
    cycle.save(update_fields=["state", "outcome", "finished_at"])
    return {"cycle_id": cycle.pk, **outcome}


def _turns(markets: Sequence[MarketView]) -> list[MarketView]:
    """The markets in the order of this cycle: each cycle begins one further along."""
    if not markets:
        raise MarketUnknown("No market is open, so there is nothing to match.")
    turn = Cycle.objects.count() % len(markets)
    return [*markets[turn:], *markets[:turn]]


def _expire(on: date) -> None:
    """Listings whose day has passed leave, with nothing taken."""
    expired = Listing.objects.filter(state=ListingState.OPEN, expires_on__lt=on)
    Application.objects.filter(listing__in=expired).update(state=ApplicationState.EXPIRED)
    expired.update(state=ListingState.EXPIRED)


def _hold_back() -> int:
    """Say on the listings of borrowers who have fallen behind why they wait; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_listing AS n SET waits_because = %s WHERE n.state = %s"
            " AND EXISTS (SELECT FROM marketplace_loan AS l"
            " WHERE l.borrower_id = n.borrower_id AND l.state = ANY (%s))",
            [BORROWER_IN_ARREARS, ListingState.OPEN.value, list(LATE)],
        )
        return int(cursor.rowcount)


def _write(
    cycle: Cycle,
    table: RateTableView,
    order: Sequence[MarketView],
    seen: CycleInput,
    result: CycleResult,
    on: date,
    actor: str,
) -> dict[str, Any]:
    waiting = [o for o in result.outcomes if o.outcome is not Outcome.FUNDED]
    _store_waiting(waiting)
    store_markets(cycle, order, seen, result)
    loans = store_loans(cycle, table, order, result, on)
    if len(loans.loan_id):
        take_from_offers(cycle, seen, result)
        store_parts(loans, result.parts, on, actor)
    return {
        "loans": len(loans.loan_id),
        "parts": len(result.parts.amount),
        "lent": int(result.parts.amount.sum()),
        "waiting": dict(Counter(o.outcome.value for o in waiting)),
    }


def _store_waiting(waiting: Sequence[ListingOutcome]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_listing AS l SET waits_because = n.reason"
            " FROM unnest(%s::bigint[], %s::text[]) AS n (id, reason) WHERE l.id = n.id",
            [[o.listing_id for o in waiting], [o.outcome.value for o in waiting]],
        )
