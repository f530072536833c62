"""What each step of closing a day calls. A step's counts are what its report will say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from django.db import connection

from accounts.selectors.reconciliations import list_breaks, reconciliations
from accounts.services.collected_rests import move_rests
from accounts.services.debts import settle_debts
from accounts.services.payment_files import NothingToSweep, SweepUnderWay, sweep_fees
from accounts.services.reconciliation import ReconciliationDateRefused
from accounts.services.sealing import seal_all
from marketplace.core.closing import Step
from marketplace.core.collecting import Collector
from marketplace.core.house import House
from marketplace.core.schedule import following_business_day
from marketplace.selectors.markets import MarketUnknown
from marketplace.selectors.servicing import loans_to_spread
from marketplace.services.ageing import age_loans
from marketplace.services.agreements import expire_listings, lapse_unaccepted, pay_out_accepted
from marketplace.services.bouncing_collections import bounce_due
from marketplace.services.calendar import bank_holidays_around
from marketplace.services.collecting import collect
from marketplace.services.contacts import judge_promises
from marketplace.services.distributing import compute_distribution, write_distribution
from marketplace.services.falling_due import fall_due
from marketplace.services.locks import hold_loans, lock_loans, lock_servicing
from marketplace.services.matching import run_cycle
from marketplace.services.notices import write_notices
from marketplace.services.provision_fund import propose_claims
from marketplace.services.reconciliation import reconcile
from marketplace.services.staging import take_staged
from marketplace.services.topping_up import top_up_offers
from risk.core.errors import RiskRefusal

# Has the distribution of a day computed elsewhere; what it leaves undone is computed when posting.
Stager = Callable[[date], None]


def no_stager(_day: date) -> None:
    """Compute nothing beforehand."""


@dataclass(frozen=True)
class Closing:
    """The day that is closed, and with what.

    Attributes:
        on: the day.
        actor: who closes it.
        house: settings.
        collector: how instalments are collected, if they are.
        stage: has drafts of the distribution made.
        today: the business date that it is; later than the day where a missed one is caught up.
    """

    on: date
    actor: str
    house: House
    collector: Collector | None
    stage: Stager
    today: date

    def key(self, step: Step) -> str:
        """The idempotency key of the day's step."""
        return f"close-day/{self.on.isoformat()}/{step.value}"


@dataclass(frozen=True)
class Did:
    """What a step did, or one posting of it.

    Attributes:
        counts: whole numbers by what they count.
        note: why there was nothing to do.
        more: whether it is to be called again.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    more: bool = False


Action = Callable[[Closing], Did]


def _counts(answer: Any) -> dict[str, int]:
    """The whole numbers of a service's answer, a frozen dataclass."""
    return {name: value for name, value in asdict(answer).items() if isinstance(value, int)}


def _is_business_day(on: date) -> bool:
    return following_business_day(on, bank_holidays_around(on)) == on


_NO_BUSINESS = "Banks are closed on this day."
_NO_COLLECTOR = "Nobody was named who collects."


def _bounces(day: Closing) -> Did:
    if day.collector is None:
        return Did(note=_NO_COLLECTOR)
    did = bounce_due(
        on=day.on,
        collector=day.collector,
        actor=day.actor,
        key=day.key(Step.BOUNCES),
        house=day.house,
    )
    return Did(_counts(did))


def _fall_due(day: Closing) -> Did:
    return Did({"instalments": fall_due(on=day.on, actor=day.actor, house=day.house)})


def _collect(day: Closing) -> Did:
    if day.collector is None:
        return Did(note=_NO_COLLECTOR)
    if not _is_business_day(day.on):
        return Did(note=_NO_BUSINESS)
    did = collect(
        on=day.on,
        collector=day.collector,
        actor=day.actor,
        key=day.key(Step.COLLECT),
        today=day.today,
        house=day.house,
    )
    return Did(_counts(did))


def _rests(day: Closing) -> Did:
    return Did(_counts(move_rests(on=day.on, actor=day.actor)))


def _distribute(day: Closing) -> Did:
    """One posting: a draft that was staged, or, once there is none, all that is still to do."""
    lock_servicing()
    staged = draft = take_staged(on=day.on)
    if draft is None:
        loans = loans_to_spread(day.on)
        if not len(loans):
            # Somebody may be about to bring what belongs to the day, such as money from cash.
            hold_loans()
            loans = loans_to_spread(day.on)
        if not len(loans):
            return Did()
        lock_loans(loans)
        draft = compute_distribution(on=day.on, loan_ids=loans)
    did = write_distribution(draft=draft, on=day.on, actor=day.actor)
    counts = {"loans": did.loans, "payments": did.payments, "shares": did.shares}
    # Loans that have changed since their draft are left out of it: they are found again.
    return Did(counts, more=staged is not None or did.loans + did.stale > 0)


def _age(day: Closing) -> Did:
    lock_servicing()
    hold_loans()
    return Did(_counts(age_loans(on=day.on, house=day.house)))


def _fund(day: Closing) -> Did:
    return Did(_counts(propose_claims(on=day.on, actor=day.actor, key=day.key(Step.FUND))))


def _lapse(day: Closing) -> Did:
    expired = expire_listings(on=day.on)
    key = day.key(Step.LAPSE)
    lapsed = lapse_unaccepted(on=day.on, actor=day.actor, key=key, house=day.house)
    return Did({"listings": expired, **_counts(lapsed)})


def _pay_out(day: Closing) -> Did:
    key = day.key(Step.PAY_OUT)
    return Did(_counts(pay_out_accepted(on=day.on, actor=day.actor, key=key)))


def _settle_debts(day: Closing) -> Did:
    key = day.key(Step.SETTLE_DEBTS)
    return Did({"pence": settle_debts(on=day.on, actor=day.actor, key=key)})


def _top_up(day: Closing) -> Did:
    return Did(_counts(top_up_offers(on=day.on, actor=day.actor, house=day.house)))


def _cycle(day: Closing) -> Did:
    if not _is_business_day(day.on):
        return Did(note=_NO_BUSINESS)
    try:
        view = run_cycle(on=day.on, actor=day.actor, key=day.key(Step.CYCLE), house=day.house)
    except (MarketUnknown, RiskRefusal) as refusal:
        return Did(note=refusal.message)
    return Did(
        {
            "loans": view.loans,
            "parts": view.parts,
            "pence": view.lent,
            "waiting": sum(view.waiting.values()),
        }
    )


def _sweep(day: Closing) -> Did:
    try:
        sweep_fees(on=day.on, actor=day.actor, key=day.key(Step.SWEEP))
    except (NothingToSweep, SweepUnderWay) as refusal:
        return Did(note=refusal.message)
    return Did({"payments": 1})


def _notices(day: Closing) -> Did:
    promises = _counts(judge_promises(on=day.on))
    return Did({**_counts(write_notices(on=day.on, house=day.house)), **promises})


def _reconcile(day: Closing) -> Did:
    """Reconcile in a snapshot of its own; its key has it done once."""
    try:
        made = reconcile(on=day.on, actor=day.actor, key=day.key(Step.RECONCILE))
    except ReconciliationDateRefused as refusal:
        return Did(note=refusal.message)
    runs = reconciliations([made.internal, made.external])
    checks = [check for run in runs for check in run.checks]
    return Did(
        {
            "checks": len(checks),
            "failed": sum(not check.holds for check in checks),
            "breaks": len(list_breaks()),
        }
    )


def _seal(day: Closing) -> Did:
    """Seal what was booked; counted by what was sealed since the day was reconciled."""
    for _ in seal_all():
        pass
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(s.entries), 0)::bigint, coalesce(sum(s.transfers), 0)::bigint"
            " FROM accounts_seal AS s JOIN marketplace_daystep AS d ON d.done_at <= s.sealed_at"
            " WHERE d.day = %s AND d.name = %s",
            [day.on, Step.RECONCILE.value],
        )
        entries, transfers = cursor.fetchone()
    return Did({"entries": entries, "transfers": transfers})


# Steps that work inside the transaction that marks them.
WORK: Mapping[Step, Action] = {
    Step.BOUNCES: _bounces,
    Step.FALL_DUE: _fall_due,
    Step.COLLECT: _collect,
    Step.RESTS: _rests,
    Step.DISTRIBUTE: _distribute,
    Step.AGE: _age,
    Step.FUND: _fund,
    Step.LAPSE: _lapse,
    Step.PAY_OUT: _pay_out,
    Step.SETTLE_DEBTS: _settle_debts,
    Step.TOP_UP: _top_up,
    Step.CYCLE: _cycle,
    Step.SWEEP: _sweep,
    Step.NOTICES: _notices,
}
# Steps that need transactions of their own: one snapshot, or a commit for each batch.
APART: Mapping[Step, Action] = {Step.RECONCILE: _reconcile, Step.SEAL: _seal}
