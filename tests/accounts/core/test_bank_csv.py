"""CSV statements: what is derived from the running balance, and what is refused where."""

from __future__ import annotations

from datetime import date

import pytest

from accounts.core.bank_csv import read_bank_csv
from accounts.core.bank_statement import BankFileMalformed, BankStatementGap
from accounts.core.errors import AccountsRefusal, AmountRefused
from tests.bank_files import OUR_ACCOUNT

HEADER = "Date,Description,Reference,Amount,Balance\n"
# Opens with 1,000.00: the first balance less the first amount.
ROWS = (
    '2016-04-01,FASTER PAYMENT,RF03 TNR0 0000 007,"1,250.00","2,250.00"\n'
    "2016-04-01,CHARGE,,-0.5,2249.5\n"
    "2016-04-04,PAID OUT,W-1,-2249.50,0\n"
)
GOOD = HEADER + ROWS


def read(text: str) -> list[tuple[date, int, str]]:
    statement = read_bank_csv(text.encode(), account=OUR_ACCOUNT)
    return [(line.booked_on, line.amount, line.remittance) for line in statement.lines]


def test_reads_rows_and_derives_the_balances() -> None:
    statement = read_bank_csv(GOOD.encode(), account="20-00-00 55779911")
    assert statement.account == OUR_ACCOUNT
    assert (statement.opening, statement.closing) == (100_000, 0)
    assert (statement.opened_on, statement.closed_on) == (date(2016, 4, 1), date(2016, 4, 4))
    assert read(GOOD) == [
        (date(2016, 4, 1), 125_000, "RF03 TNR0 0000 007 FASTER PAYMENT"),
        (date(2016, 4, 1), -50, "CHARGE"),
        (date(2016, 4, 4), -224_950, "W-1 PAID OUT"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n") + "\r\n",
        HEADER + "".join(reversed(ROWS.splitlines(keepends=True))),
        GOOD.replace("2016-04-01", "01/04/2016").replace("2016-04-04", "04/04/2016"),
        "".join(f"x,{line}\n" for line in GOOD.replace("Date", " DATE ").splitlines()),
    ],
)
def test_takes_other_ways_of_writing_the_same(text: str) -> None:
    assert read(text) == read(GOOD)


def test_rows_of_one_day_may_go_either_way() -> None:
    rows = ["2016-04-01,A,,5,15", "2016-04-01,B,,-3,12"]
    assert read(HEADER + "\n".join(rows)) == read(HEADER + "\n".join(rows[::-1]))


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("OUT TNR-W-0000000012,TENNER,-5,0", "TNR-W-0000000012"),
        ("OUT,TNR-R-0000000012 TE,-5,0", "TNR-R-0000000012"),
        ("OUT TNR-W-0000000012,TNR-W-0000000013,-5,0", None),
        ("OUT TNR-W-00000000123,,-5,0", None),
        # Who pays us writes what they like.
        ("IN,TNR-W-0000000012,5,5", None),
    ],
)
def test_our_own_ids_are_found_in_the_text(row: str, found: str | None) -> None:
    [line] = read_bank_csv(f"{HEADER}2016-04-01,{row}\n".encode(), account="1").lines
    assert line.end_to_end_id == found


def test_references_are_the_same_in_an_overlapping_download() -> None:
    whole = read_bank_csv(GOOD.encode(), account="1").lines
    later = read_bank_csv((HEADER + "".join(ROWS.splitlines(True)[1:])).encode(), account="1").lines
    assert [line.reference for line in whole[1:]] == [line.reference for line in later]


def test_rows_alike_in_everything_stay_two_lines() -> None:
    rows = ["2016-04-01,A,,5,5", "2016-04-01,A,,-5,0", "2016-04-01,A,,5,5", "2016-04-01,A,,-5,0"]
    lines = read_bank_csv((HEADER + "\n".join(rows)).encode(), account="1").lines
    assert len({line.reference for line in lines}) == 4


@pytest.mark.parametrize(
    ("old", "new", "refusal", "says"),
    [
        ("Amount", "Value", BankFileMalformed, "Row 1, column amount"),
        ("Date,", "Date,date,", BankFileMalformed, "Row 1, column date"),
        ("CHARGE,", "CHARGE", BankFileMalformed, "Row 3: it has 4 values for 5"),
        ("2016-04-04", "04.04.2016", BankFileMalformed, "Row 4, column date"),
        ("2016-04-04", "04/04/2016", BankFileMalformed, "Row 4, column date"),
        ("2016-04-04", "2016-02-30", BankFileMalformed, "Row 4, column date"),
        ("-0.5,", "-0.505,", AmountRefused, "Row 3, column amount"),
        ("-0.5,", "0.00,", AmountRefused, "Row 3, column amount"),
        ("1,250.00", "12,50.00", AmountRefused, "Row 2, column amount"),
        ("1,250.00", "£1250.00", AmountRefused, "Row 2, column amount"),
        ("2249.5\n", "(2249.5)\n", AmountRefused, "Row 3, column balance"),
        ("2249.5\n", "2249.6\n", BankStatementGap, "Row 3, column balance"),
        ("2016-04-01,CHARGE,,-0.5,2249.5\n", "", BankStatementGap, "Row 3, column balance"),
        ("2016-04-01,CHARGE", "2016-04-09,CHARGE", BankFileMalformed, "Row 4, column date"),
        ("CHARGE", "CHA\x00RGE", BankFileMalformed, "Row 3: it has a control"),
        ("CHARGE", '"CHARGE', BankFileMalformed, "quotation marks"),
        ("CHARGE", "C" * 5_000, BankFileMalformed, "Row 3: it has more than"),
        (ROWS, "", BankFileMalformed, "no rows"),
    ],
)
def test_names_row_and_column(
    old: str, new: str, refusal: type[AccountsRefusal], says: str
) -> None:
    assert old in GOOD
    with pytest.raises(refusal, match=says):
        read(GOOD.replace(old, new))


def test_refuses_what_is_not_utf_8() -> None:
    with pytest.raises(BankFileMalformed, match="Row 3: it isn't UTF-8"):
        read_bank_csv(GOOD.replace("CHARGE", "\xe9").encode("latin-1"), account="1")
