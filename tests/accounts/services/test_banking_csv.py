"""CSV statements booked: downloads that overlap, files without an account, payments of ours."""

from __future__ import annotations

import pytest

from accounts.core.bank_overlap import BankLineConflict, BankStatementConflict
from accounts.core.bank_states import LineOutcome
from accounts.core.chart import Kind
from accounts.core.references import payment_reference
from accounts.models import BankFile, BankLine, Member, OutgoingPayment
from accounts.selectors.ledger import member_balances, totals_by_kind
from accounts.services.withdrawals import request_withdrawal
from tests.accounts.services.bank_desk import (
    DAY,
    csv_file,
    fits,
    give_csv,
    payable,
    people,
    send_file,
)


@pytest.fixture
def ada(db: None) -> Member:
    [member] = people(1)
    return member


def test_downloads_that_overlap(ada: Member) -> None:
    cash = "CASH,,5.00,105.00"
    first = csv_file(f"FPI ADA,{payment_reference(ada.pk)},100.00,100.00", cash)
    more = csv_file(cash, f"FPI,{payment_reference(ada.pk)},1.00,106.00")
    assert [give_csv(file).statements for file in (first, first, more, more)] == [1, 0, 1, 0]
    assert give_csv(first + b"\n").statements == 0
    assert member_balances(ada.pk).cash == 10_100
    fits()


@pytest.mark.parametrize("times", [(1, 2), (2, 1)])
def test_rows_alike_in_an_overlap_are_not_counted_twice(
    ada: Member, times: tuple[int, int]
) -> None:
    """£10 in and out again, and the same once more: which of the two are these?"""
    pair = [f"IN,{payment_reference(ada.pk)},10.00,10.00", "OUT,X,-10.00,0.00"]
    first, second = (csv_file(*pair * count) for count in times)
    give_csv(first)
    with pytest.raises(BankLineConflict):
        give_csv(second)
    assert BankFile.objects.latest("id").refusal_code == "BANK_LINE_CONFLICT"
    assert BankLine.objects.count() == 2 * times[0]
    fits()


@pytest.mark.usefixtures("db")
def test_a_file_is_of_one_account() -> None:
    """The same bytes for another account are not the same file, booked or nothing new."""
    content = csv_file("Opening transfer,,1000.00,1000.00")
    for file in (content, content + b"\n"):
        give_csv(file, "own")
        with pytest.raises(BankStatementConflict):
            give_csv(file, "fund")
        assert give_csv(file, "own").unchanged
    totals = totals_by_kind()
    assert (totals[Kind.OWN_BANK], totals[Kind.FUND_BANK]) == (100_000, 0)


def test_a_payment_is_confirmed_by_its_id_in_the_text(ada: Member) -> None:
    payable(ada)
    give_csv(csv_file(f"IN,{payment_reference(ada.pk)},100.00,100.00"))
    request_withdrawal(member_id=ada.pk, amount=10_000, key="w", on=DAY)
    send_file()
    payment = OutgoingPayment.objects.get()
    imported = give_csv(csv_file(f"ANN PAYER,{payment.end_to_end_id} T,-100.00,0.00"))
    assert imported.outcomes == {LineOutcome.WITHDRAWAL_CONFIRMED: 1}
    payment.refresh_from_db()
    assert payment.state == "confirmed"
    fits()
