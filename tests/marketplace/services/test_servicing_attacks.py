"""Servicing under attack: bad figures, odd orders of things, and what nobody expects of a loan.

The house design's loan: £480 at 6.9 % and £520 at 7.1 %, £30.78 a month from 3 May 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, cast

import pytest

from accounts.core.chart import Kind
from accounts.models import Account, Entry
from accounts.selectors.ledger import totals_by_kind
from accounts.services.cash import CashMovement, confirm_withdrawals, send_withdrawals
from accounts.services.debts import settle_debts
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.loan_events import DefaultCause, Excess, PaymentKind
from marketplace.core.states import LoanState
from marketplace.models import Loan, LoanEvent, Payment
from marketplace.selectors.loan_lives import replay_findings
from marketplace.services.changing_loans import (
    agree_arrangement,
    change_due_day,
    end_arrangement,
    take_holiday,
)
from marketplace.services.contacts import record_promise
from marketplace.services.defaulting import declare_default, recover, settle_for_less
from marketplace.services.payments import PaymentDraft, receive_payments
from marketplace.services.provision_fund import decide_claims
from marketplace.services.settling_loans import prepay
from marketplace.services.single_payments import take_payment
from tests.marketplace.fund_house import covered, dies
from tests.marketplace.house import House, key
from tests.marketplace.lives import (
    assert_sound,
    balance,
    bounce,
    running,
    take,
    work,
    work_until,
    worth,
)
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

_A_DAY = timedelta(days=1)
Asked = Callable[..., object]


def _asked(loan_id: int, on: date) -> dict[str, Any]:
    return {"loan_id": loan_id, "on": on, "actor": ACTOR, "key": key()}


def _everything() -> tuple[object, ...]:
    """All balances, and how much is on record."""
    return (
        tuple(Account.objects.order_by("pk").values_list("pk", "balance")),
        Entry.objects.count(),
        Payment.objects.count(),
        LoanEvent.objects.count(),
        tuple(Loan.objects.order_by("pk").values_list("pk", "state", "events")),
    )


def _spend(*members: int, on: date) -> None:
    """They take out all the cash that they have."""
    rows = Account.objects.filter(kind=Kind.CASH, owner_id__in=members, balance__gt=0)
    movements = [
        CashMovement(row.owner_id, row.balance, f"spent/{row.owner_id}/{on}") for row in rows
    ]
    send_withdrawals(movements=movements, on=on, actor=ACTOR)
    confirm_withdrawals(movements=movements, on=on, actor=ACTOR)


@pytest.mark.parametrize("amount", [1.5, 3_078.0, True, "3078", float("nan")])
def test_money_is_a_whole_number_of_pence(house: House, amount: object) -> None:
    """Neither cut to whole pence nor taken for one; a stack trace is no answer either."""
    made, claimed = running(house), covered(house)
    claim = dies(claimed)
    work(FIRST_DUE)
    odd, on = cast("int", amount), FIRST_DUE + _A_DAY
    work(on)
    tries: dict[str, Asked] = {
        "take": lambda a: take_payment(**a, amount=odd, received_on=on),
        "receive": lambda a: receive_payments(payments=[PaymentDraft(a.pop("loan_id"), odd)], **a),
        "cost": lambda a: take_payment(**a, amount=3_078, cost=odd, received_on=on),
        "prepay": lambda a: prepay(
            **a, amount=odd, excess=Excess.SHORTER, kind=PaymentKind.COLLECTION
        ),
        "arrangement": lambda a: agree_arrangement(**a, amount=odd, months=3),
        "months": lambda a: agree_arrangement(**a, amount=500, months=odd),
        "short": lambda a: settle_for_less(**a, amount=odd, reason="agreed"),
        "promise": lambda a: record_promise(**a, amount=odd, due_on=on),
    }
    before = _everything()
    for attempt in tries.values():
        with pytest.raises(MarketplaceRefusal):
            attempt(_asked(made.loan_id, on))
    with pytest.raises(MarketplaceRefusal):
        recover(**_asked(claimed.loan_id, on), amount=odd)
    with pytest.raises(MarketplaceRefusal):
        decide_claims(
            claim_ids=[claim], proportion_ppm=odd, on=on, actor=ACTOR, key=key(), reason="asked"
        )
    assert _everything() == before


@pytest.mark.parametrize("figure", [1.5, True, "3", None])
def test_days_and_months_are_whole_numbers(house: House, figure: object) -> None:
    made = running(house)
    odd = cast("int", figure)
    before = _everything()
    with pytest.raises(MarketplaceRefusal):
        change_due_day(**_asked(made.loan_id, DAY), day=odd)
    with pytest.raises(MarketplaceRefusal):
        take_holiday(**_asked(made.loan_id, DAY), months=odd)
    assert _everything() == before


def test_an_arrangement_without_place_stops_no_clock(house: House) -> None:
    """It was agreed in arrears that never were: a payment of the due date came to light.

    The second instalment, of 1 June, is four months overdue on 1 October, whatever the record says
    of an arrangement from 13 May to 1 July.
    """
    made = running(house)
    work_until(DAY, date(2016, 5, 13))
    asked = _asked(made.loan_id, date(2016, 5, 13))
    agree_arrangement(**asked, amount=100, months=6)
    work_until(date(2016, 5, 14), date(2016, 6, 5), every_day=True)
    end_arrangement(**_asked(made.loan_id, date(2016, 6, 5)), reason="agreed otherwise")
    take(made, 3_078, date(2016, 6, 5), received_on=FIRST_DUE)
    assert_sound(date(2016, 6, 5))
    work_until(date(2016, 6, 6), date(2016, 9, 30))
    assert Loan.objects.get(pk=made.loan_id).state == LoanState.ARREARS
    work(date(2016, 10, 1))
    assert_sound(date(2016, 10, 1))
    assert Loan.objects.get(pk=made.loan_id).defaulted_on == date(2016, 10, 1)


def test_hardship_that_began_before_the_due_date_stops_the_clock_from_the_day_after_it(
    house: House,
) -> None:
    """Of hardship from 24 April to 19 May, 16 days are after 3 May: default on 19 September."""
    made = running(house)
    on = date(2016, 4, 24)
    work_until(DAY, on)
    LoanEvent.objects.create(
        loan_id=made.loan_id,
        number=1,
        kind="hardship",
        effective_on=on,
        recorded_on=on,
        until=date(2016, 5, 19),
        actor=ACTOR,
    )
    Loan.objects.filter(pk=made.loan_id).update(events=1, state=LoanState.HARDSHIP)
    work_until(on, date(2016, 5, 20), every_day=True)
    work_until(date(2016, 5, 21), date(2016, 9, 18))
    assert Loan.objects.get(pk=made.loan_id).state == LoanState.ARREARS
    work(date(2016, 9, 19))
    assert Loan.objects.get(pk=made.loan_id).defaulted_on == date(2016, 9, 19)
    assert_sound(date(2016, 9, 19))


def test_a_default_declared_in_the_morning_does_not_end_the_day(house: House) -> None:
    """What clears that day is spread at its close, and until then nothing is amiss."""
    made = running(house)
    work(FIRST_DUE)
    take(made, 3_078, FIRST_DUE)
    work_until(FIRST_DUE, CLEARED - _A_DAY, every_day=True)
    declare_default(
        **_asked(made.loan_id, CLEARED), cause=DefaultCause.DEATH, reason="a death certificate"
    )
    assert replay_findings([made.loan_id], on=CLEARED).differences == ()
    assert Payment.objects.get(loan=made.loan_id).distributed_on is None
    work(CLEARED)
    assert Payment.objects.get(loan=made.loan_id).distributed_on == CLEARED
    assert_sound(CLEARED)


def test_debts_never_exceed_what_was_taken_back(house: House) -> None:
    """Everybody spent everything; the payment bounces, and is paid again.

    Of 3,078p lenders had 1,434p and 1,561p, net of fees of 83p. Each owes exactly what they had;
    what was advanced is missing from the clients' pond until the debts are paid.
    """
    made = running(house)
    people = [*(lender.pk for lender in made.lenders), made.borrower.pk]
    work(FIRST_DUE)
    _spend(*people, on=FIRST_DUE)
    take(made, 3_078, FIRST_DUE)
    work_until(FIRST_DUE, CLEARED)
    had = [balance(Kind.CASH, lender.pk) for lender in made.lenders]
    assert sum(had) == 3_078 - 83
    _spend(*people, on=CLEARED)
    [rebuilt] = bounce(made, 1, CLEARED).loans
    assert rebuilt.advanced == rebuilt.from_lenders == sum(had)
    assert [balance(Kind.DEBT, lender.pk) for lender in made.lenders] == had
    assert balance(Kind.DEBT, made.borrower.pk) == 0
    assert balance(Kind.CLEARING, made.loan_id) == 0
    assert _short_of_client_money() == sum(had)
    assert_sound(CLEARED)
    again = CLEARED + 7 * _A_DAY
    take(made, 3_078, CLEARED)
    work_until(CLEARED, again)
    assert settle_debts(on=again, actor=ACTOR, key=key()) == sum(had)
    assert [worth(lender.pk) for lender in made.lenders] == [0, 0]
    assert _short_of_client_money() == 0
    assert_sound(again)


def _short_of_client_money() -> int:
    """Pence by which the clients' bank has less than is held for them, since the start of all."""
    totals = totals_by_kind()
    held = (Kind.CASH, Kind.ON_OFFER, Kind.MATCHED, Kind.ON_ITS_WAY, Kind.CLEARING, Kind.FEES)
    resource = totals.get(Kind.CLIENT_BANK, 0) + totals.get(Kind.COLLECTING, 0)
    return sum(totals.get(kind, 0) for kind in held) - resource
