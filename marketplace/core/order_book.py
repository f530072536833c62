"""The order book of one market, and what one loan would take from it.

Entries stand in a queue: rate, then the time the rate was set, then offer. Each loan takes from the
front of the queue, at most an offer's exposure limit per borrower less all that its lender already
has in that borrower, in £10 steps; lenders are paid what they asked, and the borrower pays the
blend. A loan is funded whole or waits. Quotes and cycles use the same :func:`fill`.
Source: the house design, "The market"; ``docs/matching.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from marketplace.core.arrays import PENCE_PER_UNIT, IntArray, same_length
from marketplace.core.errors import LoanAmountRefused, NotEnoughOffers, ShapeRefused
from marketplace.core.rates import Blend, blend, monthly_rate_e12

NOBODY = -1  # a borrower who is no lender: a quote for somebody unknown


@dataclass(frozen=True, slots=True)
class Queue:
    """The offers that stand in one market, ``N`` rows in any order.

    Attributes:
        offer_id: ``int64 [N]``, distinct.
        lender_id: ``[N]``, not negative; a lender may have several entries.
        rate_ppm: ``[N]``, the rate asked, annual effective, ppm.
        rate_set: ``[N]``, when the rate was set (a sequence number or time); earlier goes first.
        limit: ``[N]``, exposure limit per borrower, pence.
        available: ``[N]``, money on offer, pence.
    """

    offer_id: IntArray
    lender_id: IntArray
    rate_ppm: IntArray
    rate_set: IntArray
    limit: IntArray
    available: IntArray


@dataclass(frozen=True, slots=True)
class Held:
    """What lenders already have in borrowers, ``H`` rows in any order; pairs may repeat.

    Attributes:
        borrower_id, lender_id: ``int64 [H]``.
        pence: ``[H]``, principal held.
    """

    borrower_id: IntArray
    lender_id: IntArray
    pence: IntArray


@dataclass(frozen=True, slots=True)
class Listings:
    """The loans that look for money in one market, ``L`` rows in any order.

    Attributes:
        listing_id: ``int64 [L]``, distinct; breaks ties of arrival.
        borrower_id: ``[L]``.
        arrived: ``[L]``, a sequence number or time; earlier is served first.
        amount: ``[L]``, pence, a multiple of £10.
        highest_rate_ppm: ``[L]``, the highest blended rate that the borrower takes, ppm.
    """

    listing_id: IntArray
    borrower_id: IntArray
    arrived: IntArray
    amount: IntArray
    highest_rate_ppm: IntArray


@dataclass(frozen=True, slots=True)
class Fill:
    """Whose money one loan takes, ``K`` entries in queue order.

    Attributes:
        requested: the loan's amount, pence.
        fundable: pence that the queue could give to this loan in all, at most ``requested`` of
            which is taken.
        row: ``int64 [K]``, the entry's row in the queue as given.
        offer_id, lender_id, rate_ppm: ``[K]``, of each entry.
        amount: ``[K]``, pence taken, each a positive multiple of £10.
        blend: the exact blend of what is taken.
    """

    requested: int
    fundable: int
    row: IntArray
    offer_id: IntArray
    lender_id: IntArray
    rate_ppm: IntArray
    amount: IntArray
    blend: Blend

    @property
    def is_whole(self) -> bool:
        """Whether the queue funds the whole loan."""
        return self.fundable >= self.requested

    @property
    def marginal_rate_ppm(self) -> int:
        """The rate of the last entry that takes part, ppm.

        Raises:
            NotEnoughOffers: when none does.
        """
        if self.rate_ppm.size == 0:
            raise NotEnoughOffers("No offer takes part.", fundable=0)
        return int(self.rate_ppm[-1])


def nothing_held() -> Held:
    """Return a :class:`Held` without rows."""
    none = np.zeros(0, dtype=np.int64)
    return Held(borrower_id=none, lender_id=none, pence=none)


def has_twice(ids: IntArray) -> bool:
    """Whether an id stands in more than one row."""
    return bool((np.diff(np.sort(ids)) == 0).any())


def checked(queue: Queue) -> Queue:
    """Return the queue with its columns as ``int64`` arrays, once they are known to fit.

    Raises:
        ShapeRefused: for floats, unequal lengths, negative figures or an offer named twice.
    """
    known = Queue(
        *same_length(
            offer_id=queue.offer_id,
            lender_id=queue.lender_id,
            rate_ppm=queue.rate_ppm,
            rate_set=queue.rate_set,
            limit=queue.limit,
            available=queue.available,
        )
    )
    for name in ("lender_id", "limit", "available"):
        column: IntArray = getattr(known, name)
        if column.size and column.min() < 0:
            raise ShapeRefused(f"{name} can't be negative.", field=name)
    if has_twice(known.offer_id):
        raise ShapeRefused("An offer is named twice in one market.", field="offer_id")
    return known


def queue_order(queue: Queue) -> IntArray:
    """Return the rows ``[N]`` in queue order: rate, then time the rate was set, then offer."""
    return np.lexsort((queue.offer_id, queue.rate_set, queue.rate_ppm)).astype(np.int64)


def takes(queue: Queue, held: Held, *, borrower_id: int = NOBODY) -> IntArray:
    """Return what each entry would give to one loan of this borrower, pence, ``[N]`` as given.

    An entry gives whole £10 steps: at most what it has available, and at most its limit less what
    its lender already holds in the borrower, less what the lender's better-placed entries give to
    the same loan. Nobody lends to themselves.

    Raises:
        ShapeRefused: for floats, unequal lengths, negative figures or an offer named twice.
    """
    book = _Book.of(queue)
    amounts = np.empty_like(book.available)
    amounts[book.order] = book.takes(book.available, held, borrower_id)
    return amounts


def fill(queue: Queue, amount: int, *, held: Held | None = None, borrower_id: int = NOBODY) -> Fill:
    """Take ``amount`` for one loan from the front of the queue.

    When the queue can't fund the whole loan, the fill holds all that it could give
    (``is_whole`` is false) and nothing may be taken.

    Args:
        queue: the offers that stand.
        amount: the loan, pence, a positive multiple of £10.
        held: what lenders already have in borrowers; nothing when not given.
        borrower_id: whose loan it is; nobody in particular when not given.

    Raises:
        LoanAmountRefused: for an amount that isn't a positive multiple of £10.
        ShapeRefused: for floats, unequal lengths, negative figures or an offer named twice.
    """
    book = _Book.of(queue)
    return book.fill(book.available, amount, held or nothing_held(), borrower_id)


@dataclass(frozen=True, slots=True)
class _Book:
    """A queue in queue order, made ready for many fills.

    ``order`` maps places in the queue to rows as given, ``place`` the other way; ``lender`` is the
    index of each entry's lender among the sorted distinct ``lenders``; ``rounds`` holds the places
    of all lenders' first entries, then of their second ones, and so on.
    """

    order: IntArray
    place: IntArray
    offer_id: IntArray
    rate_ppm: IntArray
    monthly_e12: IntArray
    limit: IntArray
    available: IntArray
    lenders: IntArray
    lender: IntArray
    rounds: tuple[IntArray, ...]

    @classmethod
    def of(cls, queue: Queue) -> Self:
        """Check and sort a queue."""
        queue = checked(queue)
        order = queue_order(queue)
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        lenders, index = np.unique(queue.lender_id[order], return_inverse=True)
        return cls(
            order=order,
            place=place,
            offer_id=queue.offer_id[order],
            rate_ppm=queue.rate_ppm[order],
            monthly_e12=monthly_rate_e12(queue.rate_ppm[order]),
            limit=queue.limit[order],
            available=queue.available[order],
            lenders=lenders,
            lender=index.astype(np.int64),
            rounds=_rounds(index.astype(np.int64)),
        )

    def takes(self, available: IntArray, held: Held, borrower_id: int) -> IntArray:
        """Return what each place gives to one loan of this borrower, pence, ``[N]``."""
        gives = np.zeros_like(available)
        sofar = self._held_by_lender(held, borrower_id)
        for places in self.rounds:
            lender = self.lender[places]
            room = np.minimum(available[places], self.limit[places] - sofar[lender])
            gives[places] = np.maximum(room, 0) // PENCE_PER_UNIT * PENCE_PER_UNIT
            sofar[lender] += gives[places]
        gives[self.lenders[self.lender] == borrower_id] = 0
        return gives

    def fill(self, available: IntArray, amount: int, held: Held, borrower_id: int) -> Fill:
        """Take ``amount`` from the front; see :func:`fill`."""
        _check_amount(amount)
        gives = self.takes(available, held, borrower_id)
        running = np.cumsum(gives)
        taken = np.minimum(gives, np.maximum(amount - (running - gives), 0))
        places = np.flatnonzero(taken)
        return Fill(
            requested=amount,
            fundable=int(running[-1]) if running.size else 0,
            row=self.order[places],
            offer_id=self.offer_id[places],
            lender_id=self.lenders[self.lender[places]],
            rate_ppm=self.rate_ppm[places],
            amount=taken[places],
            blend=blend(taken[places], self.monthly_e12[places]),
        )

    def _held_by_lender(self, held: Held, borrower_id: int) -> IntArray:
        """Return what each of ``lenders`` already has in the borrower, pence."""
        borrowers, lenders, pence = same_length(
            borrower_id=held.borrower_id, lender_id=held.lender_id, pence=held.pence
        )
        theirs = (borrowers == borrower_id) & np.isin(lenders, self.lenders)
        sums = np.zeros(self.lenders.size, dtype=np.int64)
        np.add.at(sums, np.searchsorted(self.lenders, lenders[theirs]), pence[theirs])
        return sums


def _rounds(lender: IntArray) -> tuple[IntArray, ...]:
    """Return the places of every lender's first entry, then of every lender's second, and so on."""
    if lender.size == 0:
        return ()
    by_lender = np.argsort(lender, kind="stable")
    counts = np.bincount(lender)
    rank = np.empty_like(lender)
    rank[by_lender] = np.arange(lender.size) - np.repeat(np.cumsum(counts) - counts, counts)
    by_rank = np.argsort(rank, kind="stable")
    return tuple(np.split(by_rank, np.cumsum(np.bincount(rank))[:-1]))


def _check_amount(amount: int) -> None:
    if amount <= 0 or amount % PENCE_PER_UNIT:
        raise LoanAmountRefused(
            "A loan must be a positive multiple of £10, such as 1000.00.", field="amount"
        )
