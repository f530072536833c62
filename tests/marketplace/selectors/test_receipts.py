"""What lenders received, one row a part and distribution, on a case for the hand."""

from __future__ import annotations

import pytest

from marketplace.core.loan_events import DistributionKind
from marketplace.models import Distribution, Loan
from marketplace.selectors.paging import CursorRefused, PageRefused, PageWanted
from marketplace.selectors.portfolio import find_part, portfolio_page, portfolio_totals
from marketplace.selectors.receipts import receipts_page
from tests.marketplace.house import House, paid_out, pay_monthly
from tests.marketplace.statements import statements

PARTS = ((62_000, 40_000), (70_000, 60_000))


def test_receipts_are_the_differences_of_the_totals(house: House) -> None:
    made = paid_out(house, PARTS)
    pay_monthly(made, 2)
    first, second = Distribution.objects.filter(loan=made.loan_id).order_by("number")
    public_id = Loan.objects.get(pk=made.loan_id).public_id
    for row, lender in enumerate(made.lenders):
        later, earlier = receipts_page(lender.pk, PageWanted()).rows
        assert (later.loan_id, later.part, later.number) == (public_id, row + 1, 2)
        assert (later.spread_on, earlier.spread_on) == (second.spread_on, first.spread_on)
        assert later.kind == earlier.kind == DistributionKind.PAYMENT
        assert (earlier.principal, earlier.interest, earlier.fee) == (
            first.principal[row],
            first.interest[row],
            first.fee[row],
        )
        assert earlier.principal + later.principal == second.principal[row]
        assert earlier.interest + later.interest == second.interest[row]
        assert earlier.net + later.net == (
            second.principal[row] + second.interest[row] - second.fee[row]
        )


def test_pages_go_on_from_a_receipt(house: House) -> None:
    made = paid_out(house, PARTS)
    pay_monthly(made, 3)
    lender = made.lenders[0].pk
    whole = receipts_page(lender, PageWanted()).rows
    assert [receipt.number for receipt in whole] == [3, 2, 1]
    first = receipts_page(lender, PageWanted(size=2))
    assert (first.rows, first.has_next, first.has_previous) == (whole[:2], True, False)
    rest = receipts_page(lender, PageWanted(size=2, after=first.rows[-1].public_id))
    assert (rest.rows, rest.has_next, rest.has_previous) == (whole[2:], False, True)
    assert statements(lambda: receipts_page(lender, PageWanted())) == 1


@pytest.mark.parametrize(
    "after", ["", "nothing", "{}/1/9", "{}/2/1", "{}/1/-1", "{}/1/99999999999"]
)
def test_a_cursor_that_names_no_receipt_of_the_lender_is_refused(house: House, after: str) -> None:
    made = paid_out(house, PARTS)
    pay_monthly(made, 1)
    cursor = after.format(Loan.objects.get(pk=made.loan_id).public_id)
    with pytest.raises(CursorRefused):
        receipts_page(made.lenders[0].pk, PageWanted(after=cursor))


@pytest.mark.parametrize("size", [0, 101])
def test_a_page_of_no_rows_or_too_many_is_refused(house: House, size: int) -> None:
    made = paid_out(house, PARTS)
    with pytest.raises(PageRefused):
        receipts_page(made.lenders[0].pk, PageWanted(size=size))


def test_parts_and_totals_have_what_was_received(house: House) -> None:
    made = paid_out(house, PARTS)
    lender = made.lenders[1].pk
    [before] = portfolio_page(lender, PageWanted()).rows
    assert (before.principal_received, before.interest_received, before.fee_paid) == (0, 0, 0)
    assert before.receipts == ()
    pay_monthly(made, 2)
    last = Distribution.objects.filter(loan=made.loan_id).latest("number")
    [part] = portfolio_page(lender, PageWanted()).rows
    received = (last.principal[1], last.interest[1], last.fee[1])
    assert (part.principal_received, part.interest_received, part.fee_paid) == received
    assert part.receipts == receipts_page(lender, PageWanted()).rows
    assert find_part(lender, part.public_id) == part
    totals = portfolio_totals(lender)
    assert (totals.principal_received, totals.interest_received, totals.fee_paid) == received
    assert totals.lent == 60_000 == totals.principal_received + totals.outstanding
