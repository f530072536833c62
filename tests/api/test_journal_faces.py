"""Seals, journal and statements as people meet them: commands, GraphQL, a download."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from accounts.core.posting import EntryKind
from accounts.services.sealing import seal_all
from api.wording import HAPPENED
from tests.accounts.books import altered
from tests.api.conftest import ask
from tests.api.test_commands import command
from tests.api.test_rest import get
from tests.world import World

ROOT = Path(__file__).resolve().parents[2]
JOURNAL = "/api/journal/"
STATEMENT = """query ($first: Int, $last: Int, $after: String, $before: String, $knownAt: DateTime,
  $newestFirst: Boolean, $account: StatementAccount, $until: Date = "2016-06-01") {
  viewer { statement(from: "2016-04-01", until: $until, first: $first, last: $last, after: $after,
    before: $before, knownAt: $knownAt, newestFirst: $newestFirst, account: $account) {
    opening { amount } closing { amount } knownAt
    provisional { lines { isProvisional balance { amount } } net { amount } hasMore }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { effectiveOn recordedAt kind what counterparty isProvisional
      change { amount } balance { amount } } } } } }"""


@pytest.fixture(scope="module")
def sealed_world(shared_world: World) -> World:
    """The tiny world, all of it sealed."""
    list(seal_all())
    return shared_world


def stated(member: Any, **variables: Any) -> Any:
    asked = ask(member, STATEMENT, variables)
    assert asked.errors == []
    return asked.data["viewer"]["statement"]


def rows(statement: Any) -> list[tuple[str, str, str, str, str]]:
    return [
        (
            node["effectiveOn"],
            node["what"],
            node["counterparty"],
            node["change"]["amount"],
            node["balance"]["amount"],
        )
        for node in (edge["node"] for edge in statement["edges"])
    ]


def verified(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "accounts.verify", *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


class TestStatement:
    def test_a_lender_sees_what_moved(self, sealed_world: World) -> None:
        statement = stated(sealed_world.lenders[1])
        assert rows(statement) == [
            ("2016-04-01", "Paid in", "Bank", "1000.00", "1000.00"),
            ("2016-04-01", "Put on offer", "On offer", "-480.00", "520.00"),
            ("2016-05-06", "Loan payment passed on", "Loan", "14.34", "534.34"),
        ]
        assert statement["opening"] == {"amount": "0.00"}
        assert statement["closing"] == {"amount": "534.34"}
        assert statement["provisional"] == {
            "lines": [],
            "net": {"amount": "0.00"},
            "hasMore": False,
        }
        matched = stated(sealed_world.lenders[1], account="MATCHED")
        assert [row[3] for row in rows(matched)] == ["480.00", "-480.00"]

    def test_pages_by_cursor_both_ways(self, sealed_world: World) -> None:
        lender = sealed_world.lenders[1]
        whole = rows(stated(lender))
        first = stated(lender, first=2)
        assert (rows(first), first["pageInfo"]["hasNextPage"]) == (whole[:2], True)
        cursor = first["pageInfo"]["endCursor"]
        rest = stated(lender, first=2, after=cursor)
        assert (rows(rest), rest["pageInfo"]["hasNextPage"]) == (whole[2:], False)
        assert rest["knownAt"] == first["knownAt"]
        last = stated(lender, last=1)
        assert (rows(last), last["pageInfo"]["hasPreviousPage"]) == (whole[2:], True)
        before = stated(lender, last=2, before=last["pageInfo"]["startCursor"])
        assert rows(before) == whole[:2]
        assert rows(stated(lender, newestFirst=True)) == whole[::-1]

    def test_known_at_an_instant_is_the_same_for_ever(self, sealed_world: World) -> None:
        lender = sealed_world.lenders[1]
        now = stated(lender)
        again = stated(lender, knownAt=now["knownAt"])
        assert (again["edges"], again["knownAt"]) == (now["edges"], now["knownAt"])
        assert again["provisional"] is None
        long_ago = stated(lender, knownAt="2016-06-01T00:00:00Z")
        assert (long_ago["edges"], long_ago["closing"]) == ([], {"amount": "0.00"})

    def test_refusals(self, sealed_world: World) -> None:
        lender, other = sealed_world.lenders[1:3]
        cursor = stated(lender, first=1)["pageInfo"]["endCursor"]
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        for member, variables, code in (
            (lender, {"after": "x"}, "INPUT_REFUSED"),
            (other, {"after": cursor}, "INPUT_REFUSED"),
            (lender, {"after": cursor, "account": "MATCHED"}, "INPUT_REFUSED"),
            (lender, {"after": cursor[:-2]}, "INPUT_REFUSED"),
            (lender, {"after": "\ud800:b"}, "INPUT_REFUSED"),
            # A cursor stays with what was known when it was made.
            (lender, {"after": cursor, "knownAt": "2016-06-01T00:00:00Z"}, "INPUT_REFUSED"),
            (lender, {"first": 1, "last": 1}, "INPUT_REFUSED"),
            (lender, {"first": 101}, "INPUT_REFUSED"),
            (lender, {"until": "2016-03-01"}, "PERIOD_REFUSED"),
            (lender, {"knownAt": tomorrow}, "KNOWN_AT_FUTURE"),
        ):
            asked = ask(member, STATEMENT, variables)
            assert asked.codes == [code], variables
        assert ask(sealed_world.auditor, STATEMENT).data == {"viewer": {"statement": None}}

    def test_what_happened_is_told_in_words(self) -> None:
        assert set(HAPPENED) == set(EntryKind)


class TestDownload:
    def test_a_period_verifies_offline(self, sealed_world: World, tmp_path: Path) -> None:
        file = tmp_path / "journal.jsonl"
        response = get(sealed_world.auditor, f"{JOURNAL}?from=2016-04-01&until=2016-05-01")
        assert response.status_code == 200
        assert response["Content-Disposition"] == (
            'attachment; filename="journal_2016-04-01_2016-05-01.jsonl"'
        )
        file.write_bytes(b"".join(response.streaming_content))
        later = tmp_path / "later.jsonl"
        response = get(sealed_world.auditor, f"{JOURNAL}?from=2016-05-01&until=2016-06-01")
        later.write_bytes(b"".join(response.streaming_content))
        told = verified(file, later)
        assert (told.returncode, told.stderr) == (0, "")
        assert b'"opening":{}' not in later.read_bytes()

    def test_is_for_auditors(self, sealed_world: World) -> None:
        for member in (sealed_world.ada, sealed_world.operations):
            response = get(member, f"{JOURNAL}?from=2016-04-01&until=2016-05-01")
            assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")
        assert get(None, JOURNAL).json()["code"] == "UNAUTHENTICATED"

    @pytest.mark.parametrize(
        ("query", "code", "field"),
        [
            ("", "INPUT_REFUSED", "from"),
            ("?from=2016-04-01&until=soon", "INPUT_REFUSED", "until"),
            ("?from=2016-04-02&until=2016-04-01", "JOURNAL_RANGE_REFUSED", "until"),
        ],
    )
    def test_no_period(self, sealed_world: World, query: str, code: str, field: str) -> None:
        response = get(sealed_world.auditor, JOURNAL + query)
        assert response.status_code == 400
        assert (response.json()["code"], response.json()["field"]) == (code, field)


@pytest.mark.usefixtures("sealed_world")
class TestCommands:
    def test_export_and_verify(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        packed = tmp_path / "all.jsonl.gz"
        told = command(
            capsys, "journal", "export", "--from", "2016-01-01", "--until", "2017-01-01",
            "--output", str(packed),
        )  # fmt: skip
        assert (told.status, told.error) == (0, "")
        assert verified(packed).returncode == 0
        parts = []
        for first, last in ((1, 4), (5, 5), (6, 9)):
            part = tmp_path / f"{first}.jsonl"
            command(
                capsys, "journal", "export", "--first", str(first), "--last", str(last),
                "--output", str(part),
            )  # fmt: skip
            parts.append(part)
        assert verified(*parts).returncode == 0
        lines = gzip.decompress(packed.read_bytes())
        assert parts[0].read_bytes().splitlines()[1:5] == lines.splitlines()[1:5]
        (tmp_path / "bad.jsonl").write_bytes(
            lines.replace(b'"actor":"tests"', b'"actor":"rests"', 1)
        )
        assert verified(tmp_path / "bad.jsonl").returncode == 1
        assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".part") == []

    def test_a_period_of_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        empty = tmp_path / "empty.jsonl"
        command(
            capsys, "journal", "export", "--from", "2001-01-01", "--until", "2002-01-01",
            "--output", str(empty),
        )  # fmt: skip
        told = verified(empty)
        assert (told.returncode, "no entries" in told.stdout) == (0, True)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("journal", "export"), "--from and --until"),
            (("journal", "export", "--first", "1", "--last", "99999999"), "lies within them"),
            (("journal", "export", "--first", "0", "--last", "1"), "lies within them"),
            (
                ("journal", "export", "--first", "1", "--last", "1", "--output", "/no/where"),
                "No such",
            ),
            (
                (
                    "statement",
                    "--account",
                    "nothing/7",
                    "--from",
                    "2016-01-01",
                    "--until",
                    "2017-01-01",
                ),
                "no account",
            ),
            (
                ("statement", "--member", "x@y.z", "--from", "2016-01-01", "--until", "2017-01-01"),
                "no such account",
            ),
        ],
    )
    def test_bad_input(
        self, capsys: pytest.CaptureFixture[str],
        arguments: tuple[str, ...], words: str,
    ) -> None:  # fmt: skip
        told = command(capsys, *arguments)
        assert told.status == 2
        assert words in told.error

    def test_statement(self, sealed_world: World, capsys: pytest.CaptureFixture[str]) -> None:
        period = ("--from", "2016-04-01", "--until", "2016-06-01")
        told = command(capsys, "statement", "--member", sealed_world.lenders[1].email, *period)
        assert told.status == 0
        assert "Closing balance £534.34" in told.out
        assert "Loan payment passed on" in told.out
        long_ago = command(
            capsys, "statement", "--account", f"cash/{sealed_world.lenders[1].pk}", *period,
            "--known-at", "2016-06-01T00:00:00Z",
        )  # fmt: skip
        assert "Closing balance £0.00" in long_ago.out


class TestSealAndVerify:
    @pytest.fixture
    def own(self, world_template: tuple[str, World], django_db_blocker: Any) -> Iterator[World]:
        from tests.conftest import _cloned

        name, world = world_template
        with django_db_blocker.unblock(), _cloned(name):
            yield world

    def test_seal_then_verify_then_tamper(
        self, own: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        unsealed = stated(own.lenders[1])
        assert (unsealed["edges"], unsealed["knownAt"]) == ([], None)
        assert unsealed["provisional"]["net"] == {"amount": "534.34"}
        assert {line["isProvisional"] for line in unsealed["provisional"]["lines"]} == {True}
        told = command(capsys, "journal", "seal")
        assert (told.status, told.out.startswith("sealed ")) == (0, True)
        assert command(capsys, "journal", "seal").out == "Nothing waits to be sealed.\n"
        assert command(capsys, "journal", "verify").out.startswith("The journal holds: ")
        with altered() as cursor:
            cursor.execute(
                "UPDATE accounts_entry SET reference = 'loan:99' WHERE id ="
                " (SELECT entry_id FROM accounts_sealedentry WHERE number = 3)"
            )
        told = command(capsys, "journal", "verify")
        assert told.status == 1
        assert "Entry 3 isn't what was sealed" in told.error
        exported = command(capsys, "journal", "export", "--first", "1", "--last", "5")
        assert exported.status == 2
        assert "entry 3" in exported.error


@pytest.fixture(autouse=True)
def nothing_open() -> None:
    """Sealing wants a transaction of its own."""
    assert not transaction.get_connection().in_atomic_block
