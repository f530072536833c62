"""``manage.py monitor`` and ``manage.py alarms`` as a risk officer meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from risk.core.alarms import AlarmDraft, AlarmKind
from risk.services.watching import raise_alarms
from tests.api.test_commands import Told
from tests.world import CLEARED, World


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Told:
    """Run it inside the test's transaction."""
    status, error = 0, ""
    try:
        call_command(*arguments)
    except CommandError as refusal:
        status, error = refusal.returncode, str(refusal)
    return Told(status, capsys.readouterr().out, error)


def line(told: Told) -> dict[str, object]:
    """The last line of what it printed."""
    found: dict[str, object] = json.loads(told.out.strip().splitlines()[-1])
    return found


def test_a_run_tells_all_and_writes_one_page(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "watch.html"
    first = run(capsys, "monitor", "--report", str(page))
    told = line(first)
    assert told["on"] == CLEARED.isoformat()
    assert (told["loans"], told["actual_defaults"], told["new"]) == (1, 0, True)
    assert first.status == (3 if told["alarms_open"] else 0)
    # Ada owes what she borrowed less the 2,512p of principal that her first instalment repaid.
    stages = told["by_stage"]
    assert isinstance(stages, dict)
    assert stages["performing"] == {
        "loans": 1,
        "balance": 100_000 - 2_512,
        "loss": told["expected_credit_loss"],
    }
    for title in ("Predicted against actual", "Roll rates", "Stability", "Expected credit loss"):
        assert title in first.out
    html = page.read_text(encoding="utf-8")
    assert "Monitoring of 6 May 2016" in html
    # No address of any other host, no script.
    assert not re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"", html)
    assert "<script" not in html
    assert world.ada.name not in html
    # Once more: the same run, and the same page.
    second = line(run(capsys, "monitor", "--on", CLEARED.isoformat(), "--report", str(page)))
    assert (second["run"], second["digest"], second["new"]) == (told["run"], told["digest"], False)
    assert page.read_text(encoding="utf-8") == html


def test_alarms_are_listed_and_closed_with_a_word(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = AlarmDraft(AlarmKind.PREDICTION, "band [A]", "*/A", "9 where 2.0 were expected.", {})
    [raised] = raise_alarms(drafts=[draft], on=CLEARED)
    told = run(capsys, "monitor", "--report", str(tmp_path / "x.html"))
    assert told.status == 3
    assert "open alarm" in told.error
    assert "9 where 2.0 were expected." in told.out
    listed = run(capsys, "alarms", "list")
    assert (listed.status, "band [A]" in listed.out) == (0, True)
    number = str(raised.id)
    close = ("alarms", "close", number, "--by", "officer-2", "--word")
    refused = run(capsys, *close, " ")
    assert (refused.status, refused.error[:18]) == (2, "RISK_ALARM_REFUSED")
    done = run(capsys, *close, "Seen [it].")
    assert done.out.strip() == f"Alarm {number} is closed by officer-2 on {CLEARED}."
    again = run(capsys, *close, "Twice.")
    assert (again.status, again.error[:17]) == (2, "RISK_ALARM_CLOSED")
    assert "band [A]" not in run(capsys, "alarms", "list").out
    assert "Seen [it]." in run(capsys, "alarms", "list", "--all").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("monitor", "--on", "yesterday"),
        ("monitor", "--report", "report.pdf"),
        ("alarms", "close", "first", "--by", "x", "--word", "y"),
        ("alarms", "close", "9" * 40, "--by", "x", "--word", "y"),
    ],
)
def test_what_is_not_understood(
    world: World, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError):
        call_command(*arguments)


def test_an_unknown_alarm(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "alarms", "close", "999999", "--by", "officer-2", "--word", "Gone.")
    assert (told.status, told.error) == (2, "RISK_NOT_FOUND: There is no alarm 999999.")


def test_a_page_that_cannot_be_written(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    told = run(capsys, "monitor", "--report", str(tmp_path / "file" / "x.html"))
    assert told.status == 2
