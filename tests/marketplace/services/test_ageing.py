"""Ageing: arrears the day after, default four calendar months on, the way back, and the record."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import transaction

from marketplace.core.states import LoanState, MoveRefused
from marketplace.models import Instalment, Loan, LoanEvent, LoanMove
from marketplace.services.ageing import Aged, age_loans
from marketplace.services.falling_due import fall_due
from marketplace.services.moves import LoanMoved, move_loans
from marketplace.services.payments import distribute_cleared
from tests.marketplace.house import Funded, House, paid_out, pay
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

DAY_AFTER = date(2016, 5, 4)
SECOND_DUE = date(2016, 6, 1)


def _moves(made: Funded) -> list[tuple[str, str, date]]:
    rows = LoanMove.objects.filter(loan=made.loan_id).order_by("id")
    return list(rows.values_list("state_before", "state_after", "moved_on"))


def _late(house: House) -> Funded:
    """A loan whose first instalment, due on 3 May, is not paid."""
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    return made


def test_a_loan_is_in_arrears_the_day_after_and_not_before(house: House) -> None:
    made = _late(house)
    assert age_loans(on=FIRST_DUE) == Aged(arrears=0, default=0)
    assert age_loans(on=DAY_AFTER) == Aged(arrears=1, default=0)
    assert made.loan.state == LoanState.ARREARS
    assert age_loans(on=DAY_AFTER) == Aged(arrears=0, default=0)
    assert _moves(made) == [
        ("funded", "active", DAY),
        ("active", "arrears", DAY_AFTER),
    ]
    [reason] = LoanMove.objects.filter(loan=made.loan_id, state_after="arrears").values_list(
        "reason", flat=True
    )
    assert reason == "The instalment of 2016-05-03 is overdue."


def test_money_on_its_way_counts_in_full_only(house: House) -> None:
    made, short = _late(house), _late(house)
    pay(made.loan_id, 3_078, FIRST_DUE)
    pay(short.loan_id, 3_077, FIRST_DUE)
    assert age_loans(on=DAY_AFTER) == Aged(arrears=1, default=0)
    assert (made.loan.state, short.loan.state) == (LoanState.ACTIVE, LoanState.ARREARS)


def test_who_catches_up_is_active_again(house: House) -> None:
    made = _late(house)
    age_loans(on=DAY_AFTER)
    pay(made.loan_id, 3_077, DAY_AFTER)
    distribute_cleared(on=date(2016, 5, 9), actor=ACTOR)
    assert made.loan.state == LoanState.ARREARS
    pay(made.loan_id, 1, date(2016, 5, 10))
    distribute_cleared(on=date(2016, 5, 13), actor=ACTOR)
    assert made.loan.state == LoanState.ACTIVE
    assert _moves(made)[-1] == ("arrears", "active", date(2016, 5, 13))
    assert made.loan.paid_out_on == DAY


def test_what_falls_due_today_is_not_overdue(house: House) -> None:
    """A loan that catches up on the very day of its next instalment is cured."""
    made = _late(house)
    age_loans(on=DAY_AFTER)
    # Thursday 26 May; Monday 30 May 2016 is a bank holiday: 27 and 31 May, 1 June.
    pay(made.loan_id, 3_078, date(2016, 5, 26))
    fall_due(on=SECOND_DUE, actor=ACTOR)
    distribute_cleared(on=SECOND_DUE, actor=ACTOR)
    assert made.loan.state == LoanState.ACTIVE
    assert age_loans(on=date(2016, 6, 2)) == Aged(arrears=1, default=0)


def test_default_is_four_calendar_months_after_the_due_date_and_not_a_day_before(
    house: House,
) -> None:
    made = _late(house)
    age_loans(on=DAY_AFTER)
    for month in (6, 7, 8, 9):
        fall_due(on=date(2016, month, 1), actor=ACTOR)
    assert age_loans(on=date(2016, 9, 2)) == Aged(arrears=0, default=0)
    assert made.loan.state == LoanState.ARREARS
    assert age_loans(on=date(2016, 9, 3)) == Aged(arrears=0, default=1)
    loan = made.loan
    assert (loan.state, loan.defaulted_on) == (LoanState.DEFAULT, date(2016, 9, 3))
    assert age_loans(on=date(2016, 12, 1)) == Aged(arrears=0, default=0)
    # All principal is due now, and no more interest falls due: that of five instalments did.
    assert fall_due(on=date(2016, 12, 1), actor=ACTOR) == 0
    rows = Instalment.objects.filter(loan=loan)
    assert rows.filter(interest_due__gt=0).count() == 5
    assert rows.filter(interest_due=0).count() == 31


def test_the_oldest_unpaid_instalment_decides(house: House) -> None:
    """Who pays the oldest instalment again and again stays in arrears, and out of default."""
    made = _late(house)
    for day in (SECOND_DUE, date(2016, 7, 1), date(2016, 8, 1)):
        fall_due(on=day, actor=ACTOR)
    pay(made.loan_id, 3_078, date(2016, 8, 1))
    distribute_cleared(on=date(2016, 8, 4), actor=ACTOR)
    # Now June is the oldest: default on 1 October, not on 3 September.
    fall_due(on=date(2016, 9, 1), actor=ACTOR)
    assert made.loan.state == LoanState.ARREARS
    for day in (date(2016, 9, 3), date(2016, 9, 30)):
        assert age_loans(on=day) == Aged(arrears=0, default=0)
    assert age_loans(on=date(2016, 10, 1)) == Aged(arrears=0, default=1)
    assert made.loan.state == LoanState.DEFAULT


def test_a_loan_nobody_looked_at_goes_from_active_into_default(house: House) -> None:
    made = _late(house)
    assert age_loans(on=date(2016, 9, 10)) == Aged(arrears=1, default=1)
    # As of the days on which a punctual run would have found it.
    assert _moves(made)[-2:] == [
        ("active", "arrears", DAY_AFTER),
        ("arrears", "default", date(2016, 9, 3)),
    ]
    assert made.loan.defaulted_on == date(2016, 9, 3)
    move = LoanMove.objects.filter(loan=made.loan_id).latest("id")
    assert move.recorded_on == date(2016, 9, 10)
    [event] = LoanEvent.objects.filter(loan=made.loan_id)
    assert (event.kind, event.cause, event.number) == ("default", "overdue", made.loan.events)
    assert (event.effective_on, event.recorded_on) == (date(2016, 9, 3), date(2016, 9, 10))


def test_a_payment_after_default_reaches_the_lenders_and_changes_no_state(house: House) -> None:
    made = _late(house)
    age_loans(on=date(2016, 9, 3))
    pay(made.loan_id, 3_078, date(2016, 9, 5))
    assert distribute_cleared(on=date(2016, 9, 8), actor=ACTOR) == 2
    loan = made.loan
    assert (loan.state, loan.principal_paid, loan.interest_paid) == (LoanState.DEFAULT, 2_512, 566)


def test_only_the_tables_moves_are_made(house: House) -> None:
    made = paid_out(house)
    wrong = LoanMoved(made.loan_id, LoanState.ACTIVE, LoanState.WRITTEN_OFF, "because")
    with pytest.raises(MoveRefused) as refusal, transaction.atomic():
        move_loans(moves=[wrong], on=CLEARED)
    assert refusal.value.code == "MOVE_REFUSED"
    stale = LoanMoved(made.loan_id, LoanState.ARREARS, LoanState.DEFAULT, "thought so")
    with pytest.raises(RuntimeError), transaction.atomic():
        move_loans(moves=[stale], on=CLEARED)
    assert made.loan.state == LoanState.ACTIVE
    assert _moves(made) == [("funded", "active", DAY)]


def test_a_move_needs_an_open_transaction(committed_house: House) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        move_loans(moves=[LoanMoved(1, LoanState.ACTIVE, LoanState.ARREARS, "late")], on=DAY_AFTER)


def _begin(made: Funded, kind: str, on: date, **terms: Any) -> None:
    """An event that begins an arrangement or hardship, on its day."""
    number = made.loan.events + 1
    LoanEvent.objects.create(
        loan_id=made.loan_id,
        number=number,
        kind=kind,
        effective_on=on,
        recorded_on=on,
        actor=ACTOR,
        **terms,
    )
    Loan.objects.filter(pk=made.loan_id).update(state=kind, events=number)


def test_the_default_clock_stands_still_in_hardship(house: House) -> None:
    """Hardship from 1 June to the end of it are 30 days: default on 3 October, not 3 September."""
    made = _late(house)
    age_loans(on=DAY_AFTER)
    _begin(made, "hardship", SECOND_DUE, until=date(2016, 6, 30))
    assert age_loans(on=date(2016, 6, 29)) == Aged(arrears=0, default=0)
    assert age_loans(on=date(2016, 6, 30)) == Aged(arrears=0, default=0, ended=1)
    assert _moves(made)[-1] == ("hardship", "arrears", date(2016, 6, 30))
    assert LoanEvent.objects.filter(loan=made.loan_id, kind="hardship_ended").count() == 1
    assert age_loans(on=date(2016, 10, 2)) == Aged(arrears=0, default=0)
    assert age_loans(on=date(2016, 10, 3)) == Aged(arrears=0, default=1)


def test_who_pays_today_is_aged_as_of_yesterday(house: House) -> None:
    """Beyond 3 September only the hardship's days keep it from default: its life is looked at."""
    made = _late(house)
    age_loans(on=DAY_AFTER)
    _begin(made, "hardship", SECOND_DUE, until=date(2016, 6, 30))
    age_loans(on=date(2016, 6, 30))
    pay(made.loan_id, 100, date(2016, 9, 10))
    assert age_loans(on=date(2016, 9, 9)) == Aged(arrears=0, default=0)
    assert age_loans(on=date(2016, 10, 3)) == Aged(arrears=0, default=1)


def test_an_arrangement_that_is_kept_lasts_to_its_end(house: House) -> None:
    """£10 a month for three months from 1 June, each within a week of the month's end."""
    made = _late(house)
    age_loans(on=DAY_AFTER)
    _begin(made, "arrangement", SECOND_DUE, amount=1_000, months=3)
    for day in (date(2016, 7, 8), date(2016, 8, 8)):
        pay(made.loan_id, 1_000, day)
        assert age_loans(on=day) == Aged(arrears=0, default=0)
    assert made.loan.state == LoanState.ARRANGEMENT
    assert age_loans(on=date(2016, 8, 31)) == Aged(arrears=0, default=0)
    assert age_loans(on=date(2016, 9, 1)) == Aged(arrears=0, default=0, ended=1)
    assert _moves(made)[-1] == ("arrangement", "arrears", date(2016, 9, 1))


def test_an_arrangement_that_is_not_kept_is_broken_a_week_after_the_month(house: House) -> None:
    made = _late(house)
    age_loans(on=DAY_AFTER)
    _begin(made, "arrangement", SECOND_DUE, amount=1_000, months=3)
    pay(made.loan_id, 999, date(2016, 7, 1))
    assert age_loans(on=date(2016, 7, 7)) == Aged(arrears=0, default=0)
    # Found two days late, and recorded as of its day.
    assert age_loans(on=date(2016, 7, 10)) == Aged(arrears=0, default=0, ended=1)
    assert _moves(made)[-1] == ("arrangement", "arrears", date(2016, 7, 8))
    # 37 days from 1 June to 8 July don't count: 3 September + 38 days, the last one included.
    assert age_loans(on=date(2016, 10, 10)) == Aged(arrears=0, default=0)
    assert age_loans(on=date(2016, 10, 11)) == Aged(arrears=0, default=1)


def test_who_owes_nothing_at_the_end_of_hardship_is_active(house: House) -> None:
    made = _late(house)
    _begin(made, "hardship", FIRST_DUE, until=date(2016, 5, 20))
    pay(made.loan_id, 3_078, date(2016, 5, 10))
    assert age_loans(on=date(2016, 5, 20)) == Aged(arrears=0, default=0, ended=1)
    assert _moves(made)[-1] == ("hardship", "active", date(2016, 5, 20))
