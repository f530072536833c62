"""The matching cycle: over what stood at the cut-off, all markets, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import LOAN_KINDS, Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.ledger import account_ids
from accounts.services.bulk import copy_rows
from accounts.services.idempotency import once
from accounts.services.opening import open_accounts
from accounts.services.posting import post
from marketplace.core.arrays import IntArray
from marketplace.core.matching import Clearing, Outcome, clear_market
from marketplace.core.rates import blend, monthly_rate_e12
from marketplace.core.schedule import level_instalment
from marketplace.core.states import LATE, ApplicationState, CycleState, ListingState
from marketplace.models import Application, Cycle, Listing, Loan
from marketplace.selectors.markets import MarketUnknown, MarketView, list_markets
from marketplace.selectors.order_book import (
    digest_of,
    load_held,
    load_open_listings,
    load_order_book,
)
from marketplace.services.locks import lock_matching, lock_open_offers
from risk.core.pricing import to_ppm
from risk.selectors.assessments import assessments_by_id, expected_returns
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


@dataclass(frozen=True)
class _Cleared:
    market: MarketView
    clearing: Clearing


def run_cycle(*, on: date, actor: str, key: str) -> CycleView:
    """Match listings with offers in every market, and write parts, loans and transfers.

    Markets are cleared one after another; each cycle begins one market further along, so that
    none is favoured over time. What one market takes of an offer is gone for the next. Two cycles
    never overlap; one that dies leaves nothing.

    Raises:
        RiskRefusal: no approved rate table.
        IdempotencyConflict: the key was used for another day's cycle.
    """
    with transaction.atomic():
        lock_matching()
        answer = once(
            scope="platform",
            name="run_cycle",
            key=key,
            content={"on": on},
            action=lambda: _run(on, actor, key),
        )
    return CycleView(**answer)


def _run(on: date, actor: str, key: str) -> dict[str, Any]:
    # Nobody may change or cancel an offer between what the cycle reads and what it writes: those
    # that stand now are locked, and what is placed while it runs is for the next one.
    locked = lock_open_offers()
    _expire(on)
    held_back = _hold_back()
    book, listings = load_order_book().only(locked), load_open_listings()
    held = load_held(listings.borrower)
    count = Cycle.objects.count()
    table = current_rate_table()
    markets = list_markets(table)
    if not markets:
        raise MarketUnknown("No market is open, so there is nothing to match.")
    turn = count % len(markets)
    order = markets[turn:] + markets[:turn]
    cycle = Cycle.objects.create(
        run_on=on,
        key=key,
        market_order=[market.name for market in order],
        input_digest=digest_of(book, listings, held),
    )
    taken: dict[int, int] = {}
    cleared: list[_Cleared] = []
    for market in order:
        clearing = clear_market(
            book.queue(market.market_id, taken), listings.of(market.market_id), held
        )
        offers, places = np.unique(clearing.offer_id, return_inverse=True)
        sums = np.zeros(len(offers), dtype=np.int64)
        np.add.at(sums, places, clearing.amount)
        for offer, amount in zip(offers.tolist(), sums.tolist(), strict=True):
            taken[offer] = taken.get(offer, 0) + amount
        cleared.append(_Cleared(market, clearing))
    outcome = _write(cycle, table, cleared, taken, on, actor)
    if held_back:
        outcome["waiting"][BORROWER_IN_ARREARS] = held_back
    cycle.state = CycleState.DONE
    cycle.outcome = outcome
    cycle.save(update_fields=["state", "outcome"])
    return {"cycle_id": cycle.pk, **outcome}


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
    cleared: Sequence[_Cleared],
    taken: Mapping[int, int],
    on: date,
    actor: str,
) -> dict[str, Any]:
    outcomes = [outcome for one in cleared for outcome in one.clearing.outcomes]
    waiting = [o for o in outcomes if o.outcome is not Outcome.FUNDED]
    _store_waiting([(o.listing_id, o.outcome.value) for o in waiting])
    columns = [
        np.concatenate([getattr(one.clearing, name) for one in cleared])
        for name in ("listing_id", "offer_id", "lender_id", "rate_ppm", "amount")
    ]
    order = np.argsort(columns[0], kind="stable")
    listing, offer, lender, rate, amount = (column[order] for column in columns)
    markets = {one.market.market_id: one.market for one in cleared}
    loans = _store_loans(cycle, table, markets, listing, rate, amount, on)
    if loans:
        _take_from_offers(taken)
        _store_parts(loans, listing, offer, lender, rate, amount)
        _post_matches(loans, listing, lender, amount, on, actor)
    return {
        "loans": len(loans),
        "parts": len(amount),
        "lent": int(amount.sum()),
        "waiting": dict(Counter(o.outcome.value for o in waiting)),
    }


def _store_waiting(waiting: Sequence[tuple[int, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_listing AS l SET waits_because = n.reason"
            " FROM unnest(%s::bigint[], %s::text[]) AS n (id, reason) WHERE l.id = n.id",
            [[listing for listing, _ in waiting], [reason for _, reason in waiting]],
        )


def _store_loans(
    cycle: Cycle,
    table: RateTableView,
    markets: Mapping[int, MarketView],
    listing: IntArray,
    rate: IntArray,
    amount: IntArray,
    on: date,
) -> list[Loan]:
    """One loan for each funded listing, in order of listing; opens its ledger accounts."""
    ids, starts = np.unique(listing, return_index=True)
    listings = Listing.objects.select_related("application__assessment").in_bulk(ids.tolist())
    monthly = monthly_rate_e12(rate)
    ends = np.append(starts, len(listing))[1:]
    loans: list[Loan] = []
    for key, start, end in zip(ids.tolist(), starts.tolist(), ends.tolist(), strict=True):
        entry = listings[key]
        market = markets[entry.market_id]
        mixed = blend(amount[start:end], monthly[start:end])
        loans.append(
            Loan(
                application_id=entry.application_id,
                listing=entry,
                assessment=entry.application.assessment,
                borrower_id=entry.borrower_id,
                market_id=entry.market_id,
                cycle=cycle,
                amount=entry.amount,
                term_months=market.term_months,
                rate=mixed.annual_ppm,
                instalment=level_instalment(entry.amount, mixed.monthly_e12, market.term_months),
                arrangement_fee=market.fee_on(entry.amount),
                servicing_fee=int(to_ppm(table.losses.servicing_fee)),
                expected_loss=table.row(market.band, market.term_months).expected_loss_ppm,
                funded_on=on,
            )
        )
    stored = Loan.objects.bulk_create(loans)
    Listing.objects.filter(pk__in=ids.tolist()).update(state=ListingState.FUNDED, waits_because="")
    Application.objects.filter(listing__in=ids.tolist()).update(state=ApplicationState.FUNDED)
    open_accounts(
        kinds=LOAN_KINDS, owner_ids=np.array([loan.pk for loan in stored], dtype=np.int64)
    )
    return stored


def _take_from_offers(taken: Mapping[int, int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_offer AS o SET available = o.available - n.amount"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS n (id, amount) WHERE o.id = n.id",
            [list(taken), list(taken.values())],
        )


def _store_parts(
    loans: Sequence[Loan],
    listing: IntArray,
    offer: IntArray,
    lender: IntArray,
    rate: IntArray,
    amount: IntArray,
) -> None:
    _, starts, places = np.unique(listing, return_index=True, return_inverse=True)
    loan_ids = np.array([loan.pk for loan in loans], dtype=np.int64)
    views = assessments_by_id(ids=[loan.assessment_id for loan in loans])
    told = expected_returns(
        rates_ppm=rate, assessments=[views[loans[place].assessment_id] for place in places]
    )
    copy_rows(
        connection,
        "marketplace_part",
        {
            "loan_id": loan_ids[places],
            "number": (np.arange(len(listing)) - starts[places] + 1).astype(np.int32),
            "lender_id": lender,
            "offer_id": offer,
            "size": amount,
            "rate": rate.astype(np.int32),
            "monthly_rate": monthly_rate_e12(rate),
            "expected_return": to_ppm(told).astype(np.int32),
        },
    )


def _post_matches(
    loans: Sequence[Loan],
    listing: IntArray,
    lender: IntArray,
    amount: IntArray,
    on: date,
    actor: str,
) -> None:
    _, places = np.unique(listing, return_inverse=True)
    entries = [
        EntryDraft(EntryKind.MATCHED, f"match/{loan.pk}", on, actor, f"loan:{loan.pk}")
        for loan in loans
    ]
    leg = Leg(
        places,
        debit=account_ids(Kind.ON_OFFER, lender),
        credit=account_ids(Kind.MATCHED, lender),
        amount=amount,
        book=Book.CASH,
    )
    post(posting(entries, [leg]))
