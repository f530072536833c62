"""The validation report: figures by hand, laws, periods, groups, and what it refuses."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.core.encoding import NumberCoding, TextCoding
from risk.core.errors import FactsRefused, OutcomeRefused
from risk.core.model_report import (
    BandEdge,
    ModelReport,
    ReportRefused,
    build_model_report,
)
from risk.core.pricing import pd_in_year
from risk.core.rate_table import BEYOND
from risk.core.report_columns import weight_of_evidence
from risk.core.report_curves import MOST_PLACES, curves
from risk.core.report_findings import Level
from risk.core.report_groups import impact_ratio, results_by_group
from risk.core.report_labels import bin_names, groups_of, periods_of
from risk.core.scorecard import predict_bad
from risk.core.spec import ColumnSpec, DataSpec
from risk.core.table import Column, Table, make_table, number_column, text_column
from risk.core.validation import auc
from tests.risk.conftest import Fitted

ON = date(2016, 4, 1)
BANDS = (BandEdge("A", 0.04), BandEdge("B", 0.08), BandEdge("C", 0.15))
PLAIN = ColumnSpec("x", "x")


def with_columns(table: Table, **columns: Column) -> Table:
    return make_table({**table.columns, **columns}, rows=table.rows, is_bad=table.is_bad)


def months(size: int) -> Column:
    return text_column([f"2016-{1 + place % 6:02d}-15" for place in range(size)])


def report_of(fitted: Fitted, **changed: object) -> ModelReport:
    training = with_columns(fitted.training, month=months(len(fitted.training)))
    holdout = with_columns(fitted.holdout, month=months(len(fitted.holdout)))
    given: dict[str, object] = {
        "name": "invented 1",
        "scorecard": fitted.scorecard,
        "spec": fitted.spec,
        "training": training,
        "holdout": holdout,
        "made_on": ON,
        "bands": BANDS,
        "time_column": "month",
        "notes": ("A note.",),
        **changed,
    }
    return build_model_report(**given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report(invented: Fitted) -> ModelReport:
    return report_of(invented)


def test_it_is_the_same_every_time_and_json_can_hold_it(
    report: ModelReport, invented: Fitted
) -> None:
    first = json.dumps(report.to_json(), allow_nan=False)
    assert json.dumps(report_of(invented).to_json(), allow_nan=False) == first
    assert json.loads(first)["made_on"] == "2016-04-01"


def test_figures_are_of_the_rows_held_out(report: ModelReport, invented: Fitted) -> None:
    is_bad, chance = invented.holdout.is_bad, predict_bad(invented.scorecard, invented.holdout)
    assert is_bad is not None
    held = report.holdout
    assert (held.figures.rows, held.figures.bad) == (len(is_bad), is_bad.sum())
    assert held.auc.value == pytest.approx(auc(is_bad, chance))
    assert report.training.figures.rows == invented.scorecard.training_rows
    share = is_bad.mean()
    assert held.skill == pytest.approx(1 - ((chance - is_bad) ** 2).mean() / (share * (1 - share)))


def test_bands_hold_every_row_once_and_their_upper_edge(
    report: ModelReport, invented: Fitted
) -> None:
    pd12 = pd_in_year(predict_bad(invented.scorecard, invented.holdout), 24)
    rows = {row.calibration.group: row.calibration.rows for row in report.by_band}
    assert list(rows) == ["A", "B", "C", BEYOND]
    assert rows["A"] == int((pd12 <= 0.04).sum())
    assert rows[BEYOND] == int((pd12 > 0.15).sum())
    assert sum(rows.values()) == len(pd12)
    assert sum(row.share for row in report.by_band) == pytest.approx(1)


def test_the_cut_off_is_the_last_band_unless_given(report: ModelReport, invented: Fitted) -> None:
    assert report.cut_off_pd == 0.15
    strict = report_of(invented, cut_off_pd=0.02)
    pd12 = pd_in_year(predict_bad(invented.scorecard, invented.holdout), 24)
    (table,) = strict.groups
    approved = sum(
        row.approved.value * row.calibration.rows for row in table.rows if row.approved is not None
    )
    assert approved == pytest.approx((pd12 <= 0.02).sum())
    without = report_of(invented, bands=None)
    assert without.cut_off_pd is None
    assert without.by_band == ()
    assert all(row.approved is None and row.impact is None for row in without.groups[0].rows)


def test_protected_columns_are_looked_at_though_not_scored(report: ModelReport) -> None:
    (table,) = report.groups
    assert table.column == "sex"
    assert {row.calibration.group for row in table.rows} == {"f", "m"}
    assert "sex" not in {column.column for column in report.columns}


def test_every_period_and_column_is_there(report: ModelReport, invented: Fitted) -> None:
    periods = [row.calibration.group for row in report.by_time]
    assert periods == [f"2016-{month:02d}" for month in range(1, 7)]
    assert sum(row.calibration.rows for row in report.by_time) == len(invented.holdout)
    assert {column.column for column in report.columns} == set(invented.scorecard.kinds())
    for column in report.columns:
        assert sum(each.rows for each in column.bins) == len(invented.training)
        assert sum(each.holdout_rows for each in column.bins) == len(invented.holdout)
        assert sum(each.bad for each in column.bins) == invented.scorecard.training_bad
        assert column.information_value >= 0


def test_points_of_a_column_are_on_average_none(report: ModelReport) -> None:
    for column in report.columns:
        total = sum(each.points * each.rows for each in column.bins)
        assert total / report.training.figures.rows == pytest.approx(0, abs=0.02)


def test_a_moved_population_is_found(invented: Fitted) -> None:
    holdout = invented.holdout
    poor = with_columns(holdout, income=number_column(np.full(len(holdout), 9_000.0)))
    moved = report_of(invented, holdout=with_columns(poor, month=months(len(poor))))
    levels = {finding.subject: finding.level for finding in moved.findings}
    assert levels["Inputs"] is Level.BAD
    (income,) = [column for column in moved.columns if column.column == "income"]
    assert income.stability.verdict.value == "red"


def test_outcomes_shuffled_are_found_to_say_nothing(invented: Fitted) -> None:
    holdout = invented.holdout
    assert holdout.is_bad is not None
    shuffled = np.random.default_rng(4).permutation(holdout.is_bad)
    table = make_table(holdout.columns, rows=holdout.rows, is_bad=shuffled)
    found = report_of(invented, holdout=table, time_column=None)
    levels = {finding.subject: finding.level for finding in found.findings}
    assert levels["Separation"] is Level.BAD


def test_weight_of_evidence_of_two_bins() -> None:
    # 9 good and 1 bad, 4 good and 6 bad; half of each added: shares of the good 9.5/14 and 4.5/14,
    # of the bad 1.5/8 and 6.5/8. The empty bin says nothing.
    woe, value = weight_of_evidence(np.array([10.0, 10.0, 0.0]), np.array([1.0, 6.0, 0.0]))
    first, second = math.log((9.5 / 14) / (1.5 / 8)), math.log((4.5 / 14) / (6.5 / 8))
    assert woe.tolist() == pytest.approx([first, second, 0.0])
    assert value.tolist() == pytest.approx(
        [(9.5 / 14 - 1.5 / 8) * first, (4.5 / 14 - 6.5 / 8) * second, 0.0]
    )


def test_curves_of_four_rows() -> None:
    # Bad at 500 and 520, good at 510 and 540.
    found = curves(np.array([True, False, True, False]), np.array([500.0, 510.0, 520.0, 540.0]))
    assert found.points == (500, 510, 520, 540)
    assert found.bad_below == (0.5, 0.5, 1, 1)
    assert found.good_below == (0, 0.5, 0.5, 1)
    assert found.ks_points == 500
    assert sum(found.bad_shares) == pytest.approx(1)
    assert sum(found.good_shares) == pytest.approx(1)


@given(st.integers(2, 600), st.integers(0, 99))
def test_curves_are_thinned_and_keep_ks_and_about_the_area(rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    points = generator.normal(600, 40, size=rows).round(1)
    is_bad = generator.random(rows) < 0.4
    is_bad[:2] = [True, False]
    found = curves(is_bad, points)
    assert len(found.points) <= MOST_PLACES
    assert found.ks_points in found.points
    good, bad = np.array([0, *found.good_below]), np.array([0, *found.bad_below])
    area = float(((bad[1:] + bad[:-1]) / 2 * np.diff(good)).sum())
    assert area == pytest.approx(auc(is_bad, -points), abs=0.01)


def test_impact_ratio_by_hand() -> None:
    found = impact_ratio(30, 100, 50, 100)
    assert found is not None
    # Katz: variance of the logarithm 1/30 - 1/100 + 1/50 - 1/100 = .03333.
    half = 1.959964 * math.sqrt(1 / 30)
    assert found.value == pytest.approx(0.6)
    assert found.low == pytest.approx(0.6 * math.exp(-half))
    assert found.high == pytest.approx(0.6 * math.exp(half))
    nobody = impact_ratio(0, 40, 20, 40)
    assert nobody is not None
    assert (nobody.value, nobody.low) == (0.0, 0.0)
    assert nobody.high > 0
    assert impact_ratio(0, 10, 0, 10) is None


def test_a_tiny_group_is_not_what_others_are_compared_with() -> None:
    # 100 rows of "a", half approved; 99 of "b", a third; 1 of "c", approved.
    group = np.array([0] * 100 + [1] * 99 + [2])
    approved = np.array([place % 2 == 0 for place in range(100)] + [p % 3 == 0 for p in range(99)])
    is_bad = np.arange(200) % 4 == 0
    rows, best = results_by_group(
        is_bad,
        np.full(200, 0.25),
        group,
        ["a", "b", "c", "empty"],
        approved=np.append(approved, True),
    )
    assert best == "a"
    first, second, third = rows
    assert first.impact is None
    assert second.impact is not None
    assert second.impact.value == pytest.approx((33 / 99) / 0.5)
    assert second.below_four_fifths
    assert third.auc is None


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["2016-02-03", "2015-12-31", "2016-02-20"], ("2015-12", "2016-02")),
        (["Mar-2016", "Dec-2015", "January 2016"], ("2015-12", "2016-01", "2016-03")),
        (["2016Q2", "2015 Q4"], ("2015 Q4", "2016 Q2")),
        (["2016", "2014"], ("2014", "2016")),
        (["second", "first", None], ("first", "second", "not known")),
        (["2016-13", "2016-01"], ("2016-01", "2016-13")),
    ],
)
def test_periods_are_in_the_order_of_time(words: list[str | None], names: tuple[str, ...]) -> None:
    found, places = periods_of(text_column(words))
    assert found == names
    assert len(places) == len(words)


def test_too_many_periods_are_taken_together() -> None:
    days = [f"20{year:02d}-{month:02d}-01" for year in range(10, 14) for month in range(1, 13)]
    names, places = periods_of(text_column(days))
    assert names[:2] == ("2010 Q1", "2010 Q2")
    assert np.bincount(places).tolist() == [3] * 16
    names, places = periods_of(number_column(np.arange(1000.0)))
    assert len(names) == 24
    assert (np.diff(places) >= 0).all()
    assert names[0] == "0 to 41"


def test_numbers_become_few_groups() -> None:
    ages = number_column([*range(20, 70), math.nan, math.inf])
    names, places = groups_of(ages, PLAIN)
    assert len(names) == 6
    assert names[-1] == "not known"
    assert np.bincount(places).sum() == 52
    assert groups_of(number_column([0.0, 1.0, 1.0]), PLAIN)[0] == ("0", "1")


def test_rare_levels_are_taken_together() -> None:
    words = [f"level {place % 30}" for place in range(300)] + ["often"] * 100
    names, places = groups_of(text_column(words), PLAIN)
    assert len(names) == 12
    assert names[0] == "often"
    assert names[-1] == "others"
    assert np.bincount(places).sum() == 400


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=8, unique=True))
def test_names_of_bins_differ(edges: list[float]) -> None:
    names = bin_names(NumberCoding("x", tuple(sorted(edges))), PLAIN)
    assert len(set(names)) == len(edges) + 2


def test_names_of_levels_are_the_specification_s() -> None:
    described = ColumnSpec("home", "home", levels={"o": "owned"})
    assert bin_names(TextCoding("home", ("o", "r")), described) == (
        "owned",
        "r",
        "rare or unseen",
        "not known",
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"bands": (BandEdge("A", 0.1), BandEdge("B", 0.05))},
        {"bands": (BandEdge("A", 0.1), BandEdge("A", 0.2))},
        {"bands": (BandEdge("A", 0.0),)},
        {"bands": (BandEdge("A", math.nan),)},
        {"bands": ()},
        {"cut_off_pd": 0.0},
        {"cut_off_pd": 1.0},
        {"cut_off_pd": math.nan},
    ],
)
def test_bands_and_cut_offs_that_make_no_sense_are_refused(
    invented: Fitted, changed: dict[str, object]
) -> None:
    with pytest.raises(ReportRefused):
        report_of(invented, **changed)


def test_outcomes_and_columns_are_needed(invented: Fitted, spec: DataSpec) -> None:
    holdout = invented.holdout
    with pytest.raises(OutcomeRefused):
        report_of(invented, holdout=replace(holdout, is_bad=None), time_column=None)
    all_good = replace(holdout, is_bad=np.zeros(len(holdout), dtype=np.bool_))
    with pytest.raises(OutcomeRefused):
        report_of(invented, holdout=all_good, time_column=None)
    with pytest.raises(FactsRefused, match="nowhere"):
        report_of(invented, time_column="nowhere")
    bare = make_table({"sex": holdout.columns["sex"]}, rows=holdout.rows, is_bad=holdout.is_bad)
    with pytest.raises(FactsRefused):
        report_of(invented, holdout=bare, spec=spec, time_column=None)
