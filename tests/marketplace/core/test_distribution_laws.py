"""Spreading payments over parts: the four laws, and equality with the plain rule."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core import distribution
from marketplace.core.distribution import PartBook, Receipts, distribute, spread
from marketplace.core.interest import cumulative_fee, cumulative_interest
from marketplace.core.rates import monthly_rate_e12
from marketplace.core.receipts import receipts_of_totals
from marketplace.core.schedule import Schedule, contract_schedule
from marketplace.core.waterfall import OpenInstalments, waterfall

from . import reference
from .reference import ints

weight_lists = st.lists(st.integers(0, 400), min_size=1, max_size=12).filter(any)


@st.composite
def loans_with_payments(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Weights, and payments that don't exceed them."""
    weights = draw(weight_lists)
    payments, left = [], sum(weights)
    for wish in draw(st.lists(st.integers(0, 600), max_size=12)):
        payments.append(min(wish, left))
        left -= payments[-1]
    return weights, [*payments, left]


@settings(deadline=None)
@given(loans_with_payments(), st.randoms(use_true_random=False))
def test_the_four_laws(loan: tuple[list[int], list[int]], random: object) -> None:
    weights, payments = loan
    whole, ids = sum(weights), list(range(50, 50 + len(weights)))
    mixed = list(range(len(weights)))
    random.shuffle(mixed)  # type: ignore[attr-defined]
    totals, other = np.zeros(len(weights), dtype=np.int64), np.zeros(len(weights), dtype=np.int64)
    expected, received = [0] * len(weights), 0
    for payment in payments:
        shares = spread([payment], weights, totals, ids, [0, len(weights)])
        received, totals = received + payment, totals + shares
        # 1 exact in sum, 2 no total falls, 3 within a penny of the exact share
        assert shares.sum() == payment
        assert (shares >= 0).all()
        assert (np.abs(totals * whole - received * np.array(weights)) < whole).all()
        # 4 row order doesn't matter
        other[mixed] = other[mixed] + spread(
            [payment],
            [weights[i] for i in mixed],
            other[mixed],
            [ids[i] for i in mixed],
            [0, len(weights)],
        )
        assert other.tolist() == totals.tolist()
        # and it is the rule, as plainly written
        expected = reference.spread(payment, weights, expected, ids)
        assert totals.tolist() == expected
    assert totals.tolist() == weights


@settings(deadline=None, max_examples=40)
@given(st.lists(loans_with_payments(), min_size=1, max_size=8), st.integers(1, 20))
def test_many_loans_in_blocks_are_each_loan_alone(
    loans: list[tuple[list[int], list[int]]], block_rows: int
) -> None:
    offsets = np.cumsum([0, *(len(weights) for weights, _ in loans)])
    weights = np.concatenate([np.array(weights) for weights, _ in loans])
    ids = np.arange(weights.size)[::-1].copy()
    before = distribution._BLOCK_ROWS
    distribution._BLOCK_ROWS = block_rows
    try:
        together = spread([plan[0] for _, plan in loans], weights, weights * 0, ids, offsets)
    finally:
        distribution._BLOCK_ROWS = before
    for place, (sizes, plan) in enumerate(loans):
        rows = slice(offsets[place], offsets[place + 1])
        alone = reference.spread(plan[0], sizes, [0] * len(sizes), ids[rows].tolist())
        assert together[rows].tolist() == alone


def test_keys_too_wide_to_pack_are_sorted_all_the_same() -> None:
    # Single pennies in a loan of some 3.5 * 10**16: waiting times of 55 bits, row numbers of 11.
    weights = [1, 2**45, 1, 2**45 + 7] * 500
    ids = list(range(len(weights)))
    shares = spread([901], weights, [0] * len(weights), ids, [0, len(weights)])
    assert shares.tolist() == reference.spread(901, weights, [0] * len(weights), ids)


class _Life:
    """One loan being repaid; each step is checked against the plain figures."""

    def __init__(self, units: list[int], rates_ppm: list[int], schedule: Schedule) -> None:
        self.units, self.schedule = np.array(units), schedule
        self.rates = monthly_rate_e12(np.array(rates_ppm))
        self.ids = np.arange(len(units))[::-1].copy()
        self.months = schedule.principal.size
        self.paid = [np.zeros(self.months, dtype=np.int64) for _ in range(2)]
        self.totals = [np.zeros(len(units), dtype=np.int64) for _ in range(3)]

    def pay(self, amount: int, fee_ppm: int) -> None:
        instalments = OpenInstalments(
            number=np.arange(self.months) + 1,
            interest_due=self.schedule.interest,
            principal_due=self.schedule.principal,
            interest_paid=self.paid[0],
            principal_paid=self.paid[1],
            offsets=ints(0, self.months),
        )
        allocation = waterfall(instalments, [amount])
        receipts = receipts_of_totals(
            principal=[allocation.principal.sum()],
            interest=[allocation.interest.sum()],
            interest_before=[self.paid[0].sum()],
            interest_due=self.schedule.interest,
            pence_months=self.schedule.pence_months,
            offsets=[0, self.months],
        )
        book = PartBook(
            part_id=self.ids,
            units=self.units,
            size=self.units * 1_000,
            monthly_e12=self.rates,
            principal_received=self.totals[0],
            interest_received=self.totals[1],
            fee_received=self.totals[2],
            offsets=ints(0, self.units.size),
        )
        result = distribute(book, receipts, fee_ppm=fee_ppm)
        assert result.principal.sum() + result.interest.sum() == amount
        assert allocation.unallocated.tolist() == [0]
        for shares in (result.principal, result.interest, result.fee):
            assert (shares >= 0).all()
        self.paid = [self.paid[0] + allocation.interest, self.paid[1] + allocation.principal]
        self.totals = [result.principal_received, result.interest_received, result.fee_received]
        self.check(receipts)

    def check(self, receipts: Receipts) -> None:
        principal, interest, fee = self.totals
        total, received = int(self.units.sum()), int(self.paid[1].sum())
        # Principal: everyone within a penny of the exact share of what came in all.
        assert (np.abs(principal * total - received * self.units) < total).all()
        # Interest: within a penny of the exact share inside the period that is being filled.
        full = [self.fixed(i, int(receipts.full_pence_months[0])) for i in range(self.units.size)]
        upper = [self.fixed(i, int(receipts.next_pence_months[0])) for i in range(self.units.size)]
        bucket, inside = sum(upper) - sum(full), int(receipts.partial_interest[0])
        for i in range(self.units.size):
            share = Fraction(inside * (upper[i] - full[i]), bucket) if bucket else Fraction()
            assert abs(interest[i] - full[i] - share) < 1
        assert (fee <= interest).all()

    def fixed(self, part: int, pence_months: int) -> int:
        return reference.interest(
            int(self.units[part]), int(self.rates[part]), pence_months, int(self.units.sum())
        )


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 400_000)), min_size=1, max_size=15),
    st.integers(1, 14),
    st.lists(st.integers(1, 40_000), max_size=25),
    st.sampled_from([0, 10_000, 100_000]),
)
def test_a_loan_repaid_in_any_amounts_keeps_every_law(
    parts: list[tuple[int, int]], months: int, payments: list[int], fee_ppm: int
) -> None:
    units, rates_ppm = [u for u, _ in parts], [rate for _, rate in parts]
    schedule = contract_schedule(units, monthly_rate_e12(np.array(rates_ppm)), months)
    life, left = _Life(units, rates_ppm, schedule), schedule.total_repayable
    for wish in [*payments, left]:
        life.pay(min(wish, left), fee_ppm)
        left -= min(wish, left)
    # When all is paid, everyone has exactly their due.
    principal, interest, fee = life.totals
    last, total = [int(schedule.pence_months[-1])], [sum(units)]
    due = cumulative_interest(units, life.rates, last, total)
    assert principal.tolist() == (life.units * 1_000).tolist()
    assert interest.tolist() == due.tolist()
    assert fee.tolist() == cumulative_fee(units, due, last, total, fee_ppm).tolist()
