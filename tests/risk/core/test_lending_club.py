"""The real data: how well the unseen 30 % are told apart, and that prices play no part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from risk.core.errors import ColumnRefused
from risk.core.house import house_from_toml
from risk.core.pricing import pd_in_year, to_ppm
from risk.core.rate_table import place_in_band
from risk.core.scorecard import ScorecardSettings, predict_bad, reasons
from risk.core.table import number_column
from risk.core.training import fit_scorecard
from risk.core.validation import Figures, judge
from risk.specs import spec_text
from tests.risk.conftest import Fitted


@pytest.fixture(scope="module")
def figures(lending_club: Fitted) -> Figures:
    if lending_club.holdout.is_bad is None:
        raise ValueError("no outcomes")
    chance = predict_bad(lending_club.scorecard, lending_club.holdout)
    return judge(lending_club.holdout.is_bad, chance)


def test_unseen_rows_are_told_apart_but_not_too_well(figures: Figures) -> None:
    assert (figures.rows, figures.bad) == (2_957, 155)
    # Above .75 without price columns would be a leak.
    assert 0.66 <= figures.auc < 0.75
    assert figures.brier < 0.0492


def test_predictions_are_calibrated(figures: Figures) -> None:
    assert 0.8 < figures.calibration_slope < 1.2
    assert figures.mean_predicted == pytest.approx(figures.mean_actual, abs=0.003)


def test_price_columns_are_no_inputs(lending_club: Fitted) -> None:
    read = set(lending_club.scorecard.kinds())
    assert not read & {"int_rate", "sub_grade", "Class", "addr_state"}
    with pytest.raises(ColumnRefused, match="int_rate"):
        fit_scorecard(
            lending_club.training,
            lending_club.spec,
            ScorecardSettings(inputs=("annual_inc", "int_rate")),
            1,
        )


def test_the_score_does_not_change_with_the_price(lending_club: Fitted) -> None:
    holdout = lending_club.holdout
    other = replace(
        holdout, columns={**holdout.columns, "int_rate": number_column([99.0] * len(holdout))}
    )
    assert np.array_equal(
        predict_bad(lending_club.scorecard, holdout),
        predict_bad(lending_club.scorecard, other),
    )


def test_every_band_gets_a_meaningful_share(lending_club: Fitted) -> None:
    settings = house_from_toml(spec_text("house"))
    chance = predict_bad(lending_club.scorecard, lending_club.holdout)
    pd12 = to_ppm(pd_in_year(chance, lending_club.scorecard.outcome_months))
    shares = np.bincount(place_in_band(pd12, settings), minlength=7) / len(pd12)
    assert (shares[:6] > 0.05).all()
    assert 0.005 < shares[6] < 0.04


def test_reasons_are_plain_words(lending_club: Fitted) -> None:
    said = reasons(lending_club.scorecard, lending_club.holdout, lending_club.spec)
    sentences = {sentence for row in said for sentence in row}
    assert all(sentence.startswith("The ") and sentence.endswith(".") for sentence in sentences)
    assert not any("_" in sentence for sentence in sentences)
    assert all(len(row) <= 4 for row in said)
