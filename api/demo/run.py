"""The demo's steps, in order: each calls the services that everyone else calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from accounts.models import Member
from accounts.selectors.journal_export import export_journal, numbers_of_period
from accounts.selectors.sealing import waiting_entries
from accounts.services.cash import (
    CashMovement,
    confirm_withdrawals,
    deposit,
    send_withdrawals,
)
from accounts.services.members import enrol_members
from accounts.services.sealing import seal_all
from api.demo.people import make_borrowers, make_lenders, make_staff, seed_people
from api.demo.world import (
    Conduct,
    ConductCollector,
    World,
    applicants,
    application,
    conduct,
    deposits,
    highest_rate,
    offers,
)
from marketplace.core.closing import Step
from marketplace.core.house import HOUSE
from marketplace.core.provision_fund import PPM
from marketplace.core.schedule import add_business_days, due_date, following_business_day
from marketplace.core.states import ApplicationState, LoanState
from marketplace.models import Application, Loan
from marketplace.selectors.audit import audit
from marketplace.selectors.collecting import collectable
from marketplace.selectors.findings import Finding
from marketplace.selectors.fund_coverage import fund_coverage
from marketplace.selectors.markets import list_markets
from marketplace.selectors.provision_fund import fund_claims
from marketplace.services.ageing import age_loans
from marketplace.services.agreements import accept_agreements
from marketplace.services.borrowing import (
    ListingDraft,
    apply_for_loans,
    list_loans,
)
from marketplace.services.calendar import bank_holidays
from marketplace.services.closing_day import close_day
from marketplace.services.falling_due import fall_due
from marketplace.services.markets import open_markets
from marketplace.services.matching import CycleView, run_cycle
from marketplace.services.offering import place_offers
from marketplace.services.paying_out import pay_out
from marketplace.services.payments import PaymentDraft, distribute_cleared, receive_payments
from marketplace.services.provision_fund import decide_claims, propose_claims
from marketplace.services.topping_up import top_up_offers
from risk.core.reading import read_table
from risk.core.spec import spec_from_toml
from risk.models import DataSet, ModelVersion
from risk.selectors.past_applications import HoldoutRow, holdout_rows
from risk.selectors.rate_tables import current_rate_table
from risk.services.approving import approve_model, approve_rate_table
from risk.services.loading import load_data_set
from risk.services.rate_tables import build_rate_table
from risk.services.training import train_model
from risk.services.validating import validate_model

Progress = Callable[[int, int], None]

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data" / "lending_club_2016q1.csv"
SPEC = ROOT / "risk" / "specs" / "lending_club_2016q1.toml"
HOUSE_RATES = ROOT / "risk" / "specs" / "house.toml"

ACTOR = "demo"
# The last due date and its clearing days lie in the days that are closed one by one.
_DAYS_CLOSED = 7
AUTHOR, APPROVER = "risk-officer-1", "risk-officer-2"


@dataclass
class Demo:
    """What the demo knows as it goes along; each step fills in some of it."""

    world: World = field(default_factory=World)
    data: Path = DATA
    data_set: DataSet | None = None
    model: ModelVersion | None = None
    lenders: list[Member] = field(default_factory=list)
    borrowers: list[Member] = field(default_factory=list)
    staff: list[Member] = field(default_factory=list)
    paid_in: int = 0
    assessed: dict[str, int] = field(default_factory=dict)
    conduct: dict[int, Conduct] = field(default_factory=dict)
    cycle: CycleView | None = None
    shares: int = 0
    topped_up: int = 0
    last_day: date | None = None

    def rng(self, step: int) -> np.random.Generator:
        """A generator of the step's own, so that no step's draws depend on another's."""
        return np.random.default_rng([self.world.seed, step])


def check_input(demo: Demo, progress: Progress) -> None:
    """Read the file of past loans without storing anything.

    Raises:
        RiskRefusal: naming file, row and column of what is wrong.
        OSError: it can't be read.
    """
    spec = spec_from_toml(SPEC.read_text(encoding="utf-8"))
    read_table(demo.data.read_bytes(), demo.data.name, spec)
    progress(1, 1)


def load_past(demo: Demo, progress: Progress) -> None:
    """Load the real loans as past applications with outcomes."""
    demo.data_set = load_data_set(
        content=demo.data.read_bytes(),
        file_name=demo.data.name,
        spec_text=SPEC.read_text(encoding="utf-8"),
        name="LendingClub, first quarter of 2016",
        on=demo.world.starts_on,
        progress=progress,
    )


def train(demo: Demo, progress: Progress) -> None:
    """Fit the scorecard, have a second person approve it, and solve the rate table."""
    if demo.data_set is None:
        raise RuntimeError("there is nothing to train on yet")
    on = demo.world.starts_on
    demo.model = train_model(
        data_set=demo.data_set,
        name="house scorecard",
        seed=demo.world.seed,
        author=AUTHOR,
        on=on,
        progress=progress,
    )
    validate_model(model_version=demo.model, validator=AUTHOR, on=on)
    demo.model = approve_model(model_version=demo.model, approver=APPROVER, on=on)
    table = build_rate_table(
        model_version=demo.model,
        settings_text=HOUSE_RATES.read_text(encoding="utf-8"),
        author=AUTHOR,
        on=on,
    )
    approve_rate_table(rate_table=table, approver=APPROVER, on=on)
    open_markets(bands=current_rate_table().bands)


def enrol(demo: Demo, progress: Progress) -> None:
    """Lenders and staff join; the lenders pay in and place their offers."""
    world, rng = demo.world, demo.rng(1)
    seed_people(world.seed)
    people = make_lenders(world.lenders, world.starts_on)
    progress(1, 4)
    demo.lenders = enrol_members(members=people)
    demo.staff = enrol_members(members=make_staff(world.starts_on))
    progress(2, 4)
    amounts = deposits(world, rng)
    demo.paid_in = int(amounts.sum())
    deposit(
        movements=[
            CashMovement(lender.pk, int(pence), f"demo/{lender.pk}")
            for lender, pence in zip(demo.lenders, amounts, strict=True)
        ],
        on=world.starts_on,
        actor=ACTOR,
    )
    progress(3, 4)
    place_offers(
        drafts=offers([lender.pk for lender in demo.lenders], amounts, list_markets(), rng),
        on=world.starts_on,
        actor=ACTOR,
        key="demo-offers",
    )
    progress(4, 4)


def borrow(demo: Demo, progress: Progress) -> None:
    """Real applicants whom the model has not seen apply; those quoted are listed.

    Applications are taken in turn until enough are quoted: the others are declined or referred.
    """
    if demo.model is None:
        raise RuntimeError("there is no model yet")
    world, rng = demo.world, demo.rng(2)
    waiting = applicants(holdout_rows(model_version=demo.model), rng)
    rows: dict[int, HoldoutRow] = {}
    quoted: list[int] = []
    while len(quoted) < world.loans and waiting:
        batch = waiting[: world.loans - len(quoted)]
        del waiting[: len(batch)]
        people = enrol_members(members=make_borrowers(len(batch), world.starts_on))
        demo.borrowers += people
        applications = apply_for_loans(
            drafts=[application(r, p.pk) for r, p in zip(batch, people, strict=True)],
            on=world.starts_on,
            actor=ACTOR,
            key=f"demo-applications-{len(rows)}",
        )
        rows |= dict(zip(applications, batch, strict=True))
        states = dict(Application.objects.filter(pk__in=applications).values_list("pk", "state"))
        quoted += [a for a in applications if states[a] == ApplicationState.QUOTED]
        for state in states.values():
            demo.assessed[state] = demo.assessed.get(state, 0) + 1
        progress(len(quoted), world.loans)
    markets = {market.market_id: market for market in list_markets()}
    market_of = dict(Application.objects.filter(pk__in=quoted).values_list("pk", "market_id"))
    list_loans(
        drafts=[ListingDraft(a, highest_rate(markets[market_of[a]], rng)) for a in quoted],
        on=world.starts_on,
        actor=ACTOR,
        key="demo-listings",
    )
    demo.conduct = {a: conduct(rows[a], world, rng) for a in quoted}


def match(demo: Demo, progress: Progress) -> None:
    """Run the matching cycle."""
    demo.cycle = run_cycle(on=demo.world.starts_on, actor=ACTOR, key="demo-cycle")
    progress(1, 1)


def pay_borrowers(demo: Demo, progress: Progress) -> None:
    """The borrowers accept; the loans are paid out, and the borrowers sent their money."""
    on = demo.world.starts_on
    funded = list(Loan.objects.filter(state=LoanState.FUNDED).order_by("pk"))
    ids = [loan.pk for loan in funded]
    accept_agreements(loan_ids=ids, on=on, actor=ACTOR, key="demo-acceptance")
    progress(1, 3)
    pay_out(loan_ids=ids, on=on, actor=ACTOR, key="demo-pay-out")
    progress(2, 3)
    movements = [
        CashMovement(loan.borrower_id, loan.amount - loan.arrangement_fee, f"loan/{loan.pk}")
        for loan in funded
    ]
    send_withdrawals(movements=movements, on=on, actor=ACTOR)
    confirm_withdrawals(movements=movements, on=on, actor=ACTOR)
    progress(3, 3)


def service(demo: Demo, progress: Progress) -> None:
    """Month by month: collect, spread what has cleared over the parts, have the fund pay claims.

    The last instalment is left to :func:`close_days`.
    """
    days = _due_days(demo.world)
    conduct_of = _conduct_of(demo)
    for number, day in enumerate(days[:-1], 1):
        fall_due(on=day, actor=ACTOR)
        payments = _payments(number, day, conduct_of)
        if payments:
            receive_payments(payments=payments, on=day, actor=ACTOR, key=f"demo-{number}")
        cleared = _cleared(demo.world, day)
        demo.shares += distribute_cleared(on=cleared, actor=ACTOR)
        age_loans(on=cleared)
        _decide_claims(cleared)
        demo.topped_up += top_up_offers(on=cleared, actor=ACTOR).pence
        demo.last_day = cleared
        progress(number, demo.world.months - 1)


def close_days(demo: Demo, progress: Progress) -> None:
    """Close the last week's days as operations would, until the last payments have cleared."""
    days = _due_days(demo.world)
    last = _cleared(demo.world, days[-1])
    since = last - timedelta(days=_DAYS_CLOSED - 1)
    collector = ConductCollector(
        {day: number for number, day in enumerate(days, 1)}, _conduct_of(demo)
    )
    for place in range(_DAYS_CLOSED):
        day = since + timedelta(days=place)
        report = close_day(on=day, today=day, since=since, actor=ACTOR, collector=collector)
        _decide_claims(day)
        demo.shares += report.counted(Step.DISTRIBUTE, "shares")
        demo.topped_up += report.counted(Step.TOP_UP, "pence")
        demo.last_day = day
        progress(place + 1, _DAYS_CLOSED)


def _due_days(world: World) -> list[date]:
    closed = _closed(world)
    return [
        following_business_day(due_date(world.starts_on, number), closed)
        for number in range(1, world.months + 1)
    ]


def _cleared(world: World, day: date) -> date:
    return add_business_days(day, HOUSE.clearing_days, _closed(world))


def _closed(world: World) -> frozenset[date]:
    return bank_holidays(world.starts_on.year, world.starts_on.year + world.months // 12 + 1)


def _conduct_of(demo: Demo) -> dict[int, Conduct]:
    """How the borrower of each loan pays, by loan."""
    loans = Loan.objects.filter(paid_out_on__isnull=False).values_list("pk", "application_id")
    return {loan: demo.conduct[application] for loan, application in loans}


def _decide_claims(on: date) -> None:
    """Two officers decide on new claims on the provision fund.

    They pay the proportion that leaves as much for each pound of the losses still expected.
    """
    propose_claims(on=on, actor=ACTOR, key=f"demo-claims-{on}")
    new = [claim.claim_id for claim in fund_claims() if not claim.paid]
    if not new:
        return
    fund = fund_coverage(on).figures
    proportion = min(PPM, fund.balance * PPM // (fund.waiting + fund.losses))
    decide_claims(
        claim_ids=new,
        proportion_ppm=proportion,
        on=on,
        actor=AUTHOR,
        second=APPROVER,
        key=f"demo-decision-{on}",
        reason="As much for each pound of losses to come.",
    )


def seal_book(_demo: Demo, progress: Progress) -> None:
    """Number and chain everything that was booked."""
    waiting, done = waiting_entries(), 0
    for sealed in seal_all():
        done += sealed.entries
        progress(done, max(waiting, done))


def export_last_month(demo: Demo, progress: Progress, file: Path) -> None:
    """Write the sealed journal of the last thirty days to a file."""
    if demo.last_day is None:
        raise RuntimeError("the demo has not come to its end")
    tomorrow = demo.last_day + timedelta(days=1)
    numbers = numbers_of_period(tomorrow - timedelta(days=30), tomorrow)
    whole = numbers.last - numbers.first + 1
    with file.open("wb") as journal:
        journal.writelines(export_journal(numbers, lambda done: progress(done, whole)))


def audit_all(demo: Demo) -> list[Finding]:
    """The audit; every loan is replayed to the end of the last day."""
    if demo.last_day is None:
        raise RuntimeError("the demo has not come to its end")
    return audit(on=demo.last_day + timedelta(days=1))


def _payments(number: int, day: date, conduct_of: dict[int, Conduct]) -> Sequence[PaymentDraft]:
    due = collectable(day)
    drafts = [
        PaymentDraft(loan, conduct_of[loan].pays(number, amount))
        for loan, amount in zip(due.loan.tolist(), due.amount.tolist(), strict=True)
    ]
    return [draft for draft in drafts if draft.amount]
