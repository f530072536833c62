"""Leaks: what is stopped, what honest columns are let through, and how an officer overrides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.core.leaks import Leak, LikelyLeak, find_leaks, lower_auc, require_no_leaks
from risk.core.reading import read_table
from risk.core.spec import DataSpec, spec_from_toml
from risk.core.table import Column, Table, make_table, number_column, text_column
from risk.specs import spec_text
from tests.risk.examples import LENDING_CLUB

ROWS = 4_000


def _bad(share: float = 0.08, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(3).random(rows) < share


def _leaks(column: Column, bad: np.ndarray, **others: Column) -> tuple[Leak, ...]:
    table = make_table({"x": column, **others}, is_bad=bad)
    return find_leaks(table, ["x"], refused=list(others))


def _leaking() -> dict[str, Column]:
    bad, generator = _bad(), np.random.default_rng(4)
    noise = generator.normal(size=ROWS)
    wrong = generator.random(ROWS) < 0.02
    return {
        "the outcome": number_column(bad),
        "its opposite": number_column(~bad),
        "the outcome in words": text_column(["lost" if one else "paid" for one in bad]),
        "the outcome with 2 % mistakes": number_column(bad ^ wrong),
        "a number that gives it away": number_column(4 * bad + noise),
        "a code in the middle of the numbers": number_column(
            np.where(bad, 500, generator.integers(0, 1_000, ROWS))
        ),
        "both ends": number_column(np.where(bad, 9 * np.sign(noise), noise)),
        "a date that only bad ones have": text_column(
            [f"day {place}" if one else None for place, one in enumerate(bad)]
        ),
        "a number that only bad ones lack": number_column(np.where(bad, math.nan, noise)),
        "a recovery on every second bad one": number_column(
            np.where(bad & (noise > 0), generator.lognormal(5, 1, ROWS), 0)
        ),
        "a last payment of most good ones": number_column(
            np.where(~bad & (noise < 1), generator.lognormal(5, 1, ROWS), 0)
        ),
    }


@pytest.mark.parametrize("name", list(_leaking()))
def test_what_is_known_only_afterwards_is_stopped(name: str) -> None:
    (found,) = _leaks(_leaking()[name], _bad())
    assert 0 <= found.low <= found.auc <= 1
    assert "alone" in found.words


def _honest() -> dict[str, Column]:
    bad, generator = _bad(), np.random.default_rng(5)
    noise = generator.normal(size=ROWS)
    return {
        "constant": number_column(np.ones(ROWS)),
        "all missing": number_column(np.full(ROWS, math.nan)),
        "no text": text_column([None] * ROWS),
        "an identifier": number_column(np.arange(ROWS)),
        "an identifier in words": text_column([f"a{place}" for place in range(ROWS)]),
        "noise": number_column(noise),
        "four thousand towns": text_column([str(generator.integers(0, 999)) for _ in range(ROWS)]),
        # AUC = Phi(1.2 / sqrt 2) = Phi(.8485) = .802: as strong as the best honest columns are.
        "strong": number_column(1.2 * bad + noise),
        # AUC = Phi(1.7 / sqrt 2) = Phi(1.202) = .885, just under the limit.
        "very strong": number_column(1.7 * bad + noise),
        # A rare level of 60 % bad.
        "late before": text_column(
            np.where(generator.random(ROWS) < np.where(bad, 0.2, 0.012), "late", "never").tolist()
        ),
    }


@pytest.mark.parametrize("name", list(_honest()))
def test_what_is_known_beforehand_passes(name: str) -> None:
    assert _leaks(_honest()[name], _bad()) == ()


@pytest.mark.parametrize("name", ["lending_club_2016q1", "german_credit"])
def test_nothing_in_real_data_is_stopped(name: str) -> None:
    content = (LENDING_CLUB.parent / f"{name}.csv").read_bytes()
    spec = spec_from_toml(spec_text(name))
    table = read_table(content, name, spec)
    refused = [*spec.price_columns, *spec.protected_columns]
    assert find_leaks(table, spec.input_columns(table.columns), refused=refused) == ()
    # Not even the price, which knows most.
    assert find_leaks(table, spec.price_columns) == ()


@pytest.mark.parametrize("copied", ["rate", "grade"])
def test_a_copy_of_a_refused_column_is_stopped(copied: str) -> None:
    generator, bad = np.random.default_rng(6), _bad()
    rate = generator.normal(12, 4, ROWS).round(2)
    originals: dict[str, Column] = {
        "rate": number_column(rate),
        "grade": text_column(["ABCDEFG"[place % 7] for place in range(ROWS)]),
    }
    copies: dict[str, Column] = {
        "rate": number_column(rate / 100),
        "grade": number_column([place % 7 for place in range(ROWS)]),
    }
    (found,) = _leaks(copies[copied], bad, **originals)
    assert f"copy of {copied}" in found.words
    near = number_column(rate + generator.normal(0, 1, ROWS))
    assert _leaks(near, bad, **originals) == ()


def test_few_rows_prove_nothing() -> None:
    assert _leaks(number_column([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 1, 1], bool)) == ()
    bad = np.arange(24) < 6
    assert _leaks(number_column(bad), bad) == ()


# One bad and one good row: the variance is A (1 - A), so A + 1.645 sqrt(A (1 - A)) = 1 gives
# 1 - A = 1.645^2 A, hence A = 1 / (1 + 2.7055) = .2699.
def test_the_lower_end_by_hand() -> None:
    assert lower_auc(1.0, 1, 1) == pytest.approx(0.26987, abs=1e-5)


@given(st.floats(0.5, 1), st.integers(2, 500), st.integers(2, 500))
def test_the_lower_end_is_below_and_rises_with_rows(auc: float, bad: int, good: int) -> None:
    low = lower_auc(auc, bad, good)
    assert 0 <= low <= auc
    assert lower_auc(auc, 10 * bad, 10 * good) >= low - 1e-9


# The AUC is checked against its definition, pair by pair.
def test_the_auc_is_the_share_of_pairs_in_order() -> None:
    generator = np.random.default_rng(7)
    bad = generator.random(300) < 0.3
    values = (8 * bad + generator.integers(0, 9, 300)).astype(float)
    (found,) = find_leaks(make_table({"x": number_column(values)}, is_bad=bad), ["x"], most_auc=0.5)
    above = (values[bad][:, None] > values[~bad]) + 0.5 * (values[bad][:, None] == values[~bad])
    assert found.auc >= above.mean() - 1e-12


def test_the_answer_is_the_same_every_time_and_in_the_order_asked() -> None:
    bad = _bad()
    table = make_table({"b": number_column(bad), "a": number_column(~bad)}, is_bad=bad)
    found = find_leaks(table, ["a", "b"])
    assert [leak.column for leak in found] == ["a", "b"]
    assert found == find_leaks(table, ["a", "b"])
    assert find_leaks(Table(table.columns, table.rows), ["a"]) == ()


def test_a_leak_is_refused_by_column_unless_there_is_a_reason() -> None:
    leaks = (Leak("hint", 0.99, 0.97, "alone separates"), Leak("fee", 0.95, 0.93, "alone too"))
    with pytest.raises(LikelyLeak, match=r"hint alone separates; fee.*leaks\.override.*--allow"):
        require_no_leaks(leaks, {"other": "of no use"})
    with pytest.raises(LikelyLeak) as refused:
        require_no_leaks(leaks, {"hint": "known at the branch", "fee": "  "})
    assert (refused.value.code, refused.value.field) == ("RISK_LIKELY_LEAK", "fee")
    reasons = {"hint": "known at the branch", "fee": "set by law", "other": "not needed"}
    assert require_no_leaks(leaks, reasons) == {
        "hint": "known at the branch",
        "fee": "set by law",
    }
    assert require_no_leaks((), reasons) == {}


def test_the_inputs_of_the_invented_data_pass(spec: DataSpec) -> None:
    from tests.risk.examples import invented_csv

    table = read_table(invented_csv(3_000), "invented.csv", spec)
    assert find_leaks(table, spec.input_columns(table.columns), refused=spec.price_columns) == ()
