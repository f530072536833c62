"""What a cycle writes: loans, parts, transfers and what its markets did, all set by set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection

from accounts.core.chart import LOAN_KINDS, Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.bulk import array_of
from accounts.selectors.ledger import account_ids
from accounts.services.bulk import copy_rows
from accounts.services.opening import open_accounts
from accounts.services.posting import post
from marketplace.core.arrays import IntArray
from marketplace.core.cycle import CycleInput, CycleResult, MarketResult, Parts
from marketplace.core.rates import blend, monthly_rate_e12
from marketplace.core.schedule import level_instalment
from marketplace.core.standing import Pricing
from marketplace.core.states import ApplicationState, ListingState, LoanState
from marketplace.models import Cycle, CycleMarket, Market
from marketplace.selectors.markets import MarketView
from risk.core.pricing import to_ppm
from risk.selectors.assessments import expected_returns
from risk.selectors.rate_tables import RateTableView


@dataclass(frozen=True)
class NewLoans:
    """Loans just made, by listing; ``[L]`` each."""

    loan_id: IntArray
    listing_id: IntArray
    assessment_id: IntArray


def store_markets(
    cycle: Cycle, order: Sequence[MarketView], seen: CycleInput, result: CycleResult
) -> None:
    """Write what each market did; one statement."""
    CycleMarket.objects.bulk_create(
        [
            _market_row(cycle, turn, view, seen, market)
            for turn, (view, market) in enumerate(zip(order, result.markets, strict=True))
        ]
    )


def _market_row(
    cycle: Cycle, turn: int, view: MarketView, seen: CycleInput, market: MarketResult
) -> CycleMarket:
    asked = seen.listings.amount[seen.listings.market_id == market.market_id]
    parts, blends = market.parts, market.clearing.blends
    own = parts.pricing == Pricing.OWN
    # In units of £10, so that amount times rate stays in 64 bits.
    weighted = int((parts.amount[own] // 1_000 * parts.rate[own]).sum()) * 1_000
    return CycleMarket(
        cycle=cycle,
        market=Market(pk=market.market_id),
        turn=turn,
        guide_rate=view.guide_rate,
        traded_rate=int(seen.markets.traded[turn]),
        entries=market.entries,
        on_offer=market.on_offer,
        best_rate=market.best_rate,
        listings=len(asked),
        asked=int(asked.sum()),
        loans=len(np.unique(parts.listing_id)),
        parts=len(parts.amount),
        lent=int(parts.amount.sum()),
        marginal_rate=int(parts.rate.max()) if len(parts.rate) else None,
        blend_rate=blends.least_cost_ppm,
        lowest_blend=blends.lowest_ppm,
        highest_blend=blends.highest_ppm,
        deviation=round(blends.deviation_ppm * 1_000),
        path=market.clearing.path.value,
        runs=market.clearing.runs,
        own_amount=int(parts.amount[own].sum()),
        own_weighted=weighted,
    )


def store_loans(
    cycle: Cycle,
    table: RateTableView,
    order: Sequence[MarketView],
    result: CycleResult,
    on: date,
) -> NewLoans:
    """One loan for each funded listing, with its ledger accounts; four statements."""
    parts = result.parts
    listing, place = np.unique(parts.listing_id, return_inverse=True)
    amount = np.zeros(len(listing), dtype=np.int64)
    np.add.at(amount, place, parts.amount)
    market = np.zeros(len(listing), dtype=np.int64)
    for one in result.markets:
        market[np.searchsorted(listing, np.unique(one.parts.listing_id))] = one.market_id
    views = {view.market_id: view for view in order}
    mine = [views[market_id] for market_id in market.tolist()]
    rates, instalments = _terms(parts, place, amount, mine)
    pence = amount.tolist()
    rows = [table.row(view.band, view.term_months) for view in mine]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO marketplace_loan (public_id, application_id, listing_id, assessment_id,"
            " borrower_id, market_id, cycle_id, amount, term_months, rate, instalment,"
            " arrangement_fee, contribution, servicing_fee, expected_loss, covered, state,"
            " funded_on, events, distributions, balance_months, principal_paid, interest_paid,"
            " fund_principal, fund_interest)"
            " SELECT gen_random_uuid(), l.application_id, l.id, a.assessment_id, l.borrower_id,"
            " l.market_id, %s, l.amount, n.term, n.rate, n.instalment, n.fee, n.part, %s, n.loss,"
            " n.covered, %s, %s, 0, 0, 0, 0, 0, 0, 0"
            " FROM unnest(%s::bigint[], %s::smallint[], %s::integer[], %s::bigint[], %s::bigint[],"
            " %s::bigint[], %s::integer[], %s::boolean[])"
            " AS n (listing, term, rate, instalment, fee, part, loss, covered)"
            " JOIN marketplace_listing AS l ON l.id = n.listing"
            " JOIN marketplace_application AS a ON a.id = l.application_id ORDER BY l.id"
            " RETURNING id, listing_id, assessment_id",
            [
                cycle.pk,
                int(to_ppm(table.losses.servicing_fee)),
                LoanState.FUNDED.value,
                on,
                listing.tolist(),
                [view.term_months for view in mine],
                rates,
                instalments,
                [view.fee_on(one) for view, one in zip(mine, pence, strict=True)],
                [view.contribution_on(one) for view, one in zip(mine, pence, strict=True)],
                [row.expected_loss_ppm for row in rows],
                [row.covered for row in rows],
            ],
        )
        made = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 3)
    loan, of_listing, assessment = made[np.argsort(made[:, 1])].T
    _mark_funded(listing)
    open_accounts(kinds=LOAN_KINDS, owner_ids=loan)
    return NewLoans(loan, of_listing, assessment)


def _terms(
    parts: Parts, place: IntArray, amount: IntArray, views: Sequence[MarketView]
) -> tuple[list[int], list[int]]:
    """Each loan's blended rate (ppm) and level instalment (pence)."""
    by_loan = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place, minlength=len(amount))).tolist()
    monthly, pence = monthly_rate_e12(parts.rate)[by_loan], parts.amount[by_loan]
    rates, instalments, start = [], [], 0
    for end, whole, view in zip(ends, amount.tolist(), views, strict=True):
        mixed = blend(pence[start:end], monthly[start:end])
        rates.append(mixed.annual_ppm)
        instalments.append(level_instalment(whole, mixed.monthly_e12, view.term_months))
        start = end
    return rates, instalments


def _mark_funded(listing: IntArray) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_listing SET state = %s, waits_because = '' WHERE id = ANY (%s)",
            [ListingState.FUNDED.value, listing.tolist()],
        )
        cursor.execute(
            "UPDATE marketplace_application AS a SET state = %s FROM marketplace_listing AS l"
            " WHERE l.application_id = a.id AND l.id = ANY (%s)",
            [ApplicationState.FUNDED.value, listing.tolist()],
        )


def take_from_offers(cycle: Cycle, seen: CycleInput, result: CycleResult) -> None:
    """Lower what the offers have; what came back from borrowers is used first in the pool.

    How much of that was used is kept, should a match be cancelled.
    """
    rows = np.flatnonzero(result.taken)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_offer AS o SET available = o.available - n.amount,"
            " repaid = least(o.repaid - n.repaid, o.available - n.amount)"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS n (id, amount, repaid)"
            " WHERE o.id = n.id",
            [
                array_of(seen.orders.offer_id[rows]),
                array_of(result.taken[rows]),
                array_of(result.repaid_taken[rows]),
            ],
        )
    front = np.flatnonzero(result.repaid_taken)
    if front.size:
        copy_rows(
            connection,
            "marketplace_repaidmatched",
            {
                "cycle_id": np.full(front.size, cycle.pk, dtype=np.int64),
                "offer_id": seen.orders.offer_id[front],
                "taken": result.repaid_taken[front],
            },
        )


def store_parts(loans: NewLoans, parts: Parts, on: date, actor: str) -> None:
    """Write the parts, and the transfers by which lenders' money is theirs no more to offer."""
    place = np.searchsorted(loans.listing_id, parts.listing_id)
    told = expected_returns(rates_ppm=parts.rate, assessment_ids=loans.assessment_id[place])
    by_loan = np.argsort(place, kind="stable")
    place = place[by_loan]
    counts = np.bincount(place, minlength=len(loans.loan_id))
    number = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    lender, amount, rate = (
        column[by_loan] for column in (parts.lender_id, parts.amount, parts.rate)
    )
    copy_rows(
        connection,
        "marketplace_part",
        {
            "loan_id": loans.loan_id[place],
            "number": number.astype(np.int32),
            "lender_id": lender,
            "offer_id": parts.offer_id[by_loan],
            "size": amount,
            "rate": rate.astype(np.int32),
            "pricing": parts.pricing[by_loan].astype(np.int16),
            "limit": parts.limit[by_loan],
            "monthly_rate": monthly_rate_e12(rate),
            "expected_return": to_ppm(told[by_loan]).astype(np.int32),
        },
    )
    entries = [
        EntryDraft(EntryKind.MATCHED, f"match/{loan}", on, actor, f"loan:{loan}")
        for loan in loans.loan_id.tolist()
    ]
    lenders, of = np.unique(lender, return_inverse=True)
    leg = Leg(
        place,
        debit=account_ids(Kind.ON_OFFER, lenders)[of],
        credit=account_ids(Kind.MATCHED, lenders)[of],
        amount=amount,
        book=Book.CASH,
    )
    post(posting(entries, [leg]))
