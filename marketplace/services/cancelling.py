"""Cancelling loans before their pay-out: the lenders' money is on offer again, where it stood.

An offer's place is in its rates (``OfferRate``), which a match leaves as they are. So money that
comes back stands where the offer stands now: at its old place, unless its lender has given that up
meanwhile. In the pool, what the cycle took of repaid money stands before new money again. What came
through an offer that is cancelled by now goes back to cash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.bulk import array_of, fetch_columns
from accounts.selectors.ledger import account_ids
from accounts.services.posting import post
from accounts.services.transactions import require_transaction
from marketplace.core.arrays import IntArray
from marketplace.core.states import ApplicationState, ListingState, LoanState, OfferState
from marketplace.models import Application, Listing
from marketplace.services.moves import LoanMoved, move_loans


@dataclass(frozen=True)
class Cancelled:
    """What went back to lenders: of how many parts, and pence."""

    parts: int
    pence: int


def cancel_loans(
    *,
    loan_ids: Sequence[int],
    listing: ListingState,
    application: ApplicationState,
    on: date,
    actor: str,
    reason: str,
) -> Cancelled:
    """Cancel funded loans that the caller has locked; posts, so it comes last.

    The caller shares the offers (:func:`marketplace.services.locks.share_offers`) from before it
    locked the loans. A fixed number of statements.

    Args:
        loan_ids: ascending.
        listing, application: the states to which the loans' listings and applications go.
        on: business date.
        actor: who asks.
        reason: of the loans' moves, without personal data.

    Raises:
        MoveRefused, RuntimeError: a loan that isn't funded.
    """
    require_transaction()
    ids = list(loan_ids)
    move_loans(
        moves=[LoanMoved(loan, LoanState.FUNDED, LoanState.CANCELLED, reason) for loan in ids],
        on=on,
    )
    Listing.objects.filter(loan__in=ids).update(state=listing)
    Application.objects.filter(loan__in=ids).update(state=application)
    loan, lender, offer, size, stands = _parts(ids)
    back = stands == 1
    _put_on_offer(offer[back], size[back], _front_again(loan[back], offer[back], size[back]))
    _post(ids, loan, lender, size, back, on, actor)
    return Cancelled(len(size), int(size.sum()))


def _parts(loan_ids: Sequence[int]) -> list[IntArray]:
    """Loan, lender, offer, pence, and whether the offer still stands, of each part.

    Offers are locked first, in order of id: what is read after that stays so.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM marketplace_offer WHERE id IN (SELECT offer_id FROM marketplace_part"
            " WHERE loan_id = ANY (%s)) ORDER BY id FOR UPDATE",
            [list(loan_ids)],
        )
    return fetch_columns(
        "SELECT p.loan_id, p.lender_id, p.offer_id, p.size,"
        " (o.state <> %s AND o.lender_id = p.lender_id)::int::bigint FROM marketplace_part AS p"
        " JOIN marketplace_offer AS o ON o.id = p.offer_id WHERE p.loan_id = ANY (%s)"
        " ORDER BY p.loan_id, p.number",
        [OfferState.CANCELLED.value, list(loan_ids)],
        5,
    )


def _front_again(loan: IntArray, offer: IntArray, size: IntArray) -> IntArray:
    """Pence of each part that stand at the pool's front again, ``[N]``.

    As much as the loan's cycle took of the offer's repaid money, and is not back yet.
    """
    if not len(loan):
        return size
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH back AS (SELECT l.cycle_id, u.offer, sum(u.size)::bigint AS size, min(u.place)"
            " AS place FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) WITH ORDINALITY"
            " AS u (loan, offer, size, place) JOIN marketplace_loan AS l ON l.id = u.loan"
            " GROUP BY l.cycle_id, u.offer), front AS (SELECT m.id, b.place,"
            " least(b.size, m.taken - m.returned) AS pence FROM marketplace_repaidmatched AS m"
            " JOIN back AS b ON b.cycle_id = m.cycle_id AND b.offer = m.offer_id)"
            " UPDATE marketplace_repaidmatched AS m SET returned = m.returned + f.pence"
            " FROM front AS f WHERE m.id = f.id RETURNING f.place, f.pence",
            [array_of(loan), array_of(offer), array_of(size)],
        )
        found = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 2)
    pence = np.zeros_like(size)
    pence[found[:, 0] - 1] = found[:, 1]
    return pence


def _put_on_offer(offer: IntArray, size: IntArray, front: IntArray) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_offer AS o SET available = o.available + n.size,"
            " repaid = o.repaid + n.front FROM ("
            " SELECT id, sum(size)::bigint AS size, sum(front)::bigint AS front"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS u (id, size, front)"
            " GROUP BY id) AS n WHERE o.id = n.id",
            [array_of(offer), array_of(size), array_of(front)],
        )


def _post(
    loan_ids: Sequence[int],
    loan: IntArray,
    lender: IntArray,
    size: IntArray,
    back: np.ndarray[tuple[int], np.dtype[np.bool_]],
    on: date,
    actor: str,
) -> None:
    """One entry a loan, one transfer a part: matched money to offers, or to cash."""
    entries = [
        EntryDraft(EntryKind.MATCH_CANCELLED, f"match-cancelled/{each}", on, actor, f"loan:{each}")
        for each in loan_ids
    ]
    lenders, of = np.unique(lender, return_inverse=True)
    to_offer, to_cash = account_ids(Kind.ON_OFFER, lenders), account_ids(Kind.CASH, lenders)
    leg = Leg(
        np.searchsorted(np.array(loan_ids, dtype=np.int64), loan),
        debit=account_ids(Kind.MATCHED, lenders)[of],
        credit=np.where(back, to_offer[of], to_cash[of]),
        amount=size,
        book=Book.CASH,
    )
    post(posting(entries, [leg]))
