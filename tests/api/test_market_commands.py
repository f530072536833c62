"""``manage.py market`` and ``manage.py order_book``, as people of operations meet them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import Entry, Member
from accounts.selectors.ledger import member_balances
from api.wording import percent as percent_of
from marketplace.core.order_book_file import COLUMNS
from marketplace.core.quoting import quote_from_queue
from marketplace.models import Cycle, Offer, OfferRate
from marketplace.selectors.markets import list_markets
from marketplace.selectors.order_book import load_order_book
from marketplace.services.offering import PoolDraft, place_offers
from tests.api.test_commands import Told
from tests.marketplace.house import (
    House,
    borrowers,
    committed_house,
    house,
    house_template,
    key,
    listing,
    offer,
    shared_house,
)
from tests.world import ACTOR, DAY, SEVEN_OFFERS, enrol_lenders, place

__all__ = ["committed_house", "house", "house_template", "shared_house"]

ON = ("--on", DAY.isoformat())
HEADER = ",".join(COLUMNS)


def command(capsys: pytest.CaptureFixture[str], name: str, *arguments: str) -> Told:
    """Run a command in the test's own transaction, to its exit status."""
    status, error = 0, ""
    try:
        call_command(name, *arguments)
    except CommandError as failed:
        status, error = failed.returncode, str(failed)
    return Told(status, capsys.readouterr().out, error)


def cells(table: str, first: str) -> list[str]:
    """The cells of a printed table's row that begins with ``first``."""
    [line] = [line for line in table.splitlines() if line.startswith(f"│ {first} ")]
    return [cell.strip() for cell in line.strip("│").split("│")]


def refused(told: Told, *words: str) -> None:
    """One line that says these words, status 2."""
    assert told.status == 2
    [line] = told.error.strip().splitlines()
    for word in words:
        assert word in line


class TestMarket:
    def test_show_tells_each_market_at_a_glance(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        guide = house.markets["A/36"].guide_rate
        listing(house, borrowers(1)[0], 100_000)
        place(enrol_lenders([100_000] * 7), SEVEN_OFFERS)
        shown = cells(command(capsys, "market", "show", *ON).out, "A/36")
        # The seven offers are £2,330 between 6.9 % and 10.4 %; nothing has traded yet.
        percent = f"{percent_of(guide)} %"
        assert shown == [
            "A/36", percent, percent, "6.90 %", "10.40 %", "£2,330.00", "7", "1", "£1,000.00",
            "none yet",
        ]  # fmt: skip
        command(capsys, "market", "cycle", *ON, "--key", "first")
        shown = cells(command(capsys, "market", "show", *ON).out, "A/36")
        # £480 at 6.9 % and £520 at 7.1 % were lent: (480 x 6.9 + 520 x 7.1) / 1000 = 7.004 %.
        assert shown[2:] == [
            "7.004 %", "7.10 %", "10.40 %", "£1,330.00", "5", "0", "£0.00",
            f"{DAY}: 1 loans, £1,000.00",
        ]  # fmt: skip

    def test_a_cycle_is_run_once_a_key(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        place(enrol_lenders([100_000] * 7), SEVEN_OFFERS)
        for person, amount in zip(borrowers(2), (100_000, 2_500_000), strict=True):
            listing(house, person, amount)
        words = ("market", "cycle", *ON, "--key", "noon")
        told = command(capsys, *words)
        assert told.status == 0
        assert cells(told.out, "A/36")[:8] == [
            "A/36", "2", "1", "2", "£1,000.00", "7.10 %", "7.004 %", "0.00",
        ]  # fmt: skip
        assert "1 loans of 2 parts, £1,000.00. Waiting: 1 not enough offers.\n" in told.out
        assert command(capsys, *words).out == told.out
        assert Cycle.objects.count() == 1
        refused(command(capsys, "market", "cycle", "--on", "2016-04-04", "--key", "noon"), "noon")

    @pytest.mark.usefixtures("house")
    def test_top_up_says_what_it_did(self, capsys: pytest.CaptureFixture[str]) -> None:
        told = command(capsys, "market", "top-up", *ON)
        assert told.out == "0 distributions looked at; £0.00 on offer again in 0 offers.\n"
        refused(command(capsys, "market", "top-up", *ON, "--by", "x@example.org"), "MEMBER_UNKNOWN")

    @pytest.mark.usefixtures("committed_db")
    def test_a_house_without_a_rate_table_is_refused(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        refused(command(capsys, "market", "show"), "RISK_NOT_READY")
        refused(command(capsys, "market", "cycle", *ON, "--key", "k"), "RISK_NOT_READY")


def varied_book(house: House) -> list[Member]:
    """Own rates, two offers of one lender, implied rates, and pool money in a mix."""
    lenders = enrol_lenders([1_000_000] * 5)
    offer(house, lenders[0], 300_000, {"A/36": 70_000}, limit=40_000)
    offer(house, lenders[0], 200_000, {"A/36": 69_000, "B/36": 92_500}, limit=25_000)
    offer(house, lenders[1], 500_000, {"B/36": 71_253}, limit=30_000)
    offer(house, lenders[2], 100_000, {"A/36": 70_000}, limit=100_000)
    mix = {house.markets["A/36"].market_id: 333_333, house.markets["B/36"].market_id: 700_000}
    pool = PoolDraft(lenders[3].pk, 100_000, 500_000, mix)
    placed = place_offers(drafts=[pool], on=DAY, actor=ACTOR, key=key())
    Offer.objects.filter(pk__in=placed).update(repaid=15_000)
    offer(house, lenders[4], 100_000, {"A/36": 71_253}, limit=50_000)
    # At the guide rate, after the pool, and before it all the same.
    guide = house.markets["A/36"].guide_rate
    offer(house, lenders[4], 50_000, {"A/36": guide}, limit=10_000)
    return lenders


def exported(
    capsys: pytest.CaptureFixture[str], file: Path, *words: str
) -> list[Mapping[str, str]]:
    told = command(capsys, "order_book", "export", str(file), *ON, *words)
    assert (told.status, told.error) == (0, "")
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


class TestExport:
    @pytest.mark.parametrize("words", [(), ("--members",)])
    def test_a_quote_from_the_file_is_the_platforms(
        self, house: House, capsys: pytest.CaptureFixture[str], tmp_path: Path,
        words: Sequence[str],
    ) -> None:  # fmt: skip
        varied_book(house)
        file = tmp_path / "book.csv"
        exported(capsys, file, *words)
        # In A/36 the first lender gives £250 at 6.9 % and, of £400 in all, £150 at 7 %; the pool
        # gives £330 of the £333.33 in its mix, £150 of it repaid money.
        for band, amount in (("A", 100_000), ("A", 123_000), ("A", 220_000), ("B", 100_000)):
            queue = load_order_book(DAY).queue(house.markets[f"{band}/36"].market_id)
            ours = quote_from_queue(queue, amount, 36)
            asked = ("--market", band, "--term", "36", "--amount", str(amount // 100))
            told = json.loads(command(capsys, "quote", str(file), *asked).out)
            assert [(part["rate"], part["amount"]) for part in told["parts"]] == [
                (part.rate_ppm / 10**6, f"{part.amount / 100:.2f}") for part in ours.parts
            ]
            assert told["rate"] == ours.rate
            assert told["instalment"] == f"{ours.instalment / 100:.2f}"
            assert told["total_repayable"] == f"{ours.total_repayable / 100:.2f}"
        checks = json.loads(command(capsys, "quote", str(file), "--check").out)["check"]
        assert {(c["market"], c["term"]) for c in checks} >= {("A*", 36), ("A", 36), ("B", 36)}
        for check in checks:
            assert (check["loan_sizes_that_differ"], check["simple_rates_that_differ"]) == (0, 0)

    def test_a_lenders_second_offer_carries_what_the_first_leaves(
        self, house: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        [lender] = enrol_lenders([1_000_000])
        offer(house, lender, 300_000, {"A/36": 70_000}, limit=40_000)
        offer(house, lender, 200_000, {"A/36": 69_000}, limit=25_000)
        offer(house, lender, 200_000, {"A/36": 72_000}, limit=40_000)
        market = ("--market", "A", "--term", "36")
        masked = exported(capsys, tmp_path / "masked.csv", *market)
        # £250 of £250 at 6.9 %, then £400 less £250 at 7 %, then nothing of £400.
        assert [(r["Member ID"], r["Offer Name"], r["Max Exposure"]) for r in masked] == [
            ("******", "******", "250.00"), ("******", "******", "150.00"),
        ]  # fmt: skip
        assert [r["Loan Size"] for r in masked] == ["250.00", "400.00"]
        named = exported(capsys, tmp_path / "named.csv", *market, "--members")
        assert [r["Max Exposure"] for r in named] == ["250.00", "400.00", "400.00"]
        assert {r["Member ID"] for r in named} == {str(lender.public_id)}
        assert {r["Offer Name"] for r in named} == {str(o.public_id) for o in Offer.objects.all()}

    def test_implied_rows_say_who_named_them(
        self, house: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        [lender] = enrol_lenders([100_000])
        offer(house, lender, 100_000, {"B/36": 71_253})
        rows = exported(capsys, tmp_path / "book.csv", "--term", "36")
        assert [(r["Market"], r["Original Market"], r["Offer Rate"]) for r in rows] == [
            ("A*", "B", "0.071253"), ("A", "B", "0.071253"), ("B", "B", "0.071253"),
        ]  # fmt: skip
        assert {r["Offer Date"] for r in rows} == {"01/04/2016 00:00:00"}

    def test_only_what_is_asked_for_is_written(
        self, house: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        varied_book(house)
        file = tmp_path / "book.csv"
        assert {r["Market"] for r in exported(capsys, file, "--market", "B")} == {"B"}
        assert exported(capsys, file, "--market", "B", "--term", "60") == []
        assert file.read_text(encoding="utf-8") == HEADER + "\n"
        no_market = command(capsys, "order_book", "export", str(file), "--market", "Z")
        refused(no_market, "no such market", "A*/36")
        nowhere = str(tmp_path / "nowhere" / "book.csv")
        refused(command(capsys, "order_book", "export", nowhere, *ON), "No such file")
        assert [path.name for path in tmp_path.iterdir()] == ["book.csv"]


def written(folder: Path, *rows: str) -> str:
    file = folder / "offers.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return str(file)


def line(member: object, **changed: str) -> str:
    """A row of £500, at most £100 a borrower, at 7 % in A/36, but for what is given."""
    good = {
        "Member_ID": str(member),
        "Market": "A",
        "Term": "36",
        "Offer_Name": "mine",
        "Offer_Date": "01/04/2016 10:00:00",
        "Original_Market": "",
        "Offer_Rate": "0.07",
        "Max_Exposure": "100",
        "Available": "500",
        "Loan_Size": "",
        "Simple_Rate": "",
    }
    return ",".join((good | changed).values())


def take(
    capsys: pytest.CaptureFixture[str], file: str, *words: str, idempotency: str = "k"
) -> Told:
    return command(capsys, "order_book", "import", file, *ON, "--key", idempotency, *words)


@pytest.mark.usefixtures("house")
class TestImport:
    def test_offers_are_placed_once(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        first, second = enrol_lenders([100_000, 100_000])
        file = written(
            tmp_path,
            line(first.public_id, Offer_Rate="7.1253%"),
            line(first.public_id, Term="60", Offer_Rate="0.08"),
            line(second.email.upper(), Offer_Rate="0.069999", Available="1000"),
            line(second.email.upper(), Market="A*", Original_Market="A"),
        )
        check = take(capsys, file, "--dry-run")
        figures = "offers.csv: 2 offers of 2 lenders, £1,500.00,"
        implied = "1 rows are implied by others"
        assert check.out == f"{figures} would be placed. {implied}.\n"
        assert not Offer.objects.exists()
        told = take(capsys, file)
        assert told.out == f"{figures} are placed. {implied}.\n"
        offers = Offer.objects.order_by("pk")
        assert [(o.lender_id, o.amount, o.exposure_limit) for o in offers] == [
            (second.pk, 100_000, 10_000),
            (first.pk, 50_000, 10_000),
        ]
        asked = OfferRate.objects.order_by("pk").values_list("offer", "market__term_months", "rate")
        assert list(asked) == [
            (offers[0].pk, 36, 69_999),
            (offers[1].pk, 36, 71_253),
            (offers[1].pk, 60, 80_000),
        ]
        assert (member_balances(first.pk).cash, member_balances(first.pk).on_offer) == (50_000,) * 2
        entries = Entry.objects.count()
        assert take(capsys, file).out == told.out
        assert (Offer.objects.count(), Entry.objects.count()) == (2, entries)
        other = written(tmp_path, line(second.public_id, Available="10", Max_Exposure="10"))
        refused(take(capsys, other), "IDEMPOTENCY_CONFLICT")

    def test_a_book_that_was_exported_stands_as_it_stood(
        self, house: House, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """Own rates, cancelled and placed again from the file: the same queues, to the place."""
        lenders = enrol_lenders([1_000_000] * 4)
        for lender, amount, rates in (
            (lenders[0], 300_000, {"A/36": 70_000, "A/60": 81_000}),
            (lenders[1], 500_000, {"B/36": 71_253}),
            (lenders[2], 100_000, {"A/36": 70_000}),
            (lenders[0], 200_000, {"A/36": 69_000, "B/36": 92_500}),
            (lenders[3], 400_000, {"A/36": 70_000, "A/60": 81_000}),
        ):
            offer(house, lender, amount, rates, limit=50_000)
        queues = _queues()
        file = tmp_path / "book.csv"
        exported(capsys, file, "--members")
        OfferRate.objects.all().delete()
        Offer.objects.update(available=0, amount=0)
        took = take(capsys, str(file))
        # B/36 at 7.1253 % stands in A and A* too, and the fourth offer's 6.9 % in A*; so does ...
        assert (took.status, "5 offers of 4 lenders, £15,000.00, are placed." in took.out) == (
            0,
            True,
        )
        assert _queues() == queues

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"Member_ID": "nobody@example.org"}, ("row 3", "column Member ID", "no lender")),
            ({"Member_ID": "******"}, ("row 3", "column Member ID", "masked")),
            ({"Member_ID": "BORROWER"}, ("row 3", "column Member ID", "no lender")),
            ({"Market": "Z"}, ("row 3", "column Market")),
            ({"Term": "48"}, ("row 3", "column Term")),
            ({"Offer_Rate": "0.5"}, ("row 3", "column Offer Rate", "lies between")),
            ({"Offer_Rate": "much"}, ("row 3", "column Offer Rate")),
            ({"Available": "505"}, ("row 3", "column Available", "multiple of £10")),
            ({"Available": "510"}, ("row 3", "column Available", "£500.00 is left for this row")),
            ({"Offer_Name": "mine"}, ("row 3", "column Market", "row 2")),
        ],
    )
    def test_the_first_wrong_row_places_nothing(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path,
        changed: dict[str, str], words: Sequence[str],
    ) -> None:  # fmt: skip
        """£1,000 of cash, £500 of it in row 2: row 3 differs from a good one in one thing."""
        [lender] = enrol_lenders([100_000])
        [borrower] = borrowers(1)
        if changed.get("Member_ID") == "BORROWER":
            changed = {"Member_ID": borrower.email}
        third = {"Offer_Name": "other", "Offer_Rate": "0.071"} | changed
        file = written(tmp_path, line(lender.public_id), line(lender.public_id, **third))
        for dry_run in (("--dry-run",), ()):
            refused(take(capsys, file, *dry_run), "ORDER_BOOK_REFUSED", "offers.csv", *words)
        assert not Offer.objects.exists()
        assert member_balances(lender.pk).cash == 100_000
        good = written(tmp_path, line(lender.public_id), line(lender.public_id, Offer_Name="other"))
        assert take(capsys, good).status == 0
        assert member_balances(lender.pk).cash == 0

    def test_a_file_that_is_not_there_is_one_line(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        refused(take(capsys, str(tmp_path / "none.csv")), "none.csv", "No such file")


def _queues() -> list[list[tuple[int, ...]]]:
    """Each market's queue: lender, rate, limit and what is available, in order."""
    book = load_order_book(DAY)
    found = []
    for market in list_markets():
        queue = book.queue(market.market_id)
        columns = (queue.lender_id, queue.rate_ppm, queue.limit, queue.available)
        found.append(list(zip(*(column.tolist() for column in columns), strict=True)))
    return found
