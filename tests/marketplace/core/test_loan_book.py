"""A line of the loan book, to the byte; statuses, districts and pseudonyms."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import date

import pytest

from marketplace.core.loan_book import (
    COLUMNS,
    STATUS,
    BookLoan,
    book_row,
    encrypted,
    postal_district,
)
from marketplace.core.states import LoanState

ON = date(2016, 9, 30)
LOAN = BookLoan(
    loan_id="12",
    member_id="7",
    paid_out_on=date(2016, 4, 1),
    amount=100_000,
    principal_paid=5_038,
    interest_paid=1_118,
    payments=2,
    last_payment_on=date(2016, 6, 1),
    term_months=36,
    rate=70_040,
    state=LoanState.ACTIVE,
    defaulted_on=None,
    postcode="ls1 4ap",
)


def _pseudonym(what: str) -> str:
    return hmac.new(b"secret", what.encode(), hashlib.sha256).hexdigest()[:32]


def test_the_columns_are_zopas() -> None:
    assert ",".join(COLUMNS) == (
        "Snapshot Date,Encrypted Loan ID,Encrypted Member ID,Disbursal date,Original Loan Amount,"
        "Principal Collected,Interest Collected,Total number of payments,Last payment date,Term,"
        "Lending rate,Latest Status,Date of Default,PostCode"
    )


def test_a_line_to_the_byte() -> None:
    assert ",".join(book_row(LOAN, on=ON, secret=b"secret")) == (
        f"2016-09-30,{_pseudonym('loan:12')},{_pseudonym('member:7')},2016-04-01,1000.00,50.38,"
        "11.18,2,2016-06-01,36,0.070040,Active,,LS1"
    )


def test_a_line_of_a_loan_in_default_that_never_paid() -> None:
    lost = replace(
        LOAN,
        principal_paid=0,
        interest_paid=0,
        payments=0,
        last_payment_on=None,
        state=LoanState.DEFAULT,
        defaulted_on=date(2016, 9, 3),
        postcode="",
    )
    line = ",".join(book_row(lost, on=ON, secret=b"secret"))
    assert line.endswith(",1000.00,0.00,0.00,0,,36,0.070040,Default,2016-09-03,")


def test_every_state_of_a_loan_that_was_paid_out_has_a_status() -> None:
    unpaid = {LoanState.FUNDED, LoanState.CANCELLED}
    assert set(STATUS) == set(LoanState) - unpaid
    assert set(STATUS.values()) == {"Active", "Completed", "Default"}
    assert {state for state, status in STATUS.items() if status == "Completed"} == {
        LoanState.REPAID,
        LoanState.SETTLED,
        LoanState.RESCINDED,
    }


@pytest.mark.parametrize(
    ("postcode", "district"),
    [
        ("LS1 4AP", "LS1"),
        ("LS14AP", "LS1"),
        ("ec1a 1bb", "EC1A"),
        ("M1 1AE", "M1"),
        ("CR2 6XH", "CR2"),
        ("DN55 1PT", "DN55"),
        ("W1A 0AX", "W1A"),
        (" SW1A  ", "SW1A"),
        ("", ""),
        ("12345", ""),
        ("1 High Street, Leeds", ""),
        ("LS1 4AP Leeds", ""),
    ],
)
def test_only_the_district_leaves_the_house(postcode: str, district: str) -> None:
    assert postal_district(postcode) == district


def test_pseudonyms_are_stable_and_differ_by_kind_and_key() -> None:
    assert encrypted("loan:1", b"a") == encrypted("loan:1", b"a")
    assert len(encrypted("loan:1", b"a")) == 32
    assert (
        len({encrypted("loan:1", b"a"), encrypted("member:1", b"a"), encrypted("loan:1", b"b")})
        == 3
    )
