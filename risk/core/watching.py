"""Watching a book: prediction and outcome, roll rates, expected credit loss, and what is alarming.

Everything is computed from a :class:`WatchedBook` and the :class:`Forecasts` of its loans; nothing
is drawn, and no order of rows matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from risk.core.credit_loss import (
    ON_BALANCE,
    Exposures,
    Stage,
    StageRow,
    StageRules,
    by_stage_and_band,
    expected_credit_loss,
    stages,
)
from risk.core.monitoring import (
    DAYS_A_MONTH,
    FALSE_ALARM_RATE,
    Cohort,
    MonitoringRefused,
    Outcomes,
    chance_by_now,
    months_on_book,
    predicted_against_actual,
)
from risk.core.pricing import YEAR, from_ppm, monthly_hazard, monthly_rate
from risk.core.roll_rates import (
    ROLLING,
    WINDOW_MONTHS,
    Bucket,
    DayArray,
    Roll,
    Worsening,
    bucket_of_days,
    buckets,
    days_past_due,
    default_chances,
    month_ends,
    roll_rates,
    transitions,
    worsenings,
)
from risk.core.table import BoolArray, FloatArray, IntArray
from risk.core.watched_book import Forecasts, WatchedBook

# A bucket of fewer loan-months says nothing of its loans' chance to default.
LEAST_LOAN_MONTHS = 30


@dataclass(frozen=True, slots=True)
class Rolls:
    """Moves between arrears buckets in the newest window of whole months, and in the one before.

    The windows hold the month-ends after ``before_from`` up to ``from_`` (the former) and up to
    ``until`` (the newest). ``default_chances`` are those to be in default within twelve months, by
    bucket, if the moves of both windows go on.
    """

    before_from: date
    from_: date
    until: date
    rolls: tuple[Roll, ...]
    worsenings: tuple[Worsening, ...]
    default_chances: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Losses:
    """Expected credit loss: rows by stage and band, and the total of each stage, pence."""

    rows: tuple[StageRow, ...]
    totals: tuple[StageRow, ...]
    loans: int
    balance: int
    loss: int


@dataclass(frozen=True, slots=True, eq=False)
class BookFindings:
    """What watching a book found."""

    cohorts: tuple[Cohort, ...]
    rolls: Rolls
    losses: Losses


def watch_book(
    book: WatchedBook,
    forecasts: Forecasts,
    *,
    rules: StageRules | None = None,
    rate: float = FALSE_ALARM_RATE,
    window: int = WINDOW_MONTHS,
) -> BookFindings:
    """Look at a book as of its day.

    Args:
        book: the loans; ``forecasts``: of the same loans, in the same order.
        rules: when a loan changes its stage.
        rate: chance of a false alarm that each family of tests may have.
        window: months of roll rates, and of those before.

    Raises:
        MonitoringRefused: when forecasts and loans don't belong together, or a figure is none.
    """
    if len(forecasts.pd12) != len(book.loan):
        raise MonitoringRefused("Every loan needs its frozen forecast.", field="assessment")
    ends = month_ends(book.on, 2 * window)
    late = days_past_due(book.dues, np.append(ends, np.datetime64(book.on, "D")))
    rolls, counts = _rolls(book, late[:, :-1], ends, window)
    return BookFindings(
        predicted_against_actual(outcomes(book, forecasts), rate=rate),
        rolls,
        _losses(book, forecasts, late[:, -1], counts, rules or StageRules()),
    )


def outcomes(book: WatchedBook, forecasts: Forecasts) -> Outcomes:
    """The loans by quarter of pay-out and band, with their chance of default by now.

    Raises:
        MonitoringRefused: for a day that is missing, or a frozen PD that is none.
    """
    today = np.datetime64(book.on, "D")
    defaulted = ~np.isnat(book.lost_on)
    closed = ~np.isnat(book.closed_on) & ~defaulted
    until = np.where(closed, book.closed_on, today)
    months = np.minimum(months_on_book(book.paid_out_on, until), book.term_months)
    quarters, vintage = np.unique(_quarters(book.paid_out_on), return_inverse=True)
    age = months_on_book(book.paid_out_on, today)
    return Outcomes(
        vintages=tuple(f"{1970 + at // 4} Q{at % 4 + 1}" for at in quarters.tolist()),
        bands=forecasts.bands,
        vintage=vintage.astype(np.int64),
        band=forecasts.band,
        chance=chance_by_now(forecasts.pd_outcome, forecasts.outcome_months, months),
        defaulted=defaulted,
        amount=book.amount,
        mature=age >= np.minimum(forecasts.outcome_months, book.term_months),
    )


def _quarters(days: DayArray) -> IntArray:
    quarters: IntArray = days.astype("datetime64[M]").astype(np.int64) // 3
    return quarters


def _rolls(
    book: WatchedBook, late: IntArray, ends: DayArray, window: int
) -> tuple[Rolls, IntArray]:
    """The rolls of two windows, and the moves of both together."""
    places = buckets(late, ends, book.paid_out_on, book.lost_on, book.closed_on)
    before, now = transitions(places[:, : window + 1]), transitions(places[:, window:])
    both = now + before
    rolls = Rolls(
        before_from=_day(ends[0]),
        from_=_day(ends[window]),
        until=_day(ends[-1]),
        rolls=roll_rates(now, before),
        worsenings=worsenings(now, before),
        default_chances=tuple(default_chances(both, YEAR).tolist()),
    )
    return rolls, both


def _day(day: np.datetime64) -> date:
    return date.fromisoformat(str(day))


def _losses(
    book: WatchedBook, forecasts: Forecasts, late: IntArray, counts: IntArray, rules: StageRules
) -> Losses:
    today = np.datetime64(book.on, "D")
    defaulted = ~np.isnat(book.lost_on)
    held = np.isnat(book.closed_on) & ~book.written_off
    stage = stages(
        days_past_due=late,
        defaulted=defaulted,
        forborne=book.forborne,
        pd_frozen=forecasts.pd12,
        pd_now=forecasts.pd12_now,
        rules=rules,
    )
    stage = np.where(held, stage, int(Stage.NONE))
    since = np.where(defaulted, (today - book.lost_on).astype(np.int64), 0) / DAYS_A_MONTH
    coming = book.dues.due_loan[book.dues.due_on > today]
    balance = np.where(held, book.outstanding, 0)
    loss = expected_credit_loss(
        Exposures(
            stage=stage,
            balance=balance,
            months_left=np.bincount(coming, minlength=len(book.loan)).astype(np.int64),
            monthly_rate=monthly_rate(from_ppm(book.rate_ppm)),
            hazard=_hazard(forecasts, late, defaulted, counts),
            loss_given_default=forecasts.loss_given_default,
            recovery_lag=forecasts.recovery_lag,
            recovered=book.recovered,
            months_in_default=since,
        )
    )
    rows = by_stage_and_band(stage, forecasts.band, forecasts.bands, balance, loss)
    return losses_of(rows)


def losses_of(rows: Sequence[StageRow]) -> Losses:
    """Add rows up to stages, and to a total."""
    totals = tuple(
        StageRow(stage, "", *_sums([row for row in rows if row.stage is stage]))
        for stage in ON_BALANCE
    )
    return Losses(tuple(rows), totals, *_sums(rows))


def losses_from_json(values: Mapping[str, Any]) -> Losses:
    """Read back the losses that a run kept, as :func:`risk.core.alarms.plain` wrote them."""
    rows = [StageRow(**{**row, "stage": Stage[row["stage"].upper()]}) for row in values["rows"]]
    return losses_of(rows)


def _sums(rows: Sequence[StageRow]) -> tuple[int, int, int]:
    loans, balance, loss = 0, 0, 0
    for row in rows:
        loans, balance, loss = loans + row.loans, balance + row.balance, loss + row.loss
    return loans, balance, loss


def _hazard(
    forecasts: Forecasts, late: IntArray, defaulted: BoolArray, counts: IntArray
) -> FloatArray:
    """Monthly hazards: of the newest PD, and for late loans no less than their bucket showed."""
    newest = np.where(np.isnan(forecasts.pd12_now), forecasts.pd12, forecasts.pd12_now)
    hazard = monthly_hazard(newest)
    shown = np.zeros(len(Bucket))
    totals, reached = counts.sum(axis=1), default_chances(counts, YEAR)
    for bucket in ROLLING:
        if bucket is not Bucket.CURRENT and totals[bucket] >= LEAST_LOAN_MONTHS:
            shown[bucket] = 1 - (1 - reached[bucket]) ** (1 / YEAR)
    floor = shown[bucket_of_days(late)]
    return np.where(defaulted, hazard, np.maximum(hazard, floor))
