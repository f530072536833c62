"""The commands of risk, from a file to a champion, and their refusals."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from api.management.commands import _risk
from risk.core.facts import ApplicationFacts
from risk.core.table import Fact, table_from_facts
from risk.models import DataSet, ModelVersion, PastApplication
from risk.selectors.scoring import scorer
from risk.services.assessing import assess_applications
from tests.api.test_commands import Told, _refused, command
from tests.risk.examples import FIRST, HEADER, SPEC, csv_bytes, invented_csv

# A command closes its connections at the end, so what it wrote has to be committed.
pytestmark = pytest.mark.usefixtures("committed_db")

COLUMNS = [
    *("row", "pd", "pd12", "points", "band"),
    *(f"reason_{number}" for number in range(1, 5)),
]


@dataclass(frozen=True)
class Files:
    """A table with its specification, and where a report goes."""

    data: Path
    spec: Path
    report: Path

    def train(self, capsys: pytest.CaptureFixture[str], *more: str, name: str = "house") -> Told:
        return command(
            capsys,
            "train_model",
            str(self.data),
            *("--spec", str(self.spec), "--name", name, "--report", str(self.report)),
            *more,
        )


@pytest.fixture
def files(tmp_path: Path, committed_db: str) -> Files:
    files = Files(tmp_path / "loans.csv", tmp_path / "loans.toml", tmp_path / "out" / "report.html")
    files.data.write_bytes(invented_csv())
    files.spec.write_text(SPEC, encoding="utf-8")
    return files


def _figures(told: Told) -> dict[str, Any]:
    """The JSON of the last line, after a command that went well."""
    assert (told.status, told.error) == (0, "")
    answer = json.loads(told.out.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


def _nothing_left(files: Files) -> None:
    assert not DataSet.objects.exists()
    assert not PastApplication.objects.exists()
    assert not ModelVersion.objects.exists()
    assert not files.report.exists()


class TestTrainModel:
    """From a file to a validated version, its report and a line of figures."""

    def test_it_trains_validates_and_reports(
        self, files: Files, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = files.train(capsys, "--author", "officer-1", "--on", "2016-04-01")
        figures = _figures(told)
        bad = sum(line.endswith(b",bad") for line in invented_csv().splitlines())
        assert (figures["name"], figures["number"], figures["state"]) == ("house", 1, "validated")
        assert (figures["rows"], figures["bad"]) == (900, bad)
        # 70 % of each class, rounded to whole rows.
        learnt = round(0.7 * bad) + round(0.7 * (900 - bad))
        assert (figures["training_rows"], figures["holdout_rows"]) == (learnt, 900 - learnt)
        assert figures["gini"] == pytest.approx(2 * figures["auc"] - 1)
        assert 0.55 < figures["auc"] < 0.95
        for name in (
            *("ks", "brier", "calibration_slope", "calibration_intercept"),
            *("mean_predicted", "mean_actual", "seconds"),
        ):
            assert math.isfinite(figures[name])
        assert set(figures["inputs"]) == {"amount", "term", "income", "searches", "home"}
        assert isinstance(figures["notes"], list)
        assert figures["report"] == str(files.report)
        assert f"Report: {files.report}" in told.out.splitlines()
        version = ModelVersion.objects.get()
        assert (version.content_hash, version.author) == (figures["content_hash"], "officer-1")
        assert version.trained_on.isoformat() == "2016-04-01"

    def test_again_it_is_the_same_version_and_the_same_report(
        self, files: Files, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first = _figures(files.train(capsys, "--on", "2016-04-01"))
        html = files.report.read_bytes()
        assert html.startswith(b"<!")
        files.report.unlink()
        again = _figures(files.train(capsys, "--on", "2017-01-01"))
        assert {**again, "seconds": 0} == {**first, "seconds": 0}
        assert files.report.read_bytes() == html
        other = _figures(files.train(capsys, "--seed", "1"))
        assert (other["number"], ModelVersion.objects.count()) == (2, 2)
        assert other["content_hash"] != first["content_hash"]

    def test_columns_may_be_named(self, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
        figures = _figures(files.train(capsys, "--inputs", "searches, income"))
        assert set(figures["inputs"]) == {"searches", "income"}

    @pytest.mark.parametrize(
        ("more", "code"),
        [
            (("--inputs", "price,income"), "RISK_COLUMN_REFUSED"),
            (("--inputs", "sex"), "RISK_COLUMN_REFUSED"),
            (("--inputs", "outcome"), "RISK_COLUMN_REFUSED"),
            (("--inputs", "shoe_size"), "RISK_COLUMN_REFUSED"),
            (("--allow", "shoe_size=known"), "RISK_COLUMN_REFUSED"),
            (("--seed", "-1"), "RISK_SCORECARD_REFUSED"),
            (("--author", " "), "RISK_HANDLE_REFUSED"),
            (("--name", ""), "RISK_NAME_REFUSED"),
        ],
    )
    def test_what_can_not_be_asked_for(
        self, files: Files, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], code: str
    ) -> None:
        _refused(files.train(capsys, *more), f"{code}: ")
        _nothing_left(files)

    @pytest.mark.parametrize(
        ("lines", "header", "code"),
        [
            ([], HEADER, "RISK_DATA_REFUSED"),
            ([FIRST] * 30, HEADER, "RISK_OUTCOME_REFUSED"),
            ([FIRST.rpartition(",")[0]] * 30, HEADER.rpartition(",")[0], "RISK_DATA_REFUSED"),
            ([FIRST.replace("good", "")] * 30, HEADER, "RISK_DATA_REFUSED"),
            ([FIRST.replace("good", "perhaps")] * 30, HEADER, "RISK_DATA_REFUSED"),
        ],
        ids=["no row", "one class", "no outcome column", "outcome missing", "unknown outcome"],
    )
    def test_files_that_nothing_can_be_learnt_from(
        self,
        files: Files,
        capsys: pytest.CaptureFixture[str],
        lines: list[str],
        header: str,
        code: str,
    ) -> None:
        files.data.write_bytes(csv_bytes(*lines, header=header))
        _refused(files.train(capsys), f"{code}: ")
        _nothing_left(files)

    def test_a_likely_leak_is_stopped_unless_a_reason_is_given(
        self, files: Files, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines = invented_csv().decode().splitlines()
        leaky = [f"{line},{int(line.endswith(',bad'))}" for line in lines[1:]]
        files.data.write_bytes(csv_bytes(*leaky, header=f"{lines[0]},collected"))
        _refused(files.train(capsys), "RISK_LIKELY_LEAK: ", "collected")
        _nothing_left(files)
        figures = _figures(files.train(capsys, "--allow", "collected=Known beforehand."))
        assert "collected" in figures["inputs"]
        assert ModelVersion.objects.get().leak_overrides == {"collected": "Known beforehand."}
        assert "Known beforehand." in files.report.read_text(encoding="utf-8")

    def test_files_that_are_not_there(
        self, files: Files, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files.data.unlink()
        _refused(files.train(capsys), "INPUT_REFUSED: ", "loans.csv", "No such file")
        files.data.write_bytes(b"\xff\xfe\x00")
        files.spec.write_bytes(b"\xff\xfe\x00")
        _refused(files.train(capsys), "INPUT_REFUSED: ", "not text")
        files.spec.write_text("name = ", encoding="utf-8")
        _refused(files.train(capsys), "RISK_SPEC_REFUSED: ")
        _nothing_left(files)

    def test_a_report_that_has_no_place(
        self, files: Files, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        told = files.train(capsys, "--report", str(tmp_path))
        _refused(told, "INPUT_REFUSED: ", "folder")
        told = files.train(capsys, "--report", str(files.data / "report.html"))
        _refused(told, "INPUT_REFUSED: ", "loans.csv")
        _nothing_left(files)

    def test_a_report_that_fails_only_when_it_is_written(
        self, files: Files, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files.report.parent.mkdir()
        files.report.symlink_to(files.report.parent / "nowhere" / "report.html")
        _refused(files.train(capsys), "INPUT_REFUSED: ", "report.html")
        _nothing_left(files)

    def test_a_day_that_is_none(self, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
        told = files.train(capsys, "--on", "yesterday")
        assert told.status == 2
        assert "'yesterday' is not a date such as 2018-04-30" in told.error
        _nothing_left(files)

    def test_what_has_no_effect_is_said_once(
        self, files: Files, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines = files.data.read_text(encoding="utf-8").splitlines()
        with_more = [f"{lines[0]},country,fax", *(f"{line},7," for line in lines[1:])]
        files.data.write_text("\n".join(with_more), encoding="utf-8")
        figures = _figures(files.train(capsys))
        for name in ("country", "fax"):
            assert sum(note.startswith(f"{name}: ") for note in figures["notes"]) == 1


@pytest.fixture
def trained(files: Files, capsys: pytest.CaptureFixture[str]) -> Files:
    """Files with a validated version by officer-1."""
    _figures(files.train(capsys, "--author", "officer-1"))
    return files


class TestApproval:
    """A second person signs, and says what the version is used for."""

    @pytest.mark.usefixtures("trained")
    def test_never_the_author(self, capsys: pytest.CaptureFixture[str]) -> None:
        told = command(capsys, "approve_model", "house", "--by", "Officer-1")
        _refused(told, "RISK_SELF_APPROVAL: ")
        assert ModelVersion.objects.get().state == "validated"

    @pytest.mark.usefixtures("trained")
    def test_it_is_approved_then_promoted_then_retired(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = command(capsys, "approve_model", "house:1", "--by", "officer-2")
        assert (told.status, told.out) == (0, "house 1: approved, approved by officer-2.\n")
        told = command(capsys, "model", "promote", "house", "--to", "champion", "--by", "officer-2")
        assert (told.status, told.out) == (0, "house 1: champion.\n")
        told = command(capsys, "model", "retire", "house", "--by", "officer-2")
        assert (told.status, told.out) == (0, "house 1: retired.\n")
        told = command(capsys, "approve_model", "house", "--by", "officer-2")
        _refused(told, "RISK_MOVE_REFUSED: ")

    @pytest.mark.usefixtures("trained")
    def test_at_once_as_champion_with_a_rate_table(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = command(capsys, "approve_model", "house", "--by", "officer-2", "--as", "champion")
        assert told.out == "house 1: champion, approved by officer-2.\n"
        told = command(capsys, "rate_table", "build", "house", "--by", "officer-2")
        assert told.status == 0
        assert "A*/36" in told.out
        assert "Rate table 1: draft" in told.out
        told = command(capsys, "rate_table", "approve", "1", "--by", "officer-2")
        _refused(told, "RISK_SELF_APPROVAL: ")
        told = command(capsys, "rate_table", "approve", "1", "--by", "officer-1")
        assert told.out == "rate table 1: approved by officer-1.\n"
        told = command(capsys, "rate_table", "show", "2")
        _refused(told, "RISK_NOT_FOUND: ")

    def test_a_model_that_is_not_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        for arguments in (
            ("approve_model", "house", "--by", "officer-2"),
            ("model", "show", "house:2"),
            ("model", "retire", "house", "--by", "officer-2"),
        ):
            _refused(command(capsys, *arguments), "RISK_NOT_FOUND: ")

    def test_the_registry_is_shown(
        self, trained: Files, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        told = command(capsys, "model", "list")
        assert "house 1" in told.out
        assert "validated" in told.out
        told = command(capsys, "model", "show", "house")
        assert "trained by officer-1" in told.out
        assert "validated by officer-1" in told.out
        again = tmp_path / "again.html"
        told = command(capsys, "model", "report", "house", "--output", str(again))
        assert told.status == 0
        assert again.read_bytes() == trained.report.read_bytes()


@pytest.mark.usefixtures("trained")
class TestScoringAnAssessedApplication:
    """``model score``: an old loan under any version, its assessment left as it is."""

    def test_the_newest_assessment_is_scored(self, capsys: pytest.CaptureFixture[str]) -> None:
        command(capsys, "approve_model", "house", "--by", "officer-2", "--as", "champion")
        command(capsys, "rate_table", "build", "house", "--by", "officer-2")
        command(capsys, "rate_table", "approve", "1", "--by", "officer-1")
        facts: dict[str, Fact] = {"income": 60_000, "searches": 0, "home": "owns"}
        [view] = assess_applications(
            applications=[ApplicationFacts("old-7", 300_000, 36, facts)], on=date(2016, 4, 1)
        )
        told = command(capsys, "model", "score", "house", "old-7", "--on", "2016-05-02")
        assert told.status == 0
        [line] = [line for line in told.out.splitlines() if "old-7" in line]
        # Under the version that assessed it the scores are those of the assessment.
        assert f"{view.pd12_ppm / 10_000:.2f} %" in line
        assert f" {view.points} " in line
        assert "2016-05-02" in line
        told = command(capsys, "model", "score", "house", "old-7", "unknown-1")
        _refused(told, "RISK_NOT_FOUND: ")


class TestScoreFile:
    """PD, points, band and reasons for every row, whatever it holds."""

    def test_every_row_gets_a_score(
        self, trained: Files, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        command(capsys, "rate_table", "build", "house", "--by", "officer-2")
        out = tmp_path / "scores.csv"
        told = command(capsys, "score_file", "house", str(trained.data), "--out", str(out))
        answer = _figures(told)
        with out.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        assert list(rows[0]) == COLUMNS
        assert (answer["rows"], len(rows)) == (900, 900)
        assert [int(row["row"]) for row in rows] == list(range(2, 902))
        assert answer["mean_pd"] == pytest.approx(
            sum(float(row["pd"]) for row in rows) / 900, abs=1e-9
        )
        assert {row["band"] for row in rows} <= {"A*", "A", "B", "C", "D", "E", ""}
        assert any(row["reason_1"] for row in rows)

    @pytest.mark.usefixtures("trained")
    def test_no_outcome_unseen_values_and_missing_ones(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        odd = tmp_path / "odd.csv"
        odd.write_bytes(
            csv_bytes(
                "1000,short,24000,0,lighthouse",
                "1000,long,,,",
                header="amount,term,income,searches,home",
            )
        )
        told = command(capsys, "score_file", "house", str(odd))
        assert (told.status, told.error) == (0, "")
        rows = list(csv.DictReader(told.out.splitlines()))
        # Without a rate table there is no band.
        assert list(rows[0]) == [name for name in COLUMNS if name != "band"]
        found = scorer(model="house")
        table = table_from_facts(
            [
                {"amount": 1000, "term": "short", "income": 24000, "searches": 0, "home": "never"},
                {"amount": 1000, "term": "long"},
            ],
            found.scorecard.kinds(),
        )
        for row, chance in zip(rows, found.score(table).pd_outcome.tolist(), strict=True):
            assert float(row["pd"]) == pytest.approx(chance, abs=1e-9)

    def test_chunks_change_nothing(
        self,
        trained: Files,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        whole = command(capsys, "score_file", "house", str(trained.data)).out
        monkeypatch.setattr("api.management.commands.score_file.CHUNK", 7)
        assert command(capsys, "score_file", "house", str(trained.data)).out == whole

    def test_refusals(
        self, trained: Files, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        data = str(trained.data)
        _refused(command(capsys, "score_file", data), "RISK_NOT_READY: ")
        _refused(command(capsys, "score_file", "other", data), "RISK_NOT_FOUND: ")
        _refused(command(capsys, "score_file", "house", "none.csv"), "INPUT_REFUSED: ")
        short = tmp_path / "short.csv"
        short.write_bytes(csv_bytes("1000", header="amount"))
        out = tmp_path / "none" / "scores.csv"
        told = command(capsys, "score_file", "house", str(short), "--out", str(out))
        _refused(told, "RISK_DATA_REFUSED: ")
        told = command(capsys, "score_file", "house", data, "--out", str(out))
        _refused(told, "INPUT_REFUSED: ")


def test_a_database_without_tables_is_migrated_first(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(_risk, "call_command", lambda name, **_: calls.append(name))
    _risk.ensure_tables()
    assert calls == []
    monkeypatch.setattr(connection.introspection, "table_names", list)
    _risk.ensure_tables()
    assert calls == ["migrate"]
