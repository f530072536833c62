"""The commands as a person meets them: answers on stdout, one line and status 2 for bad input."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.management import load_command_class
from django.core.management.base import CommandError

from api.demo import run
from api.management.commands.demo import _carry_out
from risk.models import DataSet, PastApplication

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "risk" / "specs" / "lending_club_2016q1.toml"
DATA = ROOT / "data" / "lending_club_2016q1.csv"

HEADER = (
    "Member ID,Market,Term,Offer Name,Offer Date,Original Market,Offer Rate,Max Exposure,"
    "Available,Loan Size,Simple Rate"
)
# The house design's seven offers, in order of time: rate and pounds.
OFFERS = (
    ("0.075", 640),
    ("0.069", 480),
    ("0.071", 520),
    ("0.104", 170),
    ("0.081", 320),
    ("0.074", 140),
    ("0.071", 60),
)
ROWS = [
    f"******,A*,36,******,19/08/2011 10:00:{second:02d},A*,{rate},{pounds},{pounds},,"
    for second, (rate, pounds) in enumerate(OFFERS)
]
QUOTE = ("--market", "A*", "--term", "36", "--amount", "1000")


@dataclass(frozen=True)
class Told:
    """What a command told: its exit status and both its outputs."""

    status: int
    out: str
    error: str


def command(capsys: pytest.CaptureFixture[str], name: str, *arguments: str) -> Told:
    """Run a command as ``manage.py`` does, to its exit status."""
    status: str | int | None = 0
    try:
        load_command_class("api", name).run_from_argv(["manage.py", name, *arguments])
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    assert isinstance(status, int)
    return Told(status, printed.out, printed.err)


def _book(folder: Path, rows: Sequence[str], header: str = HEADER) -> str:
    file = folder / "book.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(file)


def _refused(told: Told, *words: str) -> None:
    """One line on stderr, which says these words, status 2, and nothing else."""
    assert told.status == 2
    assert "Traceback" not in told.error
    [line] = told.error.strip().splitlines()
    for word in words:
        assert word in line


class TestQuote:
    @pytest.mark.parametrize("seed", [0, 1, 2, 3])
    def test_the_design_fixture_in_any_order_of_rows(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
    ) -> None:
        rows = list(ROWS)
        if seed:
            random.Random(seed).shuffle(rows)
        told = command(capsys, "quote", _book(tmp_path, rows), *QUOTE)
        assert (told.status, told.error) == (0, "")
        answer = json.loads(told.out)
        # £480 at 6.9 % and the earlier £520 at 7.1 %: monthly .5657245 %, 7.0040 % a year;
        # 1000 x .005657245 / (1 - 1.005657245^-36) = 30.78.
        assert answer["rate"] == 0.07004
        assert answer["instalment"] == "30.78"
        assert answer["marginal_rate"] == 0.071
        assert answer["parts"] == [
            {"rate": 0.069, "amount": "480.00"},
            {"rate": 0.071, "amount": "520.00"},
        ]
        assert (answer["amount"], answer["term"], answer["market"]) == ("1000.00", 36, "A*")
        assert answer["offers"] == 2
        # 35 instalments of £30.78 and a last one that absorbs the rounding.
        assert abs(float(answer["total_repayable"]) - 36 * 30.78) <= 0.36
        # No fees: the APR is the rate, to the rounding of the instalments.
        assert answer["apr"] == pytest.approx(0.07004, abs=2e-4)
        assert set(answer) == {
            "amount",
            "term",
            "market",
            "offers",
            "parts",
            "rate",
            "marginal_rate",
            "instalment",
            "total_repayable",
            "apr",
        }

    def test_of_equal_rates_the_earlier_offer_goes_first(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # £480 at 6.9 %, £520 at 7.1 %, and only then the later £60 at 7.1 %: £30 of £1,030.
        rows = [*ROWS[:2], *reversed(ROWS[2:])]
        amount = ("--market", "A*", "--term", "36", "--amount", "1030.00")
        told = command(capsys, "quote", _book(tmp_path, rows), *amount)
        parts = json.loads(told.out)["parts"]
        assert [part["amount"] for part in parts] == ["480.00", "520.00", "30.00"]

    def test_not_enough_offers_say_how_much_could_be_funded(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # 640 + 480 + 520 + 170 + 320 + 140 + 60 = 2,330.
        amount = ("--market", "A*", "--term", "36", "--amount", "2500")
        told = command(capsys, "quote", _book(tmp_path, ROWS), *amount)
        answer = json.loads(told.out)
        assert answer["code"] == "NOT_ENOUGH_OFFERS"
        assert answer["fundable"] == "2330.00"
        _refused(told, "£2,330 of £2,500")

    def test_a_market_without_offers_funds_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = ("--market", "B", "--term", "60", "--amount", "1000")
        told = command(capsys, "quote", _book(tmp_path, ROWS), *other)
        assert json.loads(told.out)["fundable"] == "0.00"
        assert told.status == 2

    def test_check_compares_the_running_figures(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [
            # Running sizes 10, 30, 60; the last row says 65.
            "******,A,36,******,2011-08-19,A,0.050,10,10,10,0.0500",
            "******,A,36,******,2011-08-20,A,0.065,20,50,30,0.0600",
            "******,A,36,******,2011-08-21,A,0.080,30,30,65,0.0800",
        ]
        told = command(capsys, "quote", _book(tmp_path, rows), "--check")
        assert told.status == 0
        # Means: (10 x 5 + 20 x 6.5) / 30 = 6 %; (180 + 30 x 8) / 60 = 7 %, and the file says 8 %.
        assert json.loads(told.out) == {
            "check": [
                {
                    "market": "A",
                    "term": 36,
                    "rows": 3,
                    "loan_sizes_that_differ": 1,
                    "simple_rates_that_differ": 1,
                    "largest_loan_size_difference": {"row": 4, "difference": "5.00"},
                    "largest_simple_rate_difference": {"row": 4, "difference": 0.01},
                }
            ]
        }

    def test_check_and_quote_together(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = command(capsys, "quote", _book(tmp_path, ROWS), *QUOTE, "--check")
        answer = json.loads(told.out)
        assert answer["instalment"] == "30.78"
        assert answer["check"][0]["loan_sizes_that_differ"] == 0

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--market", "A*", "--term", "36", "--amount", "ten"), "'ten' is not an amount"),
            (("--market", "A*", "--term", "36", "--amount", "1005"), "multiple of £10"),
            (("--market", "A*", "--term", "36", "--amount", "-1000"), "multiple of £10"),
            (("--market", "A*", "--term", "36", "--amount", "0"), "multiple of £10"),
            (("--market", "Z", "--term", "36", "--amount", "1000"), "no market Z"),
            (("--market", "A*", "--term", "12", "--amount", "1000"), "over 12 months"),
            (("--market", "A*", "--term", "36"), "--amount"),
            ((), "--market"),
        ],
    )
    def test_bad_questions(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: tuple[str, ...],
        words: str,
    ) -> None:
        joined = [*arguments]
        if "--amount" in joined and joined[-1].startswith("-"):
            joined[-2:] = [f"--amount={joined[-1]}"]
        _refused(command(capsys, "quote", _book(tmp_path, ROWS), *joined), words)


def _with(place: int, value: str) -> list[str]:
    """Seven offers, one cell of the third row (line 4 of the file) replaced."""
    cells = ROWS[2].split(",")
    cells[place] = value
    return [*ROWS[:2], ",".join(cells), *ROWS[3:]]


BAD_BOOKS: Mapping[str, tuple[bytes, tuple[str, ...]]] = {
    name: ("\n".join(rows).encode() + b"\n", words)
    for name, rows, words in (
        (
            "a missing column",
            [HEADER.replace(",Available", ""), *ROWS],
            ("row 1", "column Available"),
        ),
        (
            "a word for a number",
            [HEADER, *_with(7, "lots")],
            ("row 4", "column Max Exposure", "'lots'"),
        ),
        ("a word for a rate", [HEADER, *_with(6, "high")], ("row 4", "column Offer Rate")),
        ("a negative amount", [HEADER, *_with(8, "-10")], ("row 4", "column Available")),
        ("an absurd amount", [HEADER, *_with(8, "9" * 12)], ("row 4", "column Available")),
        ("an absurd rate", [HEADER, *_with(6, "700%")], ("row 4", "column Offer Rate")),
        ("a negative rate", [HEADER, *_with(6, "-0.07")], ("row 4", "column Offer Rate")),
        ("an unknown market", [HEADER, *_with(1, "Z")], ("row 4", "column Market", "'Z'")),
        ("an unknown term", [HEADER, *_with(2, "37")], ("row 4", "column Term", "'37'")),
        ("no date", [HEADER, *_with(4, "soon")], ("row 4", "column Offer Date")),
        ("a duplicate row", [HEADER, *ROWS, ROWS[2]], ("row 9", "row 4")),
        ("a value too few", [HEADER, ROWS[0], "A*,36"], ("row 3", "2 values for 11 columns")),
        ("a header only", [HEADER], ("row 1", "no offers")),
    )
} | {
    "an empty file": (b"", ("the file is empty",)),
    "a file that is not text": (b"PK\x03\x04\xff\xfe\x00\x80", ("row 1", "not text")),
    "zero bytes": (HEADER.encode() + b"\n\0\0\0", ("row 2", "not text")),
}


@pytest.mark.parametrize("name", BAD_BOOKS)
def test_a_bad_book_is_one_line_with_file_row_and_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content, words = BAD_BOOKS[name]
    file = tmp_path / "bad-book.csv"
    file.write_bytes(content)
    told = command(capsys, "quote", str(file), *QUOTE)
    assert told.out == ""
    _refused(told, "bad-book.csv", *words)


def test_a_book_that_cannot_be_opened_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _refused(
        command(capsys, "quote", str(tmp_path / "none.csv"), *QUOTE), "none.csv", "No such file"
    )
    _refused(command(capsys, "quote", str(tmp_path), *QUOTE), "Is a directory")


def test_the_process_itself_ends_with_status_two_and_one_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("\n".join([HEADER, *_with(1, "Z")]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "manage.py", "quote", str(file), *QUOTE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    _refused(Told(done.returncode, done.stdout, done.stderr), "bad.csv", "row 4", "column Market")
    assert done.stdout == ""


def test_an_argument_that_is_no_text_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "quote", b"\xff.csv", *QUOTE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    _refused(Told(done.returncode, done.stdout, done.stderr), "not text in UTF-8")


def _past(rows: int = 3) -> list[str]:
    with DATA.open(encoding="utf-8") as lines:
        return [line.rstrip("\n") for line, _ in zip(lines, range(rows + 1), strict=False)]


def _past_with(column: str, value: str) -> list[str]:
    header, *rows = _past()
    cells = rows[1].split(",")
    cells[header.split(",").index(column)] = value
    return [header, rows[0], ",".join(cells), rows[2]]


BAD_DATA: Mapping[str, tuple[bytes, tuple[str, ...]]] = {
    name: ("\n".join(rows).encode() + b"\n", words)
    for name, rows, words in (
        (
            "a missing column",
            [line.split(",", 1)[1] for line in _past()],
            ("row 1", "column funded_amnt"),
        ),
        ("a word for a number", _past_with("annual_inc", "plenty"), ("row 3", "column annual_inc")),
        ("a negative amount", _past_with("funded_amnt", "-16100"), ("row 3", "column funded_amnt")),
        ("an absurd amount", _past_with("funded_amnt", "1e99"), ("row 3", "column funded_amnt")),
        ("an unknown term", _past_with("term", "term_37"), ("row 3", "column term")),
        ("an unknown outcome", _past_with("Class", "maybe"), ("row 3", "column Class")),
        ("a duplicate row", [*_past(), _past()[2]], ("row 5", "row 3")),
        ("a header only", _past(0), ("row 1",)),
    )
} | {
    "an empty file": (b"", ("empty",)),
    "a file that is not text": (b"\x89PNG\r\n\x1a\n\xff\xfe", ("row 1", "not text")),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_past_loans_are_one_line_and_nothing_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], module_db: str, name: str
) -> None:
    content, words = BAD_DATA[name]
    file = tmp_path / "past.csv"
    file.write_bytes(content)
    told = command(capsys, "load_data", str(file), "--spec", str(SPEC))
    _refused(told, "past.csv", *words)
    assert not DataSet.objects.exists()
    assert not PastApplication.objects.exists()


def test_files_that_are_not_there_or_not_text_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], module_db: str
) -> None:
    missing = str(tmp_path / "none.csv")
    _refused(command(capsys, "load_data", missing, "--spec", str(SPEC)), "none.csv", "No such file")
    spec = tmp_path / "spec.toml"
    spec.write_bytes(b"\xff\xfe")
    _refused(command(capsys, "load_data", str(DATA), "--spec", str(spec)), "spec.toml")
    spec.write_text("name = ", encoding="utf-8")
    _refused(command(capsys, "load_data", str(DATA), "--spec", str(spec)))


def test_good_past_loans_are_loaded_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], committed_db: str
) -> None:
    file = tmp_path / "past.csv"
    file.write_text("\n".join(_past(40)) + "\n", encoding="utf-8")
    for _ in range(2):
        told = command(capsys, "load_data", str(file), "--spec", str(SPEC), "--name", "Forty")
        assert told.status == 0
        assert told.out == "Forty: 40 past applications.\n"
    assert DataSet.objects.count() == 1
    assert PastApplication.objects.count() == 40


@pytest.mark.parametrize("name", ["a word for a number", "an empty file"])
def test_the_demo_ends_with_status_two_on_bad_past_loans(
    tmp_path: Path, module_db: str, name: str
) -> None:
    content, words = BAD_DATA[name]
    file = tmp_path / "past.csv"
    file.write_bytes(content)
    with pytest.raises(CommandError) as end:
        _carry_out(run.load_past, run.Demo(data=file), lambda *_: None)
    assert end.value.returncode == 2
    for word in ("past.csv", *words):
        assert word in str(end.value)
    missing = run.Demo(data=tmp_path / "none.csv")
    with pytest.raises(CommandError) as end:
        _carry_out(run.load_past, missing, lambda *_: None)
    assert end.value.returncode == 2
