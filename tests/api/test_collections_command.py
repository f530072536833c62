"""``manage.py collections``: direct debits as operations see them, refusals in one line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import transaction

from accounts.models import Collection, CollectionFileStored, Mandate, Member
from accounts.services.asking_collections import CollectionDraft, ask_for_collections
from accounts.services.collecting import take_in
from marketplace.services.falling_due import fall_due
from tests.accounts.services.bank_desk import payable, people
from tests.api.test_commands import Told, command
from tests.marketplace.house import House, house, house_template, paid_out, shared_house
from tests.marketplace.services.test_collecting import lets_collect
from tests.world import ACTOR, FIRST_DUE

__all__ = ["house", "house_template", "shared_house"]

DAY = date(2016, 5, 2)
ON = ("--on", DAY.isoformat())

Run = Callable[..., Told]


@pytest.fixture
def run(committed_db: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``collections`` on the day, and expects it to do what it is told."""

    def run(*words: str, status: int = 0) -> Told:
        told = command(capsys, "collections", *words, *ON)
        assert told.status == status, told.error
        assert "Traceback" not in told.error
        return told

    return run


def asked(member: Member, loan: int = 12) -> str:
    draft = CollectionDraft(member.pk, 3_078, f"loan:{loan}", DAY, DAY)
    with transaction.atomic():
        [one] = ask_for_collections(asked=[draft], on=DAY, actor="t")
    return one.end_to_end_id


def test_a_day(run: Run, tmp_path: Path) -> None:
    """A mandate, a file, one that isn't paid, one given up."""
    [ada] = people(1)
    payable(ada, on=DAY - timedelta(days=1))
    assert "is set up" in run("mandates", "set-up", "--member", ada.email.upper()).out
    listed = run("mandates").out
    assert Mandate.objects.get().reference in listed
    assert "••••2490" in listed
    assert "70872490" not in listed

    first, second = asked(ada), asked(ada, loan=13)
    listed = run("list").out
    assert first in listed
    assert "loan:12" in listed
    assert "2 direct debits, £61.56." in listed

    output = tmp_path / "out.xml"
    told = run("file", "--output", str(output))
    stored = CollectionFileStored.objects.get()
    assert f"{stored.message_id}, 2 direct debits, £61.56." in told.out
    assert output.read_bytes() == bytes(stored.content)
    again = tmp_path / "again.xml"
    run("show", stored.message_id, "--output", str(again))
    assert again.read_bytes() == output.read_bytes()
    listed = run("files").out
    assert stored.message_id in listed
    assert "£61.56" in listed
    output.unlink()
    # The same key gives the same file, and nothing new is in it.
    run("file", "--output", str(output))
    assert output.read_bytes() == bytes(stored.content)

    with transaction.atomic():
        take_in(end_to_end_ids=[first], on=DAY)
    run("unpaid", first, "--reason", "AM04")
    assert "AM04" in run("list").out
    run("cancel", second)
    states = Collection.objects.order_by("pk").values_list("state", "reason")
    assert list(states) == [("unpaid", "AM04"), ("cancelled", "")]
    assert "is cancelled" in run("mandates", "cancel", "--member", ada.email).out
    assert Mandate.objects.get().cancelled_on == DAY


def test_asked_for_again(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """£30.78 that nobody could collect on 3 May, in the next file for the 9th; once."""
    monkeypatch.setenv("TENNER_BUSINESS_DATE", "2016-05-04")
    late, never = paid_out(house), paid_out(house)
    lets_collect(late.borrower)
    fall_due(on=FIRST_DUE, actor=ACTOR)

    def again(*words: str) -> str:
        call_command("collections", "again", str(late.loan_id), str(never.loan_id), *words)
        return capsys.readouterr().out

    told = again()
    assert "Asked for 1 of 2: 0 taken in, £0.00; 0 failed." in told
    assert "no mandate" in told
    assert again() == told
    one = Collection.objects.get()
    assert (one.amount, one.subject, one.state) == (3_078, f"loan:{late.loan_id}", "asked")
    assert one.collect_on == date(2016, 5, 9)
    assert "Asked for 0 of 2" in again("--key", "more")


def test_refusals(run: Run, tmp_path: Path) -> None:
    [ada] = people(1)
    email = ada.email
    for words, code in (
        (("mandates", "set-up", "--member", email), "NO_VERIFIED_ACCOUNT"),
        (("mandates", "cancel", "--member", email), "NO_MANDATE"),
        (("mandates", "set-up", "--member", "nobody@example.org"), "MEMBER_UNKNOWN"),
        (("mandates", "set-up"), "--member"),
        (("file", "--output", str(tmp_path / "x")), "NOTHING_TO_COLLECT"),
        (("unpaid", "TNC000000000749"), "COLLECTION_UNKNOWN"),
        (("cancel", "TNC000000000749"), "COLLECTION_UNKNOWN"),
        (("show", "TNC-1", "--output", str(tmp_path / "x")), "no file"),
        (("list", "--by", "nobody@example.org"), "MEMBER_UNKNOWN"),
        (("again", "12", "--key", "k" * 121), "IDEMPOTENCY_KEY_REFUSED"),
    ):
        told = run(*words, status=2)
        assert code in told.error
        assert len(told.error.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_a_day_that_has_not_come(capsys: pytest.CaptureFixture[str], committed_db: str) -> None:
    told = command(capsys, "collections", "mandates", "--on", "2016-05-07")
    assert (told.status, told.out) == (2, "")
    assert "2016-05-07 has not come yet; today is 2016-05-06" in told.error


def test_what_is_over_stays_over(run: Run) -> None:
    [ada] = people(1)
    payable(ada, on=DAY - timedelta(days=1))
    run("mandates", "set-up", "--member", ada.email)
    name = asked(ada)
    run("cancel", name)
    told = run("unpaid", name, status=2)
    assert "COLLECTION_MOVE_REFUSED" in told.error
    assert "is cancelled" in told.error
