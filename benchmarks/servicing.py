"""Spreading payments: the rule alone, and a whole month of the demo's size, durable."""

from __future__ import annotations

from datetime import date

import numpy as np
from django.db import connection, transaction

from accounts.services.bulk import Column, copy_rows
from api.demo import run
from api.demo.world import World
from benchmarks.ledger import make_twin
from benchmarks.measuring import Result, median_of, own_database, seconds
from marketplace.core.arrays import offsets_of
from marketplace.core.distribution import spread
from marketplace.core.house import HOUSE
from marketplace.core.schedule import add_business_days, due_date, following_business_day
from marketplace.selectors.collecting import collectable
from marketplace.services.calendar import bank_holidays
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import PaymentDraft, distribute_cleared, receive_payments

LOANS, PARTS = 20_000, 200


def servicing_spread() -> Result:
    """One payment each of 20,000 loans over 200 parts; the peer is one loan's rule in Python."""
    rng = np.random.default_rng(4)
    weights = rng.integers(1, 6, LOANS * PARTS) * 1_000
    offsets = offsets_of(np.full(LOANS, PARTS))
    ids = np.tile(np.arange(PARTS), LOANS)
    nothing = np.zeros(LOANS * PARTS, dtype=np.int64)
    amounts = rng.integers(1_000, 50_000, LOANS)
    sample = 200

    def peers() -> float:
        spent = seconds(
            lambda: [
                _plain(int(amounts[loan]), weights[loan * PARTS : (loan + 1) * PARTS].tolist())
                for loan in range(sample)
            ]
        )
        return spent * LOANS / sample

    ours, peer = median_of(
        lambda: seconds(lambda: spread(amounts, weights, nothing, ids, offsets)), peers, 5
    )
    return Result(
        "servicing-spread",
        "servicing",
        ours,
        "s",
        f"plain Python, {sample} loans scaled up",
        peer,
        peer / ours,
        "<= 0.5 s",
        holds=ours <= 0.5,
    )


def _plain(amount: int, weights: list[int]) -> list[int]:
    """Earliest whole penny first, for a first payment."""
    total = sum(weights)
    lower = [amount * weight // total for weight in weights]
    left = amount - sum(lower)
    waiting = sorted(
        (-(-(low + 1) * total // weight), place)
        for place, (low, weight) in enumerate(zip(lower, weights, strict=True))
        if amount * weight % total
    )
    for _, place in waiting[:left]:
        lower[place] += 1
    return lower


def servicing_month() -> Result:
    """A month of the demo: distribution, posting and balances, against a COPY of its transfers."""
    with own_database():
        demo = run.Demo(world=World())
        for step in (run.load_past, run.train, run.enrol, run.borrow, run.match, run.pay_borrowers):
            step(demo, lambda _done, _total: None)
        make_twin("twin_transfer", "accounts_transfer")
        months = iter(range(1, 24))
        ours, peers = median_of(lambda: _month(demo.world, next(months)), _copy_last, 5)
    ratio = peers / ours
    return Result(
        "servicing-month",
        "servicing",
        ours,
        "s",
        "binary COPY of the same transfers",
        peers,
        ratio,
        "shown, no limit yet",
        holds=True,
    )


def _month(world: World, number: int) -> float:
    closed = bank_holidays(world.starts_on.year, world.starts_on.year + 3)
    day = following_business_day(due_date(world.starts_on, number), closed)
    fall_due(on=day, actor="bench")
    due = collectable(day)
    receive_payments(
        payments=[
            PaymentDraft(loan, amount)
            for loan, amount in zip(due.loan.tolist(), due.amount.tolist(), strict=True)
        ],
        on=day,
        actor="bench",
        key=f"bench-{number}",
    )
    cleared: date = add_business_days(day, HOUSE.clearing_days, closed)
    return seconds(lambda: distribute_cleared(on=cleared, actor="bench"))


def _copy_last() -> float:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT entry_id, debit_id, credit_id, amount, effective_on - date '1970-01-01'"
            " FROM accounts_transfer WHERE entry_id IN"
            " (SELECT id FROM accounts_entry WHERE kind = 'payment_distributed' AND effective_on ="
            " (SELECT max(effective_on) FROM accounts_entry)) AND book = 1"
        )
        rows = np.array(cursor.fetchall(), dtype=np.int64)
    columns: dict[str, Column] = {
        "entry_id": rows[:, 0],
        "book": np.ones(len(rows), dtype=np.int16),
        "debit_id": rows[:, 1].astype(np.int32),
        "credit_id": rows[:, 2].astype(np.int32),
        "amount": rows[:, 3],
        "effective_on": rows[:, 4].astype("datetime64[D]"),
    }

    def copy() -> None:
        with transaction.atomic():
            copy_rows(connection, "twin_transfer", columns)

    return seconds(copy)
