"""Sums of independent losses: the inner half of :mod:`risk.core.expectation`.

Rows are values of the common factor. Rows next to each other share a window of the grid, so that
their spectra can be added up before the one transform back.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft

from risk.core.table import BoolArray, FloatArray, IntArray

ComplexArray = npt.NDArray[np.complex128]

_SLOW = 0.4  # chances from here to 1 less this are multiplied one by one
_BENNETT_ROUNDS = 8
_SHARING = 5  # rows that share a window
_SURE = 1.2  # defaults to expect, over the logarithm of the rest: few frequencies matter
_FEW = 1_000  # is so many frequencies at most
_AT_ONCE = 8
_ODDS_CLASSES = (0.02, 0.06, 0.15, 0.35)
_ORDERS = np.arange(1, 81, dtype=np.int64)
_COEFFICIENTS = np.where(_ORDERS % 2 == 1, 1.0, -1.0) / _ORDERS


def conditional_losses(
    given: FloatArray, steps: IntArray, weights: FloatArray, rest: float
) -> FloatArray:
    """Mixture of the distributions of the total, one a row of chances.

    Args:
        given: chance of each exposure to default, shape ``(nodes, n)``; columns by rising chance.
        steps: what it loses then, whole steps of 1 or more, shape ``(n,)``.
        weights: of the rows, summing to 1, shape ``(nodes,)``.
        rest: what one row may lack, of all the mass.

    Returns:
        Probabilities of 0, 1, 2, ... steps, up to the furthest window.
    """
    lowest, highest = _windows(given, steps, weights, rest)
    mixed = np.zeros(int(highest.max()) + 1)
    rests = np.minimum(rest / weights, 0.1)
    defaults = (given * (1 - given)).sum(axis=1)
    smooth = defaults > -_SURE * np.log(rests)
    for rows in _neighbours(smooth):
        low, high = int(lowest[rows].min()), int(highest[rows].max())
        length = next_fast_len(high - low + 1, real=True)
        chosen = (given[rows], steps, weights[rows], rests[rows], length)
        spectrum = _few_frequencies(*chosen) if smooth[rows.start] else None
        if spectrum is None:
            spectrum = _all_frequencies(*chosen)
        found = irfft(spectrum, n=length)
        place = low % length
        first = min(high - low + 1, length - place)
        mixed[low : low + first] += found[place : place + first]
        mixed[low + first : high + 1] += found[: high - low + 1 - first]
    return mixed


def _neighbours(smooth: BoolArray) -> Iterator[slice]:
    """Runs of up to ``_SHARING`` rows of one kind."""
    changes = np.flatnonzero(np.diff(smooth)) + 1
    for first, last in pairwise((0, *changes.tolist(), len(smooth))):
        for start in range(first, last, _SHARING):
            yield slice(start, min(start + _SHARING, last))


def _windows(
    given: FloatArray, steps: IntArray, weights: FloatArray, rest: float
) -> tuple[IntArray, IntArray]:
    """First and last step of each row's window; outside lies at most ``rest`` by weight.

    Above: P(L - mean >= t) <= exp(-V / b**2 h(b t / V)) with h(x) = (1 + x) log(1 + x) - x, the
    variance V and the largest loss b (Bennett, 1962). Newton's steps from Bernstein's bound come
    down on the root and never pass it. Below: P(L - mean <= -t) <= exp(-t**2 / (2 E sum X**2)).
    """
    size = steps.astype(np.float64)
    mean, square = given @ size, given @ size**2
    log_rest = np.log(np.maximum(2 * weights / rest, 2.0))
    deepest = np.sqrt(2 * square * log_rest)
    high = _highest(mean, (given * (1 - given)) @ size**2, size.max(), log_rest)
    low = np.maximum(np.floor(mean - deepest), 0)
    high = np.minimum(np.ceil(high), size.sum())
    return low.astype(np.int64), np.maximum(high, low).astype(np.int64)


def highest_losses(
    mean: FloatArray, square: FloatArray, largest: IntArray, total: IntArray, log_rest: FloatArray
) -> FloatArray:
    """The loss that each portfolio hardly exceeds, over all values of the factor.

    Args:
        mean, square: sums of p times loss, and of p times its square, ``(portfolios, nodes)``.
        largest, total: of the losses of each portfolio, ``(portfolios,)``.
        log_rest: minus the logarithm of what may exceed it at each value, ``(nodes,)``.
    """
    high = _highest(mean, square, largest[:, np.newaxis].astype(np.float64), log_rest)
    bounded: FloatArray = np.minimum(high.max(axis=1), total)
    return bounded


def _highest(
    mean: FloatArray, variance: FloatArray, largest: FloatArray, log_rest: FloatArray
) -> FloatArray:
    variance = np.maximum(variance, 1e-30)
    third = largest * log_rest / 3
    x = (third + np.sqrt(third**2 + 2 * variance * log_rest)) * largest / variance
    aim = log_rest * largest**2 / variance
    for _ in range(_BENNETT_ROUNDS):
        grown = np.log1p(x)
        x = x - np.maximum((1 + x) * grown - x - aim, 0) / grown
    highest: FloatArray = mean + x * variance / largest
    return highest


def _few_frequencies(
    given: FloatArray, steps: IntArray, weights: FloatArray, rests: FloatArray, length: int
) -> ComplexArray | None:
    """Spectrum of the mixture of rows, where many defaults leave few frequencies; else none.

    The logarithm of a factor's magnitude is at most -p (1 - p) (1 - cos(t k)). With the least
    p (1 - p) of each exposure among the rows one transform bounds all rows at all frequencies;
    the factors are multiplied where the bound leaves anything.
    """
    least = (given * (1 - given)).min(axis=0)
    bound = least.sum() - rfft(np.bincount(steps % length, least, length)).real
    left = np.flatnonzero(bound < -np.log(rests.min()))
    if len(left) > _FEW:
        return None
    turns = steps[:, np.newaxis] * left
    turns -= turns // length * length
    factors = _turned(turns, length) - 1
    spectrum = np.zeros(length // 2 + 1, dtype=np.complex128)
    for chances, weight, rest in zip(given, weights.tolist(), rests.tolist(), strict=True):
        own = bound[left] < -np.log(rest)
        values = factors[:, own]
        values *= chances[:, np.newaxis]
        values += 1
        spectrum[left[own]] += weight * values.prod(axis=0)
    return spectrum


def _all_frequencies(
    given: FloatArray, steps: IntArray, weights: FloatArray, rests: FloatArray, length: int
) -> ComplexArray:
    """Spectrum of the mixture of rows, by the series of the logarithm."""
    slow = (given > _SLOW) & (given < 1 - _SLOW)
    on_grid = np.empty((len(given), length))
    for row, (chances, apart, rest) in enumerate(zip(given, slow, rests.tolist(), strict=True)):
        quick = ~apart if apart.any() else slice(None)
        on_grid[row] = _series(chances[quick], steps[quick], length, rest)
    logarithms = rfft(on_grid)
    mixed = np.zeros(length // 2 + 1, dtype=np.complex128)
    for row, (chances, apart, rest) in enumerate(zip(given, slow, rests.tolist(), strict=True)):
        often = chances >= 1 - _SLOW
        rare = np.where(often, 1 - chances, chances)[~apart]
        spectrum = _exponential(
            logarithms[row], float(np.log1p(-rare).sum()), int(steps[often].sum()), length, rest
        )
        if apart.any():
            _multiply(spectrum, chances[apart], steps[apart], length, rest)
        spectrum *= weights[row]
        mixed += spectrum
    return mixed


def _series(chances: FloatArray, steps: IntArray, length: int, rest: float) -> FloatArray:
    """Exponents of the generating function, added up on the grid, shape ``(length,)``.

    Without its constant, and without the loss of what surely defaults.
    """
    often = chances > 0.5
    some = bool(often.any())
    rare = np.where(often, 1 - chances, chances) if some else chances
    ways = np.where(often, -steps, steps) if some else steps
    # Exposures of like odds together, so that few need many terms; they come by rising chance.
    order = np.argsort(rare, kind="stable") if some else slice(None)
    odds, ways = (rare / (1 - rare))[order], ways[order]
    on_grid = np.zeros(length)
    edges = np.searchsorted(odds, _ODDS_CLASSES)
    for first, last in pairwise((0, *edges.tolist(), len(odds))):
        if first == last or odds[last - 1] == 0:
            continue
        wanted = np.log(rest / len(odds)) / np.log(odds[last - 1])
        terms = int(np.clip(np.ceil(wanted), 1, len(_ORDERS)))
        powers: FloatArray = np.cumprod(
            np.broadcast_to(odds[first:last], (terms, last - first)), axis=0, dtype=np.float64
        )
        powers *= _COEFFICIENTS[:terms, np.newaxis]
        places = _ORDERS[:terms, np.newaxis] * ways[first:last]
        places -= places // length * length
        on_grid += np.bincount(places.ravel(), powers.ravel(), length)
    return on_grid


def _exponential(
    logarithm: ComplexArray, log_scale: float, moved: int, length: int, rest: float
) -> ComplexArray:
    """The spectrum of a total that is ``moved`` steps on, and nothing where next to nothing."""
    spectrum = np.zeros(len(logarithm), dtype=np.complex128)
    height = logarithm.real + log_scale
    left: slice | IntArray = slice(None)
    if float(height.min()) < np.log(rest):
        left = np.flatnonzero(height > np.log(rest))
    size = np.exp(height[left])
    angle = logarithm.imag[left]
    if moved:
        turns = np.arange(len(logarithm))[left] * (moved % length)
        angle = angle - turns % length * (2 * np.pi / length)
    spectrum.real[left] = size * np.cos(angle)
    spectrum.imag[left] = size * np.sin(angle)
    return spectrum


def _multiply(
    spectrum: ComplexArray, chances: FloatArray, steps: IntArray, length: int, rest: float
) -> None:
    """Multiply factors 1 - p + p x**k into ``spectrum``, where enough is left of it."""
    circle = _turned(np.arange(length), length)
    left = np.flatnonzero(np.abs(spectrum) > rest)
    values = spectrum[left]
    spectrum[:] = 0
    for first in range(0, len(chances), _AT_ONCE):
        some = chances[first : first + _AT_ONCE, np.newaxis]
        turns = steps[first : first + _AT_ONCE, np.newaxis] * left
        turns -= turns // length * length
        values = values * (some * circle[turns] + (1 - some)).prod(axis=0)
        keep = np.abs(values) > rest
        left, values = left[keep], values[keep]
    spectrum[left] = values


def _turned(turns: IntArray, length: int) -> ComplexArray:
    """exp(-2 pi i turns / length)."""
    angle = turns * (-2 * np.pi / length)
    turned = np.empty(angle.shape, dtype=np.complex128)
    turned.real = np.cos(angle)
    turned.imag = np.sin(angle)
    return turned
