"""The rules again, written as plainly as possible: loops, fractions, one loan at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor

import numpy as np

from marketplace.core.arrays import IntArray
from marketplace.core.order_book import Queue


def ints(*values: int) -> IntArray:
    """An ``int64`` array."""
    return np.array(values, dtype=np.int64)


def interest(units: int, monthly_e12: int, pence_months: int, total_units: int) -> int:
    """Cumulative interest of one part, pence: the exact figure, halves up."""
    exact = Fraction(units * monthly_e12 * pence_months, total_units * 10**12)
    return floor(exact + Fraction(1, 2))


def spread(
    amount: int, weights: Sequence[int], received: Sequence[int], ids: Sequence[int]
) -> list[int]:
    """New running totals by *earliest whole penny first*."""
    whole = sum(weights)
    target = sum(received) + amount
    exact = [Fraction(target * weight, whole) if whole else Fraction() for weight in weights]
    totals = [max(had, floor(share)) for had, share in zip(received, exact, strict=True)]
    left = target - sum(totals)
    waiting = sorted(
        (ceil(Fraction((totals[i] + 1) * whole, weights[i])), ids[i], i)
        for i in range(len(weights))
        if exact[i] != floor(exact[i]) and totals[i] == floor(exact[i])
    )
    for _, _, i in waiting[:left]:
        totals[i] += 1
    return totals


def waterfall(
    open_instalments: Sequence[tuple[int, int]], amount: int
) -> tuple[list[tuple[int, int]], int]:
    """Interest and principal now paid of each (interest, principal) still open, and the rest."""
    paid = []
    for interest_open, principal_open in open_instalments:
        to_interest = min(amount, interest_open)
        amount -= to_interest
        to_principal = min(amount, principal_open)
        amount -= to_principal
        paid.append((to_interest, to_principal))
    return paid, amount


def takes(queue: Queue, held: Mapping[int, int], borrower_id: int) -> list[int]:
    """What each entry gives to one loan of the borrower, walking down the queue."""
    rows = sorted(
        range(len(queue.offer_id)),
        key=lambda i: (queue.rate_ppm[i], queue.rate_set[i], queue.offer_id[i]),
    )
    given: dict[int, int] = {}
    gives = [0] * len(rows)
    for i in rows:
        lender = int(queue.lender_id[i])
        if lender == borrower_id:
            continue
        room = int(queue.limit[i]) - held.get(lender, 0) - given.get(lender, 0)
        gives[i] = max(min(int(queue.available[i]), room), 0) // 1000 * 1000
        given[lender] = given.get(lender, 0) + gives[i]
    return gives
