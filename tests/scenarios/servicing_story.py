"""A seeded story of many loans, day by day: everything that can happen to them happens.

Borrowers are collected from by a sandbox that fails and bounces; they prepay, settle, move their
due day, take holidays, fall ill and die; staff agree arrangements, write off and recover; the
provision fund decides; lenders withdraw what they got, so that bounces find it spent. Each day ends
with close of day, after which the audit must hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from accounts.core.chart import Kind
from accounts.core.errors import AccountsRefusal
from accounts.models import Account, Member
from accounts.services.cash import (
    CashMovement,
    confirm_withdrawals,
    deposit,
    send_withdrawals,
)
from accounts.services.members import enrol_members
from marketplace.core.collecting import SandboxCollector, SandboxRates
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.loan_events import DefaultCause, Excess, PaymentKind
from marketplace.core.states import LoanState
from marketplace.models import Loan, LoanEvent, Payment
from marketplace.selectors.audit import audit
from marketplace.selectors.findings import Finding
from marketplace.selectors.markets import list_markets
from marketplace.selectors.provision_fund import fund_claims
from marketplace.selectors.servicing import load_claims
from marketplace.services.agreements import accept_agreements, cancel_funded
from marketplace.services.borrowing import (
    ApplicationDraft,
    ListingDraft,
    apply_for_loans,
    list_loans,
)
from marketplace.services.bouncing import bounce_payments
from marketplace.services.changing_loans import (
    agree_arrangement,
    change_due_day,
    end_arrangement,
    end_hardship,
    grant_hardship,
    take_holiday,
    void_event,
)
from marketplace.services.closing_day import close_day
from marketplace.services.contacts import record_promise
from marketplace.services.defaulting import declare_default, recover, settle_for_less, write_off
from marketplace.services.offering import OfferDraft, place_offers
from marketplace.services.provision_fund import decide_claims
from marketplace.services.settling_loans import prepay, rescind, settle_early
from marketplace.services.single_payments import take_payment
from risk.core.table import Fact
from tests.factories import MemberFactory
from tests.world import DAY, facts_of_band, open_house

ACTOR = "story"
HOUSE_RATES = Path(__file__).resolve().parents[2] / "risk" / "specs" / "house.toml"
# Covered by the provision fund, and not.
MARKETS = (("A", 36), ("D", 36))
_RUNNING = (LoanState.ACTIVE, LoanState.ARREARS, LoanState.ARRANGEMENT, LoanState.HARDSHIP)
_OPEN = (*_RUNNING, LoanState.DEFAULT, LoanState.WRITTEN_OFF)
# Loans that are closed, but of which a payment may yet bounce, or an event be taken back.
_CLOSED = (LoanState.REPAID, LoanState.RESCINDED, LoanState.SETTLED, LoanState.RECOVERED)
# What fits a state, tried more often than what doesn't.
_LATE_DEEDS = ("pay", "arrangement", "hardship", "settle for less", "promise", "bounce")
_FITTING = {
    LoanState.ACTIVE: (
        *("pay", "pay in the past", "prepay, shorter", "prepay, smaller", "due day", "holiday"),
        *("hardship", "bounce", "void", "promise", "death", "insolvency"),
    ),
    LoanState.ARREARS: (*_LATE_DEEDS, "arrangement", "pay in the past"),
    LoanState.ARRANGEMENT: (*_LATE_DEEDS, "end arrangement", "void"),
    LoanState.HARDSHIP: (*_LATE_DEEDS, "end hardship", "holiday", "due day", "void"),
    LoanState.DEFAULT: ("recover", "recover", "write off", "settle for less", "bounce", "void"),
    LoanState.WRITTEN_OFF: ("recover", "recover", "settle for less", "bounce", "void"),
}


@dataclass(frozen=True)
class Plan:
    """How large the story is.

    Attributes:
        seed: of everything that is drawn.
        loans: applications in all.
        lenders: each with enough for many £10 parts.
        days: how many calendar days it lasts.
        busy: chance a loan and day that somebody does something unusual with it.
        applied_within: days over which the applications come in.
        missed: chance a day that nobody closes it; it is caught up with the next that is closed.
        rates: how often direct debits fail and bounce.
    """

    seed: int = 6
    loans: int = 50
    lenders: int = 12
    days: int = 60
    busy: float = 0.04
    applied_within: int = 12
    missed: float = 0
    rates: SandboxRates = field(
        default_factory=lambda: SandboxRates(fails=120_000, bounces=120_000)
    )


@dataclass
class Story:
    """The story as it goes along; ``done`` and ``refused`` count what was tried."""

    plan: Plan
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    lenders: list[Member] = field(default_factory=list)
    facts: dict[tuple[str, int], dict[str, Fact]] = field(default_factory=dict)
    applied: int = 0
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Open the house under the real rate table, with lenders and their offers."""
        self.rng = np.random.default_rng(self.plan.seed)
        model = open_house(settings_text=HOUSE_RATES.read_text(encoding="utf-8"))
        for band, term in MARKETS:
            found = facts_of_band(model, band=band, term=term, amount=200_000)
            self.facts[band, term] = dict(found)
        self.lenders = enrol_members(
            members=MemberFactory.build_batch(self.plan.lenders, is_borrower=False)
        )
        self._lenders_begin()

    def live(self, each_day: Callable[[date], None]) -> None:
        """Live all days; ``each_day`` is called after each close of day."""
        collector = SandboxCollector(seed=self.plan.seed, rates=self.plan.rates)
        for number in range(self.plan.days):
            day = DAY + timedelta(days=number)
            self._morning(number, day)
            if self.plan.missed and self.rng.random() < self.plan.missed:
                continue
            close_day(on=day, actor=ACTOR, collector=collector)
            self._count_advances()
            self.seen |= set(Loan.objects.values_list("state", flat=True).distinct())
            each_day(day)

    def _count_advances(self) -> None:
        """Lenders whose money had to be advanced, since they had spent it, so far."""
        self.done["advanced"] = max(
            self.done["advanced"],
            Account.objects.filter(kind=Kind.DEBT, balance__gt=0).count(),
        )
        self.done["bounced"] = Payment.objects.filter(bounced_on__isnull=False).count()

    def _key(self, what: str, day: date) -> str:
        return f"{what}/{day}/{self.done.total()}/{self.refused.total()}"

    def _lenders_begin(self) -> None:
        guide = {(m.band, m.term_months): m for m in list_markets()}
        pence = self.plan.loans * 200_000 * 3 // self.plan.lenders // 1_000 * 1_000
        deposit(
            movements=[CashMovement(m.pk, pence, f"story/{m.pk}") for m in self.lenders],
            on=DAY,
            actor=ACTOR,
        )
        drafts = []
        for place, member in enumerate(self.lenders):
            rates = {
                guide[market].market_id: guide[market].guide_rate + 1_000 * (place % 5 - 2)
                for market in MARKETS
            }
            drafts.append(
                OfferDraft(member.pk, pence, max(pence // 50, 20_000), rates, place % 2 == 0)
            )
        place_offers(drafts=drafts, on=DAY, actor=ACTOR, key="story-offers")

    def _morning(self, number: int, day: date) -> None:
        wanted = min(
            self.plan.loans, -(-self.plan.loans * (number + 1) // self.plan.applied_within)
        )
        if wanted > self.applied and day.weekday() < 5:
            self._apply(wanted - self.applied, day)
        for loan in Loan.objects.filter(state=LoanState.FUNDED, accepted_on=None).order_by("pk"):
            self._answer_agreement(loan, day)
        for loan in Loan.objects.filter(state__in=_OPEN).order_by("pk"):
            if self.rng.random() < self.plan.busy:
                self._something(loan, day)
        for loan in Loan.objects.filter(state__in=_CLOSED).order_by("pk"):
            if self.rng.random() < self.plan.busy / 2:
                name = ("bounce", "void")[int(self.rng.integers(2))]
                self._try(f"{name}, closed", day, self._deeds(loan, day)[name])
        for claim in fund_claims():
            if self.rng.random() < 0.3:
                share = [None, 0, 400_000, 1_000_000][int(self.rng.integers(4))]
                self._try("decide", day, self._decision(claim.claim_id, share, day))
        if number % 7 == 3:
            self._withdraw(day)

    def _apply(self, count: int, day: date) -> None:
        people = enrol_members(members=MemberFactory.build_batch(count, is_lender=False))
        for person in people:
            band, term = MARKETS[int(self.rng.integers(len(MARKETS)))]
            amount = 100_000 + 1_000 * int(self.rng.integers(0, 200))
            [applied] = apply_for_loans(
                drafts=[ApplicationDraft(person.pk, amount, term, self.facts[band, term])],
                on=day,
                actor=ACTOR,
                key=f"apply/{person.pk}",
            )
            self._try("list", day, partial(_list, applied, day))
        self.applied += count

    def _answer_agreement(self, loan: Loan, day: date) -> None:
        drawn = self.rng.random()
        if drawn < 0.75:
            self._try(
                "accept",
                day,
                lambda key: accept_agreements(loan_ids=[loan.pk], on=day, actor=ACTOR, key=key),
            )
        elif drawn < 0.8:
            self._try(
                "cancel",
                day,
                lambda key: cancel_funded(loan_id=loan.pk, on=day, actor=ACTOR, key=key),
            )

    def _try(self, name: str, day: date, act: Callable[[str], object]) -> None:
        """Do it, or count its typed refusal: nothing else may come out."""
        try:
            act(self._key(name, day))
        except (MarketplaceRefusal, AccountsRefusal) as refusal:
            self.refused[f"{name}: {refusal.code}"] += 1
        else:
            self.done[name] += 1

    def _something(self, loan: Loan, day: date) -> None:
        deeds = self._deeds(loan, day)
        fitting = _FITTING.get(LoanState(loan.state), ())
        names = fitting if fitting and self.rng.random() < 0.6 else tuple(deeds)
        name = names[int(self.rng.integers(len(names)))]
        self._try(name, day, deeds[name])

    def _deeds(self, loan: Loan, day: date) -> dict[str, Callable[[str], object]]:
        """Everything that can be tried with a loan, fitting its state or not."""
        rng, number = self.rng, loan.pk
        amount = int(rng.integers(100, max(loan.outstanding, 200)))
        about: dict[str, Any] = {"loan_id": number, "on": day, "actor": ACTOR}
        told = {**about, "reason": "the story"}
        collected = {**about, "kind": PaymentKind.COLLECTION}
        past = day - timedelta(days=int(rng.integers(0, 20)))
        return {
            "pay": lambda key: take_payment(**about, amount=amount // 4, received_on=day, key=key),
            "pay in the past": lambda key: take_payment(
                **about, amount=amount // 4, received_on=past, key=key
            ),
            "prepay, shorter": lambda key: prepay(
                **collected, amount=amount, excess=Excess.SHORTER, key=key
            ),
            "prepay, smaller": lambda key: prepay(
                **collected, amount=amount, excess=Excess.SMALLER, key=key
            ),
            "settle": lambda key: settle_early(**collected, key=key),
            "rescind": lambda key: rescind(**collected, key=key),
            "due day": lambda key: change_due_day(**about, day=int(rng.integers(1, 29)), key=key),
            "holiday": lambda key: take_holiday(**about, months=int(rng.integers(1, 4)), key=key),
            "arrangement": lambda key: agree_arrangement(
                **told, amount=max(loan.instalment // 2, 100), months=4, key=key
            ),
            "end arrangement": lambda key: end_arrangement(**told, key=key),
            "hardship": lambda key: grant_hardship(**told, until=day + timedelta(days=25), key=key),
            "end hardship": lambda key: end_hardship(**told, key=key),
            "death": lambda key: declare_default(**told, cause=DefaultCause.DEATH, key=key),
            "insolvency": lambda key: declare_default(
                **told, cause=DefaultCause.INSOLVENCY, key=key
            ),
            "settle for less": lambda key: settle_for_less(**told, amount=amount // 2, key=key),
            "write off": lambda key: write_off(**told, key=key),
            "recover": lambda key: self._recover(about, amount, key),
            "promise": lambda key: record_promise(
                **about,
                amount=amount // 4,
                due_on=day + timedelta(days=int(rng.integers(1, 20))),
                key=key,
            ),
            "bounce": lambda key: self._bounce(number, day, key),
            "void": lambda key: self._void(number, day, key),
        }

    def _recover(self, about: dict[str, Any], amount: int, key: str) -> None:
        """A part, at a cost; of every seventh loan all of it."""
        if about["loan_id"] % 7:
            recover(**about, amount=amount // 3, cost=amount // 20, key=key)
            return
        [owed] = load_claims(np.array([about["loan_id"]])).payable.tolist()
        recover(**about, amount=owed, cost=0, key=key)

    def _bounce(self, loan_id: int, day: date, key: str) -> None:
        """Any payment of the loan bounces, long ago or not, though it may have done so already."""
        payments = list(Payment.objects.filter(loan=loan_id).order_by("pk"))
        chosen = [payments[int(self.rng.integers(len(payments)))].pk] if payments else [0]
        bounce_payments(payments=chosen, on=day, actor=ACTOR, key=key, reason="no funds")

    def _void(self, loan_id: int, day: date, key: str) -> None:
        """Any event of the loan is taken back, though it may have been already."""
        numbers = list(LoanEvent.objects.filter(loan=loan_id).values_list("number", flat=True))
        chosen = sorted(numbers)[int(self.rng.integers(len(numbers)))] if numbers else 0
        void_event(loan_id=loan_id, number=chosen, on=day, actor=ACTOR, key=key, reason="a mistake")

    def _decision(self, claim: int, share: int | None, day: date) -> Callable[[str], object]:
        return lambda key: decide_claims(
            claim_ids=[claim],
            proportion_ppm=share,
            on=day,
            actor=ACTOR,
            key=key,
            reason="the story",
        )

    def _withdraw(self, day: date) -> None:
        """Half of the lenders take out what cash they have, so that it is not there later."""
        chosen = [m.pk for m in self.lenders if self.rng.random() < 0.5]
        rows = Account.objects.filter(kind=Kind.CASH, owner_id__in=chosen, balance__gt=0)
        movements = [
            CashMovement(owner, balance, f"story-out/{owner}/{day}")
            for owner, balance in rows.order_by("owner_id").values_list("owner_id", "balance")
        ]
        if movements:
            send_withdrawals(movements=movements, on=day, actor=ACTOR)
            confirm_withdrawals(movements=movements, on=day, actor=ACTOR)
            self.done["withdraw"] += len(movements)


def _list(applied: int, day: date, key: str) -> list[int]:
    return list_loans(drafts=[ListingDraft(applied)], on=day, actor=ACTOR, key=key)


def broken(findings: Sequence[Finding]) -> list[str]:
    """What an audit found wrong, for a message."""
    return [f"{one.rule}: {one.wrong} wrong, {one.example}" for one in findings if not one.holds]


def audited(day: date) -> None:
    """The main job's audit holds."""
    found = broken(audit())
    assert not found, (day, found)
