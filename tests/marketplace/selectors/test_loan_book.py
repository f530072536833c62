"""The loan book as of a day: what was true then, whenever it is asked."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from datetime import date

from accounts.models import Member
from marketplace.core.loan_book import COLUMNS
from marketplace.selectors.loan_book import loan_book, loan_book_csv
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import distribute_cleared
from tests.marketplace.house import Funded, House, funded, paid_out, pay
from tests.marketplace.statements import statements
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

SECRET = b"a secret of the tests"


def _csv(on: date) -> bytes:
    return "".join(loan_book_csv(on, secret=SECRET)).encode()


def _rows(on: date) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_csv(on).decode())))


def _life(house: House) -> Funded:
    """One instalment paid on 3 May 2016 and no more: in default on 1 October."""
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 3_078, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    for month in (6, 7, 8, 9):
        fall_due(on=date(2016, month, 1), actor=ACTOR)
    age_loans(on=date(2016, 6, 2))
    age_loans(on=date(2016, 10, 1))
    return made


def test_the_file_to_the_byte(house: House) -> None:
    made = paid_out(house)
    Member.objects.filter(pk=made.borrower.pk).update(postcode="SW1A 1AA")
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 3_078, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    loan, member = (
        hmac.new(SECRET, what.encode(), hashlib.sha256).hexdigest()[:32]
        for what in (f"loan:{made.loan_id}", f"member:{made.borrower.pk}")
    )
    # 2,512p of principal and 566p of interest, as in the worked example of payments.
    assert (
        _csv(CLEARED)
        == (
            f"{','.join(COLUMNS)}\r\n"
            f"2016-05-06,{loan},{member},2016-04-01,1000.00,25.12,5.66,1,2016-05-03,36,0.070040,"
            "Active,,SW1A\r\n"
        ).encode()
    )


def test_a_past_day_gives_what_was_true_then(house: House) -> None:
    _life(house)
    days = {
        DAY: ("0.00", "0", "", "Active", ""),
        FIRST_DUE: ("0.00", "1", "2016-05-03", "Active", ""),
        CLEARED: ("25.12", "1", "2016-05-03", "Active", ""),
        date(2016, 9, 30): ("25.12", "1", "2016-05-03", "Active", ""),
        date(2016, 10, 1): ("25.12", "1", "2016-05-03", "Default", "2016-10-01"),
    }
    for day, expected in days.items():
        [row] = _rows(day)
        names = (
            "Principal Collected",
            "Total number of payments",
            "Last payment date",
            "Latest Status",
            "Date of Default",
        )
        assert tuple(row[name] for name in names) == expected, day
        assert row["Snapshot Date"] == day.isoformat()
    assert _rows(date(2016, 3, 31)) == []


def test_a_past_book_does_not_change_with_what_happens_later(house: House) -> None:
    made = paid_out(house)
    before = _csv(CLEARED)
    # What arrives afterwards, and the loan's default, are not in it.
    fall_due(on=date(2016, 9, 1), actor=ACTOR)
    pay(made.loan_id, 3_078, date(2016, 9, 1))
    distribute_cleared(on=date(2016, 9, 6), actor=ACTOR)
    age_loans(on=date(2016, 12, 1))
    assert _rows(date(2016, 12, 1))[0]["Latest Status"] == "Default"
    assert _csv(CLEARED) == before


def test_a_loan_that_is_not_paid_out_is_not_in_the_book(house: House) -> None:
    funded(house)
    assert loan_book(date(2020, 1, 1)) == []


def test_one_borrower_has_one_pseudonym_and_no_name_leaves(house: House) -> None:
    one, other = paid_out(house), paid_out(house)
    rows = _rows(DAY)
    assert len({row["Encrypted Member ID"] for row in rows}) == 2
    text = _csv(DAY).decode()
    for borrower in (one.borrower, other.borrower):
        assert borrower.name not in text
        assert borrower.email not in text
    assert "4AP" not in text
    assert {row["PostCode"] for row in rows} == {"LS1"}
    assert text == _csv(DAY).decode()


def test_it_is_one_statement_for_any_number_of_loans(house: House) -> None:
    paid_out(house)
    assert statements(lambda: loan_book(DAY)) == 1
    paid_out(house)
    assert statements(lambda: loan_book(DAY)) == 1
    assert len(loan_book(DAY)) == 2
