"""The numbers of the pictures: ROC and KS curves, thinned, and how scores of good and bad lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk.core.table import BoolArray, FloatArray

MOST_PLACES = 200
_BARS = 24
# So much at each end of the scores falls into the outermost bar.
_TAIL = 0.002


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves at some ascending score points, and a histogram of the points.

    ``bad_below`` and ``good_below`` are the shares of bad and of good rows with so many points or
    fewer: one against the other is the ROC curve, and they are furthest apart at ``ks_points``.
    ``bad_shares`` and ``good_shares`` are the shares of bad and good rows in each bar between two
    of ``bar_edges``; the outermost bars hold what lies beyond them, too.
    """

    points: tuple[float, ...]
    bad_below: tuple[float, ...]
    good_below: tuple[float, ...]
    ks_points: float
    bar_edges: tuple[float, ...]
    bad_shares: tuple[float, ...]
    good_shares: tuple[float, ...]


def curves(is_bad: BoolArray, points: FloatArray) -> Curves:
    """The curves of score points (more is better) against outcomes of both classes.

    Args:
        is_bad: outcomes, shape ``(n,)``.
        points: score points, shape ``(n,)``.
    """
    order = np.argsort(points, kind="stable")
    ranked, outcome = points[order], is_bad[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    bad = np.cumsum(outcome)[ends] / outcome.sum()
    good = np.cumsum(~outcome)[ends] / (~outcome).sum()
    furthest = int(np.argmax(np.abs(bad - good)))
    kept = _thinned(len(ends), furthest)
    edges = _bars(points)
    return Curves(
        points=_rounded(ranked[ends][kept], 3),
        bad_below=_rounded(bad[kept], 6),
        good_below=_rounded(good[kept], 6),
        ks_points=round(float(ranked[ends][furthest]), 3),
        bar_edges=_rounded(edges, 3),
        bad_shares=_shares(points[is_bad], edges),
        good_shares=_shares(points[~is_bad], edges),
    )


def _thinned(size: int, needed: int) -> list[int]:
    """At most :data:`MOST_PLACES` places, evenly spaced, with the ends and the one needed."""
    spaced = np.linspace(0, size - 1, min(size, MOST_PLACES - 1)).round().astype(np.int64)
    return [int(place) for place in np.union1d(spaced, [needed])]


def _bars(points: FloatArray) -> FloatArray:
    low, high = np.quantile(points, [_TAIL, 1 - _TAIL])
    if high - low < 1.0:
        low, high = low - 0.5, low + 0.5
    return np.asarray(np.linspace(low, high, _BARS + 1), dtype=np.float64)


def _shares(points: FloatArray, edges: FloatArray) -> tuple[float, ...]:
    bars = np.searchsorted(edges[1:-1], points, side="right")
    return _rounded(np.bincount(bars, minlength=_BARS) / len(points), 6)


def _rounded(values: FloatArray, decimals: int) -> tuple[float, ...]:
    return tuple((np.round(values, decimals) + 0.0).tolist())
