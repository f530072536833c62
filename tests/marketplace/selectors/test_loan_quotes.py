"""Quotes write nothing, and what is executed comes to what was quoted."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from accounts.models import Transfer
from marketplace.core.loan_events import Excess
from marketplace.core.settlement import (
    HolidayRefused,
    PaymentRefused,
    RescissionRefused,
    SettlementRefused,
)
from marketplace.models import Instalment, LoanEvent
from marketplace.selectors.loan_quotes import (
    QuoteRefused,
    Terms,
    due_day_quote,
    holiday_quote,
    prepayment_quote,
    rescission_quote,
    settlement_quote,
)
from marketplace.services.changing_loans import change_due_day, take_holiday
from marketplace.services.settling_loans import prepay, rescind, settle_early
from tests.marketplace.house import Funded, House, funded, key
from tests.marketplace.lives import running, take, work_until
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, FIRST_DUE

MID_MAY = date(2016, 5, 16)
_A_DAY = timedelta(days=1)


def _one_paid(house: House) -> Funded:
    made = running(house)
    work_until(DAY, FIRST_DUE)
    take(made, 3_078, FIRST_DUE)
    work_until(FIRST_DUE, MID_MAY - _A_DAY)
    return made


def _terms(made: Funded) -> Terms:
    """How the stored loan goes on."""
    coming = Instalment.objects.filter(loan=made.loan_id, interest_due__isnull=True)
    rows = list(coming.order_by("number"))
    return Terms(
        made.loan.instalment,
        len(rows),
        rows[0].due_on,
        rows[-1].due_on,
        sum(row.interest_planned for row in rows),
    )


def _asked(made: Funded) -> dict[str, Any]:
    return {"loan_id": made.loan_id, "on": MID_MAY, "actor": ACTOR, "key": key()}


def test_a_settlement_costs_what_was_quoted(house: House) -> None:
    made = _one_paid(house)
    quote = settlement_quote(made.loan_id, MID_MAY)
    # See the settlement's own test: 97,488p and 267p for 15 of 31 days.
    assert (quote.principal_not_due, quote.interest_stub, quote.total) == (97_488, 267, 97_755)
    assert (quote.days, quote.month_days) == (15, 31)
    assert settle_early(**_asked(made)).paid == quote.to_pay


def test_a_figure_for_a_later_day_holds_if_nothing_happens_before(house: House) -> None:
    made = _one_paid(house)
    later = date(2016, 5, 25)
    quote = settlement_quote(made.loan_id, later)
    assert quote.total > settlement_quote(made.loan_id, MID_MAY).total
    work_until(MID_MAY, later - _A_DAY)
    assert settlement_quote(made.loan_id, later) == quote
    # It never costs more than waiting for the due date.
    [after] = Instalment.objects.filter(loan=made.loan_id, number=2)
    assert quote.interest_stub <= after.interest_planned


@pytest.mark.parametrize("excess", [Excess.SHORTER, Excess.SMALLER])
def test_a_prepayment_does_what_was_quoted(house: House, excess: Excess) -> None:
    made = _one_paid(house)
    before = _terms(made)
    quote = prepayment_quote(made.loan_id, 20_000, MID_MAY)
    assert (quote.due, quote.prepaid, quote.before) == (0, 20_000, before)
    prepay(amount=20_000, excess=excess, **_asked(made))
    after = _terms(made)
    shorter = excess is Excess.SHORTER
    assert after == (quote.shorter if shorter else quote.smaller)
    saved = quote.saved_shorter if shorter else quote.saved_smaller
    assert saved == before.interest_to_come - after.interest_to_come > 0
    assert quote.saved_shorter > quote.saved_smaller
    assert quote.shorter.instalment == before.instalment > quote.smaller.instalment
    assert quote.shorter.instalments < quote.smaller.instalments == 35


def test_a_holiday_and_another_due_day_do_what_was_quoted(house: House) -> None:
    made, other = _one_paid(house), _one_paid(house)
    holiday = holiday_quote(made.loan_id, 2, MID_MAY)
    take_holiday(months=2, **_asked(made))
    assert _terms(made) == holiday.after
    assert holiday.interest_more > 0
    day = due_day_quote(other.loan_id, 20, MID_MAY)
    change_due_day(day=20, **_asked(other))
    assert _terms(other) == day.after
    assert day.after.next_due_on == date(2016, 6, 20)
    assert day.interest_more > 0


def test_stepping_back_costs_what_was_quoted(house: House) -> None:
    made = running(house)
    on = date(2016, 4, 1)
    quote = rescission_quote(made.loan_id, on)
    # On the day itself no interest: £1,000 against £985 and the fee of £15 that comes back.
    assert (quote.figure.to_pay, quote.refunded, quote.net) == (100_000, 1_500, 98_500)
    gone = rescind(loan_id=made.loan_id, on=on, actor=ACTOR, key=key())
    assert (gone.paid, gone.refunded) == (quote.figure.to_pay, quote.refunded)
    with pytest.raises(RescissionRefused, match="already"):
        rescission_quote(made.loan_id, on)


def test_quotes_write_nothing_and_take_a_fixed_number_of_statements(house: House) -> None:
    made = _one_paid(house)
    before = (Transfer.objects.count(), LoanEvent.objects.count(), _terms(made))
    few = statements(lambda: settlement_quote(made.loan_id, MID_MAY))
    take(made, 100, MID_MAY)
    take(made, 100, MID_MAY)
    prepaid = (Transfer.objects.count(), LoanEvent.objects.count(), _terms(made))
    assert statements(lambda: settlement_quote(made.loan_id, MID_MAY)) == few == 8
    prepayment_quote(made.loan_id, 20_000, MID_MAY)
    holiday_quote(made.loan_id, 1, MID_MAY)
    assert (Transfer.objects.count(), LoanEvent.objects.count(), _terms(made)) == prepaid
    assert prepaid[1:] == before[1:]


def test_quotes_are_refused_as_the_change_would_be(house: House) -> None:
    made = _one_paid(house)
    with pytest.raises(QuoteRefused, match="from 2016-05-06 on"):
        settlement_quote(made.loan_id, DAY)
    with pytest.raises(QuoteRefused, match="is funded; quotes are for loans that are paid out"):
        settlement_quote(funded(house).loan_id, MID_MAY)
    with pytest.raises(HolidayRefused):
        holiday_quote(made.loan_id, 9, MID_MAY)
    with pytest.raises(PaymentRefused, match="settle it early instead"):
        prepayment_quote(made.loan_id, 97_488, MID_MAY)
    settle_early(**_asked(made))
    work_until(MID_MAY, MID_MAY)
    with pytest.raises(SettlementRefused):
        settlement_quote(made.loan_id, MID_MAY)
