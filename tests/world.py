"""A tiny house with real money in it, made by the real services: the model is quick, not good.

:func:`tiny_world` is the fixture of the house design brought to life. Seven lenders offer in A/36;
Ada borrows £1,000 of it at 7.0 % and £30.78 a month, and has paid one instalment; Ben's £2,000 wait
for more offers; Cleo's £1,200 are quoted and not yet listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from accounts.models import Member, Role
from accounts.services.cash import CashMovement, deposit
from accounts.services.members import enrol_members
from marketplace.models import Loan
from marketplace.selectors.depth import market_keys
from marketplace.services.agreements import accept_agreements
from marketplace.services.borrowing import (
    ApplicationDraft,
    ListingDraft,
    apply_for_loans,
    list_loans,
)
from marketplace.services.falling_due import fall_due
from marketplace.services.markets import open_markets
from marketplace.services.matching import run_cycle
from marketplace.services.offering import OfferDraft, place_offers
from marketplace.services.paying_out import pay_out
from marketplace.services.payments import PaymentDraft, distribute_cleared, receive_payments
from risk.core.facts import ApplicationFacts
from risk.core.scorecard import ScorecardSettings
from risk.core.table import Fact
from risk.models import ModelVersion
from risk.selectors.past_applications import holdout_rows
from risk.selectors.rate_tables import current_rate_table
from risk.services.approving import approve_model, approve_rate_table
from risk.services.assessing import assess_applications
from risk.services.loading import load_data_set
from risk.services.rate_tables import build_rate_table
from risk.services.training import train_model
from risk.services.validating import validate_model
from risk.specs import spec_text
from tests.factories import JOINED, MemberFactory

DAY = date(2016, 4, 1)
FIRST_DUE = date(2016, 5, 3)  # 1 May is a Sunday, 2 May a bank holiday
CLEARED = date(2016, 5, 6)  # three business days later
ACTOR = "tests"
BAND, TERM = "A", 36

# Rate (ppm) and amount (pence), in order of time: the fixture of the house design.
SEVEN_OFFERS = (
    (75_000, 64_000),
    (69_000, 48_000),
    (71_000, 52_000),
    (104_000, 17_000),
    (81_000, 32_000),
    (74_000, 14_000),
    (71_000, 6_000),
)

_SPEC = "lending_club_2016q1"
_ROWS = 1_500
_PROBES = 120
_QUICK = ScorecardSettings(
    inputs=("annual_inc", "all_util", "emp_length", "inq_fi", "open_il_24m", "inq_last_6mths"),
    strengths=(0.25,),
    folds=3,
)


@dataclass(frozen=True)
class World:
    """Who is in the tiny world; ``loan_id`` is Ada's loan."""

    lenders: list[Member]
    ada: Member
    ben: Member
    cleo: Member
    auditor: Member
    operations: Member
    risk_officer: Member
    loan_id: int


HOUSE_TEXT = Path(__file__).with_name("house.toml").read_text(encoding="utf-8")


@cache
def _past_applications() -> bytes:
    file = Path(__file__).resolve().parent.parent / "data" / f"{_SPEC}.csv"
    with file.open("rb") as lines:
        return b"".join(line for line, _ in zip(lines, range(_ROWS + 1), strict=False))


def open_house(settings_text: str = HOUSE_TEXT) -> ModelVersion:
    """An approved model and rate table, and the markets that they price; about a second."""
    data_set = load_data_set(
        content=_past_applications(),
        file_name=f"{_SPEC}.csv",
        spec_text=spec_text(_SPEC),
        name="the first rows",
        on=DAY,
    )
    model = train_model(
        data_set=data_set, name="quick", seed=1, author="ann", on=DAY, settings=_QUICK
    )
    table = build_rate_table(model_version=model, settings_text=settings_text, author="ann", on=DAY)
    validate_model(model_version=model, validator="ann", on=DAY)
    approve_model(model_version=model, approver="bob", on=DAY)
    approve_rate_table(rate_table=table, approver="bob", on=DAY)
    open_markets(bands=current_rate_table().bands)
    return model


def facts_of_band(
    model: ModelVersion, *, band: str = BAND, term: int = TERM, amount: int = 200_000
) -> Mapping[str, Fact]:
    """The facts of a real applicant whom the model puts into ``band``."""
    rows = holdout_rows(model_version=model)[:_PROBES]
    views = assess_applications(
        applications=[
            ApplicationFacts(f"probe-{band}-{term}-{row.row_number}", amount, term, row.facts)
            for row in rows
        ],
        on=DAY,
    )
    for row, view in zip(rows, views, strict=True):
        if view.band == band and view.decision.value == "quoted":
            return row.facts
    raise AssertionError(f"none of the first {_PROBES} unseen applicants is quoted in {band}")


def enrol_lenders(cash: Sequence[int]) -> list[Member]:
    """Lenders with so many pence each in cash."""
    lenders = enrol_members(members=MemberFactory.build_batch(len(cash), is_borrower=False))
    deposit(
        movements=[
            CashMovement(member.pk, pence, f"opening-{member.pk}")
            for member, pence in zip(lenders, cash, strict=True)
        ],
        on=DAY,
        actor=ACTOR,
    )
    return lenders


def place(
    lenders: Sequence[Member],
    offers: Sequence[tuple[int, int]],
    *,
    band: str = BAND,
    term: int = TERM,
    exposure_limit: int | None = None,
    key: str = "offers",
) -> list[int]:
    """One offer a lender, (ppm, pence) each, in one market; by default without a tighter limit."""
    [market] = market_keys([(band, term)])
    drafts = [
        OfferDraft(lender.pk, amount, exposure_limit or amount, {market: rate})
        for lender, (rate, amount) in zip(lenders, offers, strict=True)
    ]
    return place_offers(drafts=drafts, on=DAY, actor=ACTOR, key=key)


def apply(
    borrowers: Sequence[Member],
    amounts: Sequence[int],
    facts: Mapping[str, Fact],
    *,
    term: int = TERM,
    key: str = "applications",
) -> list[int]:
    """One application a borrower, all on the same facts."""
    drafts = [
        ApplicationDraft(borrower.pk, amount, term, facts)
        for borrower, amount in zip(borrowers, amounts, strict=True)
    ]
    return apply_for_loans(drafts=drafts, on=DAY, actor=ACTOR, key=key)


def fund(applications: Sequence[int], *, key: str = "fund") -> list[int]:
    """List applications, run one cycle; what it funded is accepted and paid out; those loans."""
    list_loans(
        drafts=[ListingDraft(application) for application in applications],
        on=DAY,
        actor=ACTOR,
        key=key,
    )
    run_cycle(on=DAY, actor=ACTOR, key=key)
    funded = Loan.objects.filter(application__in=applications).values_list("pk", flat=True)
    loans = sorted(funded)
    if loans:
        accept_agreements(loan_ids=loans, on=DAY, actor=ACTOR, key=key)
        pay_out(loan_ids=loans, on=DAY, actor=ACTOR, key=key)
    return loans


def pay_first_instalments(loan_ids: Sequence[int]) -> None:
    """The first instalments fall due, are paid on the day, clear, and are spread."""
    fall_due(on=FIRST_DUE, actor=ACTOR)
    due = Loan.objects.in_bulk(loan_ids)
    receive_payments(
        payments=[PaymentDraft(key, due[key].instalment) for key in loan_ids],
        on=FIRST_DUE,
        actor=ACTOR,
        key="first instalments",
    )
    distribute_cleared(on=CLEARED, actor=ACTOR)


def tiny_world() -> World:
    """The world of the module's first lines; about two seconds, and it commits."""
    model = open_house()
    lenders = enrol_lenders([100_000] * len(SEVEN_OFFERS))
    place(lenders, SEVEN_OFFERS)
    ada, ben, cleo = enrol_members(
        members=[
            MemberFactory.build(name=name, email=f"{name.lower()}@example.org", is_lender=False)
            for name in ("Ada", "Ben", "Cleo")
        ]
    )
    applications = apply([ada, ben, cleo], [100_000, 200_000, 120_000], facts_of_band(model))
    [loan] = fund(applications[:2])
    pay_first_instalments([loan])
    auditor, operations, risk_officer = enrol_members(
        members=[_staff(role) for role in (Role.AUDITOR, Role.OPERATIONS, Role.RISK_OFFICER)]
    )
    return World(lenders, ada, ben, cleo, auditor, operations, risk_officer, loan)


def _staff(role: Role) -> Member:
    return Member(email=f"{role.value}@example.org", name=role.label, role=role, joined_on=JOINED)
