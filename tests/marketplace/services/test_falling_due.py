"""Interest fixed on due dates, by hand for two and three parts, and caught up after missed days."""

from __future__ import annotations

from datetime import date

from django.db import transaction

from accounts.core.chart import Kind
from accounts.models import Account, Entry
from accounts.selectors.ledger import check_book, member_balances
from marketplace.models import Instalment, Loan, LoanEvent, Payment
from marketplace.services.falling_due import bring_up, fall_due
from marketplace.services.payments import distribute_cleared
from tests.marketplace.house import House, paid_out, pay
from tests.world import ACTOR, CLEARED, FIRST_DUE

SECOND_DUE = date(2016, 6, 1)
THIRD_DUE = date(2016, 7, 1)


def _interest(loan_id: int) -> list[int | None]:
    rows = Instalment.objects.filter(loan=loan_id).order_by("number")
    return list(rows.values_list("interest_due", flat=True))


def _claim(loan_id: int) -> int:
    return Account.objects.get(kind=Kind.INTEREST_DUE.value, owner_id=loan_id).balance


def test_the_first_interest_is_each_parts_own_in_whole_pence(house: House) -> None:
    # (1.069)^(1/12) - 1 = .5575790 %, (1.071)^(1/12) - 1 = .5732434 % a month:
    # £480 -> 267.64p, fixed as 268p; £520 -> 298.09p, fixed as 298p; 566p in all.
    loan = paid_out(house).loan_id
    assert fall_due(on=date(2016, 5, 2), actor=ACTOR) == 0
    assert _interest(loan) == [None] * 36
    assert fall_due(on=FIRST_DUE, actor=ACTOR) == 1
    assert _interest(loan) == [566] + [None] * 35
    assert _claim(loan) == 566
    assert fall_due(on=FIRST_DUE, actor=ACTOR) == 0
    assert _claim(loan) == 566


def test_three_parts_carry_their_fractions_of_a_penny(house: House) -> None:
    # £500 at 6 %, £300 at 7 %, £200 at 8 %; monthly .4867551 %, .5654145 %, .6434030 %.
    # First: 243.38 -> 243, 169.62 -> 170, 128.68 -> 129; 542p.
    # Nothing is paid, so the second month bears on the whole £1,000 again, counted from the start:
    # 486.76 -> 487, 339.25 -> 339, 257.36 -> 257; 1,083p in all, so 541p more.
    # Third: 730.13 -> 730, 508.87 -> 509, 386.04 -> 386; 1,625p in all, so 542p more.
    loan = paid_out(house, [(60_000, 50_000), (70_000, 30_000), (80_000, 20_000)]).loan_id
    for day in (FIRST_DUE, SECOND_DUE, THIRD_DUE):
        assert fall_due(on=day, actor=ACTOR) == 1
    assert _interest(loan)[:4] == [542, 541, 542, None]
    assert _claim(loan) == 542 + 541 + 542


def test_interest_is_on_the_principal_that_is_left(house: House) -> None:
    # The first instalment of £30.78 repays 3,078 - 566 = 2,512p: £974.88 are left. Pence-months:
    # 100,000 + 97,488 = 197,488. £480: .48 x 197,488 x .5575790 % = 528.55 -> 529p in all;
    # £520: .52 x 197,488 x .5732434 % = 588.69 -> 589p in all. 1,118 - 566 = 552p.
    loan = paid_out(house).loan_id
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(loan, 3_078, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    fall_due(on=SECOND_DUE, actor=ACTOR)
    assert _interest(loan)[:3] == [566, 552, None]
    assert _claim(loan) == 552


def test_missed_days_are_caught_up_in_order(house: House) -> None:
    loan = paid_out(house, [(60_000, 50_000), (70_000, 50_000)]).loan_id
    rows = Instalment.objects.filter(loan=loan).order_by("number")
    columns = ("number", "due_on", "interest_due", "balance_months")
    with transaction.atomic():
        for day in (FIRST_DUE, SECOND_DUE, THIRD_DUE):
            assert fall_due(on=day, actor=ACTOR) == 1
        daily = list(rows.values_list(*columns))
        transaction.set_rollback(True)
    assert rows.filter(interest_due__isnull=False).count() == 0
    assert fall_due(on=THIRD_DUE, actor=ACTOR) == 3
    assert list(rows.values_list(*columns)) == daily
    assert [row[0] for row in daily if row[2] is not None] == [1, 2, 3]


def test_each_interest_that_falls_due_is_one_entry_of_the_claims_book(house: House) -> None:
    loan = paid_out(house).loan_id
    fall_due(on=SECOND_DUE, actor=ACTOR)
    entries = Entry.objects.filter(kind="interest_fell_due", reference=f"loan:{loan}")
    keys = [f"due/{loan}/{day}" for day in (FIRST_DUE, SECOND_DUE)]
    assert sorted(entries.values_list("key", flat=True)) == keys
    assert check_book().holds


def test_a_longer_period_and_what_was_prepaid_inside_it_count_by_days(house: House) -> None:
    """32 days owed of £1,000 and 10 days of £300 more, in a month of 30: one rounding."""
    loan = paid_out(house, [(60_000, 100_000)]).loan_id
    Instalment.objects.filter(loan=loan, number=1).update(
        period_days=32, month_days=30, pence_days=30_000 * 10
    )
    fall_due(on=FIRST_DUE, actor=ACTOR)
    # (100,000 x 32 + 300,000) / 30 = 116,666.67, so 116,667 pence-months; at .4867551 % a month
    # 567.88p, fixed as 568p.
    row = Instalment.objects.get(loan=loan, number=1)
    assert (row.balance_months, row.interest_due) == (116_667, 568)
    assert Loan.objects.get(pk=loan).balance_months == 116_667


def test_interest_is_frozen_in_hardship(house: House) -> None:
    loan = paid_out(house).loan_id
    fall_due(on=FIRST_DUE, actor=ACTOR)
    LoanEvent.objects.create(
        loan_id=loan,
        number=1,
        kind="hardship",
        effective_on=FIRST_DUE,
        recorded_on=FIRST_DUE,
        actor=ACTOR,
        until=date(2016, 8, 31),
    )
    Loan.objects.filter(pk=loan).update(state="hardship", events=1)
    fall_due(on=SECOND_DUE, actor=ACTOR)
    assert _interest(loan)[:3] == [566, 0, None]
    assert Instalment.objects.get(loan=loan, number=2).balance_months == 100_000


def test_two_instalments_of_a_loan_on_one_day(house: House) -> None:
    """Each counts its own period; one entry takes both."""
    loan = paid_out(house, [(60_000, 50_000), (70_000, 30_000), (80_000, 20_000)]).loan_id
    Instalment.objects.filter(loan=loan, number=2).update(due_on=FIRST_DUE)
    assert fall_due(on=FIRST_DUE, actor=ACTOR) == 2
    # As in the worked example above of three parts over two months.
    assert _interest(loan)[:3] == [542, 541, None]
    assert _claim(loan) == 542 + 541
    assert Entry.objects.filter(key=f"due/{loan}/{FIRST_DUE}").count() == 1


def test_bringing_a_loan_up_leaves_the_others_alone(house: House) -> None:
    one, other = (paid_out(house).loan_id for _ in range(2))
    assert bring_up(loan_ids=[one], on=SECOND_DUE, actor=ACTOR) == 2
    assert (_interest(one)[:3], _interest(other)[:3]) == ([566, 565, None], [None, None, None])
    assert Loan.objects.get(pk=one).state == "arrears"
    assert bring_up(loan_ids=[one], on=SECOND_DUE, actor=ACTOR) == 0
    assert fall_due(on=SECOND_DUE, actor=ACTOR) == 2
    assert _interest(other) == _interest(one)


def test_payments_that_waited_are_allocated_in_order(house: House) -> None:
    """£5.00 and £30.00 wait: the first goes all to interest, of the second £4.22 come back."""
    made = paid_out(house)
    pay(made.loan_id, 500, date(2016, 4, 4))
    pay(made.loan_id, 3_000, date(2016, 4, 5))
    assert made.loan.interest_paid == 0
    fall_due(on=FIRST_DUE, actor=ACTOR)
    payments = Payment.objects.filter(loan=made.loan_id).order_by("number")
    columns = ("allocated_on", "interest", "principal", "returned")
    # Due are 566p of interest and 2,512p of principal: 66p of interest are left for the second.
    assert list(payments.values_list(*columns)) == [
        (FIRST_DUE, 500, 0, 0),
        (FIRST_DUE, 66, 2_512, 422),
    ]
    assert distribute_cleared(on=FIRST_DUE, actor=ACTOR) == 4
    assert member_balances(made.borrower.pk).cash == 98_500 + 422
    assert check_book().holds
