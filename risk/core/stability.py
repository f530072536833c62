"""Population stability index between two samples, with thresholds that know their sizes.

The index is ``sum((p - q) * log(p / q))`` over bins, ``p`` and ``q`` being the two samples' shares
of them. Customary limits (.1 and .25) ignore the sizes: two samples of fifty rows in ten bins
reach .1 more often than not although nothing has changed. If nothing has changed, the index is
distributed about as ``(1/n + 1/m)`` times chi-square with ``bins - 1`` degrees of freedom
(Yurdakul, 2018, "Statistical properties of the population stability index"). An alarm needs both:
more than that noise explains, and more than the customary limit, below which a shift is real but
too small to matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, chdtri

from risk.core.errors import RiskRefusal
from risk.core.table import FloatArray, IntArray

# Below these a shift is too small to matter, however certain.
AMBER_LIMIT = 0.1
RED_LIMIT = 0.25
# Chances that noise alone goes beyond the thresholds, where they lie above the limits.
AMBER_CHANCE = 0.05
RED_CHANCE = 0.001
# Rows added to each bin of the smaller sample before shares are taken.
_ROWS_A_BIN = 0.5


class StabilityRefused(RiskRefusal):
    """Counts or scores that can't be compared, such as a sample without rows."""

    code: ClassVar[str] = "RISK_STABILITY_REFUSED"


class Verdict(Enum):
    """What the index says: as before, worth a look, or another population."""

    STABLE = "stable"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Stability:
    """How far a recent sample's shares lie from a reference's.

    ``index`` is the population stability index over ``bins`` bins (those in which either sample
    has a row). ``expected_noise`` is its mean and ``noise_chance`` the chance of one so large, if
    nothing has changed. Above ``amber`` and ``red`` the verdict is so.
    """

    index: float
    bins: int
    reference_rows: int
    recent_rows: int
    expected_noise: float
    noise_chance: float
    amber: float
    red: float
    verdict: Verdict


def stability(
    reference_counts: npt.ArrayLike, recent_counts: npt.ArrayLike, *, comparisons: int = 1
) -> Stability:
    """Compare the counts of two samples over the same bins.

    So that an empty bin gives no infinite index, the smaller sample gets half a row more in each
    bin, and the larger the same share of even rows: equal shares stay equal, and their index is 0.
    With it noise raises the alarm no more often than promised, in sparse bins too.

    Args:
        reference_counts, recent_counts: rows in each bin, whole numbers of shape ``(bins,)``.
        comparisons: how many such comparisons are looked at together; the chance that noise
            raises any one of them is held at that of a single one (Sidak, 1967).

    Raises:
        StabilityRefused: for counts of different shape, below 0 or not whole, or a sample without
            rows; or fewer than one comparison.
    """
    reference, recent = _counts(reference_counts), _counts(recent_counts)
    if reference.shape != recent.shape:
        raise StabilityRefused("Both samples must be counted over the same bins.")
    if comparisons < 1:
        raise StabilityRefused("The number of comparisons must be 1 or more.")
    used = reference + recent > 0
    reference, recent = reference[used], recent[used]
    bins = len(reference)
    n, m = int(reference.sum()), int(recent.sum())
    even = _ROWS_A_BIN * bins / (_ROWS_A_BIN * bins + min(n, m))
    p = (1 - even) * reference / n + even / bins
    q = (1 - even) * recent / m + even / bins
    index = max(0.0, float(np.sum((p - q) * np.log(p / q))))
    freedom, scale = bins - 1, 1 / n + 1 / m
    amber = max(AMBER_LIMIT, _noise(AMBER_CHANCE, freedom, scale, comparisons))
    red = max(RED_LIMIT, _noise(RED_CHANCE, freedom, scale, comparisons))
    return Stability(
        index=index,
        bins=bins,
        reference_rows=n,
        recent_rows=m,
        expected_noise=freedom * scale,
        noise_chance=float(chdtrc(freedom, index / scale)) if freedom else 1.0,
        amber=amber,
        red=red,
        verdict=_verdict(index, amber, red),
    )


def score_bins(reference_scores: FloatArray, bins: int = 10) -> FloatArray:
    """Edges that cut the reference's finite scores into at most ``bins`` bins of like size.

    Args:
        reference_scores: shape ``(n,)``; what is not finite is left out.

    Returns:
        Ascending inner edges, shape ``(at most bins - 1,)``: fewer where scores repeat.

    Raises:
        StabilityRefused: without a finite score, or for fewer than one bin.
    """
    finite = reference_scores[np.isfinite(reference_scores)]
    if not len(finite):
        raise StabilityRefused("There is no finite score to cut into bins.")
    if bins < 1:
        raise StabilityRefused("The number of bins must be 1 or more.")
    shares = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(finite, shares, method="inverted_cdf"))
    return np.asarray(edges[edges < finite.max()], dtype=np.float64)


def bin_counts(edges: FloatArray, scores: FloatArray) -> IntArray:
    """Rows in each bin, shape ``(len(edges) + 2,)``.

    Bin b holds scores above b of the edges, so an edge belongs to the bin below it. Infinities
    fall into the outermost bins, NaN into the last bin, which is theirs alone.
    """
    places = np.searchsorted(edges, scores, side="left")
    places[np.isnan(scores)] = len(edges) + 1
    return np.bincount(places, minlength=len(edges) + 2).astype(np.int64)


def _counts(given: npt.ArrayLike) -> FloatArray:
    try:
        counts = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StabilityRefused("Counts must be whole numbers, one a bin.") from error
    whole = counts.ndim == 1 and bool(np.all(np.isfinite(counts) & (counts == np.floor(counts))))
    if not whole or (counts < 0).any():
        raise StabilityRefused("Counts must be whole numbers of 0 or more, one a bin.")
    if not counts.sum() > 0:
        raise StabilityRefused("Each sample needs at least one row.")
    return counts


def _noise(chance: float, freedom: int, scale: float, comparisons: int) -> float:
    """What the index goes beyond with this chance in any of the comparisons by noise alone."""
    if freedom == 0:
        return 0.0
    each = -np.expm1(np.log1p(-chance) / comparisons)
    return float(scale * chdtri(freedom, each))


def _verdict(index: float, amber: float, red: float) -> Verdict:
    if index > red:
        return Verdict.RED
    return Verdict.AMBER if index > amber else Verdict.STABLE
