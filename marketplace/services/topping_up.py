"""Topping up: what borrowers repaid goes on offer again, in £10 steps, where its lender wants that.

Repaid money keeps the offer's place in the queue: it stood there before. Only what came back is put
on offer, as far as the lender's cash still goes, and what is not yet a whole step waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Kind
from accounts.core.posting import EntryKind
from accounts.selectors.bulk import array_of, fetch_columns
from accounts.selectors.ledger import account_ids
from accounts.services.holding import hold_accounts
from marketplace.core.arrays import IntArray
from marketplace.core.house import HOUSE, House
from marketplace.core.states import OfferState
from marketplace.services.locks import lock_matching, share_offers
from marketplace.services.offering import move_cash


@dataclass(frozen=True)
class ToppedUp:
    """What was topped up: distributions looked at, offers that got more, and pence."""

    distributions: int
    offers: int
    pence: int


def top_up_offers(*, on: date, actor: str, house: House = HOUSE) -> ToppedUp:
    """Put on offer again what the distributions since the last time brought.

    Each distribution counts once, whoever calls this and however often: it is marked. A correction
    that took something back is set off, as far as something waits. A fixed number of statements.

    Args:
        on: business date.
        actor: who asks.
        house: settings.
    """
    with transaction.atomic():
        lock_matching()
        share_offers()
        spread = _mark(on)
        if not spread:
            return ToppedUp(0, 0, 0)
        _credit(spread)
        offer, lender, uninvested = _waiting()
        cash = _cash(lender)
        moves, left = split_top_up(lender, uninvested, cash, house.step)
        _store(offer, moves, left)
        moved = np.flatnonzero(moves)
        if moved.size:
            move_cash(
                kind=EntryKind.OFFER_PLACED,
                keys=[f"top-up/{spread[0]}/{each}" for each in offer[moved].tolist()],
                offer_ids=offer[moved].tolist(),
                lender_ids=lender[moved].tolist(),
                pence=moves[moved].tolist(),
                on=on,
                actor=actor,
            )
        return ToppedUp(len(spread), int(moved.size), int(moves.sum()))


def split_top_up(
    lender: IntArray, uninvested: IntArray, cash: IntArray, step: int
) -> tuple[IntArray, IntArray]:
    """What each offer gets, and what it keeps waiting; pence, ``[N]``.

    A lender's offers are served in their order as far as the cash goes. What the lender has spent
    of it meanwhile waits no longer.

    Args:
        lender: ``[N]``, ascending; a lender's offers lie together.
        uninvested: ``[N]``, pence that came back and are not on offer again.
        cash: ``[N]``, the lender's cash, the same for all of their offers.
        step: pence.
    """
    before = np.cumsum(uninvested) - uninvested
    first = np.flatnonzero(np.diff(lender, prepend=-1))
    sizes = np.diff(np.append(first, len(lender)))
    before -= np.repeat(before[first], sizes)
    there = np.clip(cash - before, 0, uninvested)
    moves = there // step * step
    return moves, there - moves


def _mark(on: date) -> list[int]:
    """Take the distributions that were not looked at yet; their ids in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_distribution SET topped_up_on = %s"
            " WHERE topped_up_on IS NULL RETURNING id",
            [on],
        )
        return sorted(row[0] for row in cursor.fetchall())


def _credit(spread: list[int]) -> None:
    """Add what the offers' parts received, after the fee: each row's totals less those before.

    A row that gives less than the one before takes away what waits, never below nothing. The
    arrays are unpacked by themselves, once: joined to parts straight away, the planner would
    unpack a loan's arrays anew for each of its parts. Offers are taken in order of id, as by
    everybody who takes several of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH got AS MATERIALIZED (SELECT d.loan_id, u.number,"
            " sum(u.principal + u.interest - u.fee"
            " - coalesce(u.principal_before + u.interest_before - u.fee_before, 0)) AS received"
            " FROM marketplace_distribution AS d LEFT JOIN marketplace_distribution AS b"
            " ON b.loan_id = d.loan_id AND b.number = d.number - 1"
            " CROSS JOIN LATERAL unnest(d.principal, d.interest, d.fee, b.principal, b.interest,"
            " b.fee) WITH ORDINALITY AS u (principal, interest, fee, principal_before,"
            " interest_before, fee_before, number)"
            " WHERE d.id = ANY (%s::bigint[]) GROUP BY d.loan_id, u.number),"
            " came AS MATERIALIZED (SELECT p.offer_id, sum(g.received)::bigint AS received"
            " FROM got AS g"
            " JOIN marketplace_part AS p ON p.loan_id = g.loan_id AND p.number = g.number"
            " JOIN marketplace_offer AS f ON f.id = p.offer_id AND f.lender_id = p.lender_id"
            " WHERE f.tops_up GROUP BY p.offer_id),"
            " held AS MATERIALIZED (SELECT id FROM marketplace_offer"
            " WHERE id IN (SELECT offer_id FROM came) ORDER BY id FOR UPDATE)"
            " UPDATE marketplace_offer AS o"
            " SET uninvested = greatest(o.uninvested + c.received, 0)"
            " FROM came AS c JOIN held AS h ON h.id = c.offer_id"
            " WHERE o.id = c.offer_id AND o.tops_up AND o.state = %s",
            [array_of(np.array(spread, dtype=np.int64)), OfferState.OPEN.value],
        )


def _waiting() -> list[IntArray]:
    """Offer, lender and pence of each offer that has something waiting."""
    return fetch_columns(
        "SELECT id, lender_id, uninvested FROM marketplace_offer"
        " WHERE uninvested > 0 AND tops_up AND state = %s ORDER BY lender_id, id",
        [OfferState.OPEN.value],
        3,
    )


def _cash(lender: IntArray) -> IntArray:
    """Each lender's cash, pence, ``[N]``; nobody spends of it until the transaction ends."""
    cash = account_ids(Kind.CASH, lender)
    held = hold_accounts(ids=[*cash.tolist(), *account_ids(Kind.ON_OFFER, lender).tolist()])
    return np.array([held[account] for account in cash.tolist()], dtype=np.int64)


def _store(offer: IntArray, moves: IntArray, left: IntArray) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_offer AS o SET available = o.available + n.moved,"
            " repaid = o.repaid + n.moved, uninvested = n.waits"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS n (id, moved, waits)"
            " WHERE o.id = n.id",
            [offer.tolist(), moves.tolist(), left.tolist()],
        )
