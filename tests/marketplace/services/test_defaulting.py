"""Default on death and insolvency, recoveries and their cost, settling for less, writing off."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from accounts.core.chart import Kind
from accounts.selectors.ledger import check_book, member_balances, totals_by_kind
from accounts.services.posting import IdempotencyConflict
from marketplace.core.life_refusals import (
    DefaultRefused,
    PaymentRefused,
    SettledShortRefused,
    WriteOffRefused,
)
from marketplace.core.loan_events import DefaultCause
from marketplace.core.states import LoanState
from marketplace.models import Instalment, LoanEvent, LoanMove
from marketplace.services.defaulting import (
    RecoveryRefused,
    declare_default,
    recover,
    settle_for_less,
    write_off,
)
from marketplace.services.falling_due import fall_due
from marketplace.services.loan_records import RecordRefused
from marketplace.services.payments import distribute_cleared
from tests.marketplace.house import Funded, House, key, paid_out
from tests.world import ACTOR, FIRST_DUE

DIED = date(2016, 5, 4)
CLEARED = date(2016, 5, 9)


def _said() -> dict[str, Any]:
    return {"actor": ACTOR, "key": key(), "reason": "as the file says"}


def _default(made: Funded, cause: DefaultCause = DefaultCause.DEATH) -> None:
    fall_due(on=FIRST_DUE, actor=ACTOR)
    declare_default(loan_id=made.loan_id, cause=cause, on=DIED, **_said())


@pytest.mark.parametrize("cause", [DefaultCause.DEATH, DefaultCause.INSOLVENCY])
def test_death_and_insolvency_are_a_default_at_once(house: House, cause: DefaultCause) -> None:
    made = paid_out(house)
    asked: dict[str, Any] = {"loan_id": made.loan_id, "cause": cause, "on": DIED, **_said()}
    fall_due(on=FIRST_DUE, actor=ACTOR)
    did = declare_default(**asked)
    assert (did.before, did.after) == (LoanState.ACTIVE, LoanState.DEFAULT)
    assert declare_default(**asked) == did
    with pytest.raises(IdempotencyConflict):
        declare_default(**(asked | {"reason": "something else"}))
    loan = made.loan
    assert (loan.state, loan.defaulted_on) == (LoanState.DEFAULT, DIED)
    [event] = LoanEvent.objects.filter(loan=loan)
    assert (event.kind, event.cause, event.effective_on) == ("default", cause.value, DIED)
    # No more interest falls due: 268p and 298p of the first month are all there is.
    due = [row.interest_due or 0 for row in Instalment.objects.filter(loan=loan)]
    assert sum(due) == 566
    fall_due(on=date(2016, 6, 1), actor=ACTOR)
    assert sum(row.interest_due or 0 for row in Instalment.objects.filter(loan=loan)) == 566


def test_what_is_no_cause_or_no_running_loan_is_refused(house: House) -> None:
    made = paid_out(house)
    with pytest.raises(DefaultRefused):
        declare_default(loan_id=made.loan_id, cause=DefaultCause.OVERDUE, on=DIED, **_said())
    with pytest.raises(RecordRefused):
        declare_default(
            loan_id=made.loan_id,
            cause=DefaultCause.DEATH,
            on=DIED,
            actor=ACTOR,
            key=key(),
            reason=" ",
        )
    _default(made)
    with pytest.raises(DefaultRefused) as refused:
        declare_default(loan_id=made.loan_id, cause=DefaultCause.DEATH, on=DIED, **_said())
    assert refused.value.state is LoanState.DEFAULT
    assert "default" in refused.value.message


def test_a_recovery_is_shared_by_the_parts_less_its_cost(house: House) -> None:
    made = paid_out(house)
    _default(made)
    first, second = (lender.pk for lender in made.lenders)
    before = [member_balances(member).cash for member in (first, second)]
    got = recover(loan_id=made.loan_id, amount=10_566, cost=1_000, on=DIED, actor=ACTOR, key=key())
    # 566p of interest and £100 of principal. Of the £10 that it cost, 1,000 x 566 / 10,566 = 53p
    # fall on the interest and 947p on the principal: 513p and 9,053p are the lenders'.
    assert (got.interest, got.principal, got.cost) == (566, 10_000, 1_000)
    assert (got.to_fund, got.to_lenders, got.returned) == (0, 9_566, 0)
    assert got.state is LoanState.DEFAULT
    distribute_cleared(on=CLEARED, actor=ACTOR)
    after = [member_balances(member).cash for member in (first, second)]
    gained = [new - old for new, old in zip(after, before, strict=True)]
    # 9,053p by size, 48 to 52: 4,345.44p and 4,707.56p, so 4,345p and 4,708p. 513p of the first
    # month's 268p + 298p: 242.9p and 270.1p, so 243p and 270p, less the fee on what was received,
    # 40p x 243 / 268 = 36p and 43p x 270 / 298 = 38p.
    assert gained == [4_345 + 243 - 36, 4_708 + 270 - 38]
    # The borrower's debt fell by all of it.
    assert made.loan.principal_paid == 10_000
    assert totals_by_kind()[Kind.PRINCIPAL_OWED] == 90_000
    assert check_book().holds


def test_all_recovered_is_recovered(house: House) -> None:
    made = paid_out(house)
    _default(made)
    recover(loan_id=made.loan_id, amount=100_566, on=DIED, actor=ACTOR, key=key())
    distribute_cleared(on=CLEARED, actor=ACTOR)
    assert made.loan.state == LoanState.RECOVERED
    with pytest.raises(RecoveryRefused) as refused:
        recover(loan_id=made.loan_id, amount=1, on=CLEARED, actor=ACTOR, key=key())
    assert refused.value.state is LoanState.RECOVERED
    assert refused.value.allowed == (LoanState.DEFAULT, LoanState.WRITTEN_OFF)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 100_000_000}, "amount"),
        ({"cost": -1}, "cost"),
        ({"cost": 5_001}, "cost"),
        ({"received_on": date(2016, 5, 5)}, "received_on"),
    ],
)
def test_recoveries_that_can_not_be_are_refused(
    house: House, change: dict[str, Any], field: str
) -> None:
    made = paid_out(house)
    _default(made)
    asked: dict[str, Any] = {
        "loan_id": made.loan_id,
        "amount": 5_000,
        "cost": 0,
        "on": DIED,
        "actor": ACTOR,
        "key": key(),
    }
    with pytest.raises(PaymentRefused) as refused:
        recover(**(asked | change))
    assert refused.value.field == field


def test_there_is_nothing_to_recover_of_a_loan_that_runs(house: House) -> None:
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    with pytest.raises(RecoveryRefused) as refused:
        recover(loan_id=made.loan_id, amount=5_000, on=DIED, actor=ACTOR, key=key())
    assert refused.value.state is LoanState.ACTIVE


def test_a_write_off_takes_claims_off_and_what_comes_later_is_still_shared(house: House) -> None:
    made = paid_out(house)
    with pytest.raises(WriteOffRefused):
        write_off(loan_id=made.loan_id, on=DIED, **_said())
    _default(made)
    did = write_off(loan_id=made.loan_id, on=DIED, **_said())
    assert (did.before, did.after) == (LoanState.DEFAULT, LoanState.WRITTEN_OFF)
    assert made.loan.written_off_on == DIED
    totals = totals_by_kind()
    assert (totals[Kind.PRINCIPAL_OWED], totals[Kind.INTEREST_DUE]) == (0, 0)
    assert totals[Kind.WRITTEN_OFF] == 100_566
    got = recover(loan_id=made.loan_id, amount=1_566, on=DIED, actor=ACTOR, key=key())
    assert (got.interest, got.principal) == (566, 1_000)
    assert totals_by_kind()[Kind.WRITTEN_OFF] == 99_000
    cash = sum(member_balances(lender.pk).cash for lender in made.lenders)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    # All of it less the month's fee of 40p and 43p.
    assert sum(member_balances(lender.pk).cash for lender in made.lenders) == cash + 1_566 - 83
    with pytest.raises(WriteOffRefused):
        write_off(loan_id=made.loan_id, on=CLEARED, **_said())
    assert check_book().holds


def test_a_settlement_for_less_closes_the_loan_and_writes_the_rest_off(house: House) -> None:
    made = paid_out(house)
    _default(made)
    with pytest.raises(SettledShortRefused):
        settle_for_less(loan_id=made.loan_id, amount=100_566, on=DIED, **_said())
    did = settle_for_less(loan_id=made.loan_id, amount=40_566, cost=0, on=DIED, **_said())
    assert (did.before, did.after) == (LoanState.DEFAULT, LoanState.SETTLED)
    assert totals_by_kind()[Kind.WRITTEN_OFF] == 60_000
    cash = sum(member_balances(lender.pk).cash for lender in made.lenders)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    assert sum(member_balances(lender.pk).cash for lender in made.lenders) == cash + 40_566 - 83
    assert made.loan.state == LoanState.SETTLED
    with pytest.raises(RecoveryRefused):
        recover(loan_id=made.loan_id, amount=1, on=CLEARED, actor=ACTOR, key=key())
    with pytest.raises(SettledShortRefused):
        settle_for_less(loan_id=made.loan_id, amount=1, on=CLEARED, **_said())
    assert LoanMove.objects.filter(loan=made.loan_id).latest("id").state_after == "settled"
    assert check_book().holds


def test_a_settlement_may_be_for_nothing(house: House) -> None:
    made = paid_out(house)
    _default(made, DefaultCause.INSOLVENCY)
    settle_for_less(loan_id=made.loan_id, amount=0, on=DIED, **_said())
    assert made.loan.state == LoanState.SETTLED
    assert totals_by_kind()[Kind.WRITTEN_OFF] == 100_566


def test_a_loan_that_runs_as_agreed_is_not_settled_for_less(house: House) -> None:
    made = paid_out(house)
    with pytest.raises(SettledShortRefused) as refused:
        settle_for_less(loan_id=made.loan_id, amount=50_000, on=DIED, **_said())
    assert refused.value.state is LoanState.ACTIVE
