"""From additive log-odds to calibrated ones, through stored knots: isotonic calibration."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from scipy import optimize
from scipy.special import logit

from risk.core.fitting import fit_line
from risk.core.table import BoolArray, FloatArray

Knots = Sequence[tuple[float, float]]

# Knots are kept to so many decimals of log-odds.
_DECIMALS = 7


class Calibration(StrEnum):
    """How out-of-fold log-odds are turned into probabilities."""

    PLATT = "platt"
    ISOTONIC = "isotonic"


def platt_line(odds: FloatArray, is_bad: BoolArray) -> tuple[float, float]:
    """Intercept and slope that recalibrate out-of-fold log-odds (Platt, 1999).

    A slope of nought or less says that nothing was learnt that holds out of fold: everyone gets
    the average.

    Args:
        odds: log-odds of rows by a fit that has not seen them, shape ``(n,)``.
        is_bad: their outcomes, of both classes, shape ``(n,)``.
    """
    intercept, slope = fit_line(odds, is_bad)
    if slope > 0:
        return intercept, slope
    share = float(is_bad.mean())
    return float(np.log(share / (1 - share))), 0.0


def calibration_knots(
    odds: FloatArray, is_bad: BoolArray, calibration: Calibration
) -> tuple[tuple[float, float], ...]:
    """The knots of isotonic calibration of out-of-fold log-odds; none with Platt's.

    Args:
        odds: log-odds of rows by a fit that has not seen them, shape ``(n,)``.
        is_bad: their outcomes, of both classes, shape ``(n,)``.
    """
    if calibration is Calibration.PLATT:
        return ()
    return tuple(
        (round(place, _DECIMALS), round(value, _DECIMALS))
        for place, value in isotonic_knots(odds, is_bad)
    )


def isotonic_knots(odds: FloatArray, is_bad: BoolArray) -> tuple[tuple[float, float], ...]:
    """Knots of a rising map from log-odds to log-odds, by isotonic regression of outcomes.

    Rows are pooled until the share of bad rises from pool to pool (Zadrozny and Elkan, 2002).
    Each pool counts one row more, of the average risk, so that no share is 0 or 1; should that
    break the order, pools are joined once more.

    Args:
        odds: log-odds of rows by a fit that has not seen them, shape ``(n,)``.
        is_bad: their outcomes, of both classes, shape ``(n,)``.

    Returns:
        (log-odds, calibrated log-odds) of each pool, both ascending; at least one.
    """
    order = np.argsort(odds, kind="stable")
    place, rows = np.unique(odds[order], return_counts=True)
    bad = np.add.reduceat(is_bad[order].astype(np.float64), np.cumsum(rows) - rows)
    average = float(is_bad.mean())
    pooled = optimize.isotonic_regression(bad / rows, weights=rows)
    starts = np.asarray(pooled.blocks)[:-1]
    weight = np.add.reduceat(rows.astype(np.float64), starts)
    middle = np.add.reduceat(place * rows, starts) / weight
    share = (np.add.reduceat(bad, starts) + average) / (weight + 1.0)
    share = optimize.isotonic_regression(share, weights=weight).x
    return tuple(zip(middle.tolist(), logit(share).tolist(), strict=True))


def through_knots(odds: FloatArray, knots: Knots) -> FloatArray:
    """The map at ``odds``: straight between knots, of slope 1 beyond the outermost ones.

    So it never falls, and is finite wherever ``odds`` are. Without knots nothing changes.
    """
    if not len(knots):
        return odds
    place, value = (np.array(part) for part in zip(*knots, strict=True))
    inside = np.interp(odds, place, value)
    beyond = np.minimum(odds - place[0], 0.0) + np.maximum(odds - place[-1], 0.0)
    found: FloatArray = inside + beyond
    return found
