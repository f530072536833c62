"""``manage.py close_day``: the report, the exit status, what is refused, which days are missing."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from marketplace.selectors.closing import days_closed
from marketplace.services.locks import lock_servicing
from tests.conftest import _cloned
from tests.faults.test_market_races import _thread, _wait_for
from tests.marketplace import house as fixtures
from tests.marketplace.closing_town import BEFORE, build_town, clone_of
from tests.marketplace.house import House
from tests.world import CLEARED, FIRST_DUE

house_template = fixtures.house_template


@pytest.fixture(scope="module")
def town(house_template: House, django_db_blocker: Any) -> Iterator[str]:
    """The name of the town's database, with nobody connected."""
    with django_db_blocker.unblock(), _cloned(house_template.database) as name:
        build_town(House(name, house_template.facts, house_template.markets))
        connection.close()
        yield name


@pytest.fixture
def here(town: str) -> Iterator[str]:
    """A town of the test's own."""
    with clone_of(town) as name:
        yield name


def _told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What it prints; the town's bank has sent no statement, which is the one open break."""
    if "--status" in arguments:
        call_command("close_day", *arguments, stdout=StringIO())
    else:
        with pytest.raises(CommandError, match=r"^1 open break: ") as refused:
            call_command("close_day", *arguments, stdout=StringIO())
        assert refused.value.returncode == 1
    return capsys.readouterr().out


def test_the_report(here: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = _told(capsys, str(FIRST_DUE), "--sandbox", "7")
    assert f"Close of {FIRST_DUE}, by close of day" in told
    assert "3 instalments" in told
    assert "settle debts" in told
    assert days_closed().last == FIRST_DUE
    # Again it says the same, and does nothing.
    assert _told(capsys, str(FIRST_DUE), "--sandbox", "7") == told


def test_missed_days_and_status(here: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = _told(capsys, str(CLEARED), "--status")
    assert f"Missing: 4 from {FIRST_DUE} to {CLEARED}." in told
    assert f"{BEFORE}  closed at " in told
    _told(capsys, str(CLEARED), "--sandbox", "7")
    told = _told(capsys, str(CLEARED), "--status")
    assert f"No day up to {CLEARED} is missing." in told
    assert f"{CLEARED}  closed at " in told


def test_a_day_that_has_not_come(here: str) -> None:
    with pytest.raises(CommandError, match="DAY_NOT_COME: 2999-01-01 has not come yet") as refused:
        call_command("close_day", "2999-01-01")
    assert refused.value.returncode == 2


def test_the_date_that_it_is(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the world stands still, the day after is yet to come."""
    monkeypatch.setenv("TENNER_BUSINESS_DATE", str(FIRST_DUE))
    with pytest.raises(CommandError, match="DAY_NOT_COME") as refused:
        call_command("close_day", str(CLEARED))
    assert refused.value.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tomorrow"], "not a date"),
        (["--sandbox", "seven"], "is no seed"),
        (["--workers", "99"], "not a number of workers"),
    ],
)
def test_what_it_cannot_read(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("close_day", *arguments)


def test_the_database_goes_away(here: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its connection is cut in the middle of a step: a message, and the next run goes on."""
    refused: list[CommandError] = []

    def close() -> None:
        with pytest.raises(CommandError) as error:
            call_command("close_day", str(FIRST_DUE), "--sandbox", "7")
        refused.append(error.value)

    with transaction.atomic():
        lock_servicing()
        closing = _thread(close)
        _wait_for("wait_event_type = 'Lock'", 1)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        closing.join()
    assert refused[0].returncode == 3
    assert "The database failed: " in str(refused[0])
    assert "\n" not in str(refused[0])
    assert days_closed().last == BEFORE
    assert "Close of" in _told(capsys, str(FIRST_DUE), "--sandbox", "7")


def test_what_was_counted_in_words(here: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One of a thing is no plural, money comes last, and no line is longer than a mail's."""
    told = _told(capsys, str(FIRST_DUE), "--sandbox", "7")
    rows = {row[1].strip(): row[2].strip() for row in map(_cells, told.splitlines()) if row}
    # The third of the town's loans is paid out: £1,000 less its fee of 1.5 %.
    assert rows["pay out"] == "1 loan, £985.00"
    assert rows["lapse"] == "1 loan, 2 parts, £1,000.00"
    assert rows["reconcile"] == "1 break, 28 checks, 1 failed"
    assert max(map(len, told.splitlines())) <= 120


def _cells(line: str) -> list[str]:
    return line.split("│") if "│" in line else []


def test_more_breaks(here: str) -> None:
    """A penny in an account that no transfer has brought is a break."""
    with fixtures.acting_as_owner(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_account DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE accounts_account SET balance = balance + 1 WHERE id = (SELECT min(id)"
            " FROM accounts_account WHERE kind = 'cash')"
        )
        cursor.execute("ALTER TABLE accounts_account ENABLE TRIGGER USER")
    with pytest.raises(CommandError, match=r"^[2-9] open breaks: ") as refused:
        call_command("close_day", str(FIRST_DUE), "--sandbox", "7")
    assert refused.value.returncode == 1
    assert days_closed().last == FIRST_DUE
