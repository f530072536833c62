"""``manage.py reconcile`` as a person meets it: tables, exit status, files, closing a break."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.core.chart import Kind
from accounts.core.reconciliation import BreakState, Check, Finding, ReconciliationKind
from accounts.models import BankFile, BankStatement, Reconciliation
from accounts.selectors.ledger import totals_by_kind
from accounts.selectors.reconciliations import list_breaks
from accounts.services.reconciliation import one_snapshot, record
from marketplace.models import Offer
from tests.api.test_commands import Told, command
from tests.world import CLEARED, World

DAY = CLEARED.isoformat()


@pytest.fixture
def in_pounds(world: World) -> World:
    """The tiny world, with £5.00 on offer that the ledger has not."""
    offer = Offer.objects.filter(lender=world.lenders[1].pk).get()
    Offer.objects.filter(pk=offer.pk).update(available=offer.available + 500)
    return world


def reconcile(capsys: pytest.CaptureFixture[str], *arguments: str) -> Told:
    """Run it inside the test's transaction."""
    status, error = 0, ""
    try:
        call_command("reconcile", *arguments)
    except CommandError as refusal:
        status, error = refusal.returncode, str(refusal)
    return Told(status, capsys.readouterr().out, error)


def test_it_tells_what_differs_and_fails(
    in_pounds: World, capsys: pytest.CaptureFixture[str]
) -> None:
    told = reconcile(capsys)
    assert told.status == 1
    assert told.error == "2 open breaks."
    row = next(line for line in told.out.splitlines() if "Money on offer" in line)
    assert "-£5.00" in row
    assert "1 wrong" in row
    assert f"member {in_pounds.lenders[1].pk}" in told.out
    assert f"of {DAY}" in told.out
    assert "no statement yet" in told.out


def test_breaks_are_resolved_with_a_note(
    in_pounds: World, capsys: pytest.CaptureFixture[str]
) -> None:
    reconcile(capsys)
    first, second = (each.id for each in list_breaks())
    refused = reconcile(capsys, "--resolve", str(first))
    assert refused.status == 2
    assert "Say in 1 to 500" in refused.error
    done = reconcile(
        capsys, "--resolve", str(first), "--note", "Looked [into].", "--by", "member:7"
    )
    assert (done.status, done.out.strip()) == (0, f"Break {first} is resolved.")
    assert "resolved already" in reconcile(capsys, "--resolve", str(first), "--note", "x").error
    still = reconcile(capsys, "--breaks")
    assert still.status == 0
    assert "Looked" not in still.out
    shown = reconcile(capsys, "--breaks", "--all").out
    assert "member:7" in shown
    assert "Looked [into]." in shown
    assert {each.id for each in list_breaks()} == {second}


def test_status_0_when_no_break_is_open(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The bank confirms the money that the world's people were given."""
    file = BankFile.objects.create(
        sha256=bytes(32),
        name="b.xml",
        format="camt053",
        content=b"",
        received_on=CLEARED,
        actor="t",
        state="posted",
    )
    closing = totals_by_kind()[Kind.CLIENT_BANK]
    BankStatement.objects.create(
        file=file,
        account="client",
        statement_id="S1",
        opening=0,
        opened_on=CLEARED,
        closing=closing,
        closed_on=CLEARED,
        digest=bytes(32),
    )
    told = reconcile(capsys, "--full", "--on", DAY)
    assert (told.status, told.error) == (0, "")
    assert "No breaks." in told.out
    assert "No breaks." in reconcile(capsys, "--breaks", "--all").out


def test_the_same_key_is_one_run(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    first, again = (reconcile(capsys, "--key", "daily") for _ in range(2))
    assert first == again
    assert Reconciliation.objects.count() == 2


class TestReports:
    @pytest.mark.usefixtures("in_pounds")
    def test_a_page_that_needs_nothing_else(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reconcile(capsys)
        worst = list_breaks()[0].id
        note = "<script>alert(1)</script> & more"
        reconcile(capsys, "--resolve", str(worst), "--note", note)
        file = tmp_path / "report.html"
        told = reconcile(capsys, "--output", str(file))
        assert f"Report: {file}" in told.out.replace("\n", "")
        page = file.read_text(encoding="utf-8")
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
        assert "-£5.00" in page
        assert f"again, after no. {worst}" in page
        for outside in ("href=", "src=", "http://localhost", "{{", "{%"):
            assert outside not in page

    @pytest.mark.usefixtures("in_pounds")
    def test_csv(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        reconcile(capsys)
        number = next(each.id for each in list_breaks() if each.rule == "on_offer")
        reconcile(capsys, "--resolve", str(number), "--note", "=1+1")
        file = tmp_path / "report.csv"
        reconcile(capsys, "--output", str(file))
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        [check] = [r for r in rows if r["what"] == "check" and r["rule"] == "on_offer"]
        assert check["difference"] == "-5.00"
        assert check["state"] == "1 wrong"
        closed, again = [r for r in rows if r["what"] == "break" and r["rule"] == "on_offer"]
        assert (closed["state"], closed["note"], closed["closed_by"]) == (
            BreakState.RESOLVED.value,
            "'=1+1",
            "operations",
        )
        assert (again["state"], again["difference"], again["age_days"]) == ("open", "-5.00", "0")

    @pytest.mark.parametrize("name", ["report.pdf", "report"])
    def test_other_files_are_refused(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        told = command(capsys, "reconcile", "--output", name)
        assert told.status == 2
        assert "doesn't end in .html or .csv" in told.error

    @pytest.mark.usefixtures("world")
    def test_a_place_that_cannot_be_written(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = reconcile(capsys, "--output", str(tmp_path / "none" / "r.csv"))
        assert told.status == 2
        assert "No such file or directory" in told.error


def test_very_many_breaks_are_not_all_shown(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hundred and twenty that were there, and the statement that no bank has sent."""
    many = Check("other", "t", findings=tuple(Finding(f"thing {n}") for n in range(120)))
    with one_snapshot():
        kind = ReconciliationKind.INTERNAL
        record(on=CLEARED, kind=kind, checks=[many], actor="t", key="many")
    told = reconcile(capsys)
    assert told.error == "121 open breaks."
    assert "... and 21 more, which --breaks lists." in told.out
    assert "thing 119" in reconcile(capsys, "--breaks").out


def test_somebody_is_named_in_short(capsys: pytest.CaptureFixture[str]) -> None:
    told = command(capsys, "reconcile", "--by", "x" * 61)
    assert told.status == 2
    assert "1 to 60 printable characters" in told.error


def test_a_date_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    told = command(capsys, "reconcile", "--on", "yesterday")
    assert told.status == 2
    assert "is not a date such as" in told.error
