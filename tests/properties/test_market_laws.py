"""Random small markets through the real services: after every step the audit holds, no penny is
made or lost, and it makes no difference on which days servicing happened to run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from accounts.core.chart import Kind
from accounts.models import Member
from accounts.selectors.ledger import member_balances, totals_by_kind
from accounts.services.cash import CashMovement, confirm_withdrawals, send_withdrawals
from marketplace.core.schedule import add_business_days
from marketplace.core.states import LoanState, OfferState
from marketplace.models import Distribution, Instalment, Loan, Offer, Part, Payment
from marketplace.selectors.audit import audit
from marketplace.selectors.collecting import collectable
from marketplace.services.ageing import age_loans
from marketplace.services.borrowing import ListingRefused
from marketplace.services.calendar import bank_holidays
from marketplace.services.changing_offers import cancel_offer
from marketplace.services.falling_due import fall_due
from marketplace.services.matching import run_cycle
from marketplace.services.paying_out import pay_out
from marketplace.services.payments import distribute_cleared
from tests.marketplace.house import (
    House,
    accept,
    borrowers,
    key,
    listing,
    offer,
    paid_out,
    pay,
)
from tests.world import ACTOR, DAY, enrol_lenders

_HOUSE_IS_UNTOUCHED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

# Amounts in steps of £10; a lender's offers are (step, rate in .1 %, limit as a share of it).
_OFFER = st.tuples(st.integers(60, 150), st.integers(60, 100), st.integers(5, 10))
_LENDER = st.lists(_OFFER, min_size=1, max_size=2)
_STEP = st.one_of(
    st.tuples(st.just("pay"), st.integers(0, 2), st.integers(1, 1_300)),
    st.tuples(st.just("pay"), st.integers(0, 2), st.just(1_000)),
    st.tuples(st.just("list"), st.integers(0, 2), st.integers(100, 150)),
    st.tuples(st.just("cancel"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("withdraw"), st.integers(0, 7), st.integers(1, 1_000)),
)
_STEPS = st.lists(st.tuples(st.integers(0, 60), _STEP), min_size=3, max_size=8)


@dataclass
class _Market:
    """A market on its way, and what came into and went out of the bank so far."""

    house: House
    lenders: list[Member]
    borrowers: list[Member]
    day: date = DAY
    bank: int = 0
    seen: dict[int, int] = field(default_factory=dict)

    def run_servicing(self) -> None:
        """What a day's jobs do, in their order; a cycle, and pay-out of what it funded."""
        fall_due(on=self.day, actor=ACTOR)
        distribute_cleared(on=self.day, actor=ACTOR)
        age_loans(on=self.day)
        run_cycle(on=self.day, actor=ACTOR, key=key())
        funded = list(Loan.objects.filter(state=LoanState.FUNDED).values_list("pk", flat=True))
        if funded:
            accept(*funded, on=self.day)
            pay_out(loan_ids=funded, on=self.day, actor=ACTOR, key=key())

    def pay(self, who: int, share: int) -> None:
        """A borrower's loans are paid so many thousandths of what they owe today."""
        due = collectable(self.day)
        amounts = dict(zip(due.loan.tolist(), due.amount.tolist(), strict=True))
        borrower = self.borrowers[who % len(self.borrowers)]
        for loan in Loan.objects.filter(borrower=borrower, pk__in=amounts):
            amount = max(1, amounts[loan.pk] * share // 1_000)
            pay(loan.pk, amount, self.day)
            self.bank += amount

    def list(self, who: int, steps: int) -> None:
        """A borrower lists a loan, unless that is refused: another is open, or one is late."""
        borrower = self.borrowers[who % len(self.borrowers)]
        try:
            with transaction.atomic():
                listing(self.house, borrower, steps * 1_000, on=self.day)
        except ListingRefused:
            event("a listing was refused")

    def cancel(self, which: int, _: int) -> None:
        """An offer is taken back."""
        offers = list(Offer.objects.filter(state=OfferState.OPEN))
        if offers:
            chosen = offers[which % len(offers)]
            cancel_offer(
                offer_id=chosen.pk, lender_id=chosen.lender_id, on=self.day, actor=ACTOR, key=key()
            )

    def withdraw(self, who: int, share: int) -> None:
        """Somebody withdraws so many thousandths of their cash."""
        people = self.lenders + self.borrowers
        member = people[who % len(people)]
        amount = member_balances(member.pk).cash * share // 1_000
        if amount:
            moved = [CashMovement(member.pk, amount, key())]
            send_withdrawals(movements=moved, on=self.day, actor=ACTOR)
            confirm_withdrawals(movements=moved, on=self.day, actor=ACTOR)
            self.bank -= amount

    def check(self) -> None:
        """The laws that hold after every step."""
        assert [finding.rule for finding in audit() if not finding.holds] == []
        totals = Counter(totals_by_kind())  # without a loan there are no accounts of loans
        assert totals[Kind.CLIENT_BANK] + totals[Kind.COLLECTING] == self.bank
        somebodys = (Kind.CASH, Kind.ON_OFFER, Kind.MATCHED, Kind.ON_ITS_WAY, Kind.CLEARING)
        assert self.bank == sum(totals[kind] for kind in somebodys) + totals[Kind.FEES]
        waiting = Payment.objects.filter(distributed_on=None, bounced_on=None)
        assert totals[Kind.CLEARING] == sum(payment.amount for payment in waiting)
        for part in Part.objects.annotate(loan_row=F("loan__distributions")):
            spread = Distribution.objects.filter(loan=part.loan_id, number=part.loan_row).first()
            received = spread.principal[part.number - 1] if spread else 0
            assert self.seen.get(part.pk, 0) <= received <= part.size
            self.seen[part.pk] = received
        late = set(collectable(self.day - timedelta(days=1)).loan.tolist())
        on_time = Loan.objects.filter(state=LoanState.ACTIVE).values_list("pk", flat=True)
        assert not late & set(on_time)


@given(
    lenders=st.lists(_LENDER, min_size=2, max_size=4),
    people=st.integers(1, 3),
    steps=_STEPS,
)
@settings(max_examples=10, deadline=None, suppress_health_check=_HOUSE_IS_UNTOUCHED)
def test_whatever_happens_the_book_is_good(
    house: House,
    lenders: list[list[tuple[int, int, int]]],
    people: int,
    steps: list[tuple[int, tuple[str, int, int]]],
) -> None:
    with transaction.atomic():
        cash = [sum(size for size, _, _ in offers) * 1_000 for offers in lenders]
        market = _Market(house, enrol_lenders(cash), borrowers(people), bank=sum(cash))
        for lender, offers in zip(market.lenders, lenders, strict=True):
            for size, rate, tenths in offers:
                limit = max(1, size * tenths // 10) * 1_000
                offer(house, lender, size * 1_000, {"A/36": rate * 1_000}, limit=limit)
        for who in range(people):
            market.list(who, 100 + 10 * who)
        market.run_servicing()
        market.check()
        for days, (what, who, how_much) in steps:
            market.day += timedelta(days=days)
            market.run_servicing()
            act: Callable[[int, int], None] = getattr(market, what)
            act(who, how_much)
            market.check()
        event(f"loans: {Loan.objects.count()}")
        for state in set(Loan.objects.values_list("state", flat=True)):
            event(f"a loan is {state}")
        event(f"shares: {Distribution.objects.exists()}")
        transaction.set_rollback(True)


_PAYMENTS = st.lists(
    st.tuples(st.integers(0, 130), st.integers(1, 7_000)), min_size=1, max_size=5
).map(sorted)
_RUNS = st.sets(st.integers(0, 130), max_size=4).map(sorted)
_LAST = 150


def _serviced(loan_id: int, payments: list[tuple[int, int]], runs: list[int]) -> object:
    """What a loan has come to when servicing ran on these days, and on the last."""
    with transaction.atomic():
        for offset in range(_LAST + 1):
            day = DAY + timedelta(days=offset)
            for when, amount in payments:
                if when == offset:
                    pay(loan_id, amount, day)
            if offset in runs or offset == _LAST:
                fall_due(on=day, actor=ACTOR)
                distribute_cleared(on=day, actor=ACTOR)
        loan = Loan.objects.get(pk=loan_id)
        found = (
            list(
                Instalment.objects.filter(loan=loan).values_list(
                    "interest_due", "interest_paid", "principal_paid", "balance_months"
                )
            ),
            list(
                Distribution.objects.filter(loan=loan, number=loan.distributions).values_list(
                    "principal", "interest", "fee"
                )
            ),
            list(Payment.objects.filter(loan=loan).values_list("interest", "principal")),
            member_balances(loan.borrower_id),
        )
        transaction.set_rollback(True)
    return found


@given(payments=_PAYMENTS, runs=_RUNS)
@settings(max_examples=8, deadline=None, suppress_health_check=_HOUSE_IS_UNTOUCHED)
def test_on_which_days_servicing_ran_makes_no_difference(
    house: House, payments: list[tuple[int, int]], runs: list[int]
) -> None:
    with transaction.atomic():
        loan = paid_out(house, [(62_000, 41_000), (69_000, 18_000), (75_000, 41_000)]).loan_id
        # Punctual: on each due date, and each day on which a payment clears.
        closed = bank_holidays(2016, 2016)
        clear = [
            (add_business_days(DAY + timedelta(days=when), 3, closed) - DAY).days
            for when, _ in payments
        ]
        due = [32, 61, 91, 122]  # 3 May, 1 June, 1 July, 1 August
        assert _serviced(loan, payments, runs) == _serviced(loan, payments, [*clear, *due])
        transaction.set_rollback(True)
