"""Cross-validation of a scorecard: the strength of its penalties, and which columns may bend.

Every choice is judged on log-odds of rows that were not learnt from; directions and bends are
found anew within each fold. Folds start from the fit to all rows and borrow its curvature, so
that one or two Newton steps bring them to their own optimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.special import expit

from risk.core.encoding import Design
from risk.core.fitting import Terms, fit_bounded, penalty, solve_box
from risk.core.scorecard import ScorecardSettings
from risk.core.scorecard_shapes import (
    Shapes,
    bends,
    free_terms,
    replaced,
    shape_terms,
    trends,
)
from risk.core.spec import DataSpec
from risk.core.table import FloatArray, IntArray

# Enough to compare choices: a fiftieth of a unit of log-likelihood over all rows.
_TOLERANCE = 0.02
_FOLD_ROUNDS = 3
# The strength is no longer raised or lowered once it did worse so many times.
_MOST_WORSE = 2
# Text levels may be held more or less strongly than steps.
_TEXT_FACTORS = ((0.25, 0.0625), (4.0, 16.0))
# A bend must promise so many units of log-likelihood on the rows learnt from to be tried, gain a
# standard error and this much on rows not learnt from, and no shape at all this much on top.
_SCREEN, _LEAST_GAIN, _FREE_GAIN = 3.0, 1.0, 2.0


@dataclass(frozen=True, slots=True)
class Fit:
    """One choice fitted to all rows, and to the rows outside each fold.

    ``point`` and each of ``folds`` are parameters; ``odds`` are log-odds of every row by the fit
    that has not seen it, shape ``(n,)``, and ``loss`` their negative log-likelihood.
    """

    strength: float
    text_strength: float
    shapes: Shapes
    fold_shapes: tuple[Shapes, ...]
    point: FloatArray
    folds: tuple[FloatArray, ...]
    odds: FloatArray
    loss: float


@dataclass(frozen=True)
class Search:
    """A design with its outcomes and folds; ``fold`` must ascend from row to row."""

    design: Design
    outcome: FloatArray
    fold: IntArray
    spec: DataSpec
    settings: ScorecardSettings

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """The rows of each fold."""
        ends = np.searchsorted(self.fold, np.arange(int(self.fold[-1]) + 2)).tolist()
        return tuple(slice(*pair) for pair in pairwise(ends))

    @cached_property
    def inside(self) -> tuple[FloatArray, ...]:
        """For each fold, 1 for the rows learnt from."""
        return tuple((self.fold != number).astype(np.float64) for number in range(len(self.slices)))

    def best(self, told: Callable[[int], None]) -> Fit:
        """The choice of least out-of-fold loss; ``told`` after each strength, counted from 1."""
        free, fold_free = self._free()
        shapes = trends(self.design, free, self.spec)
        fold_shapes = tuple(trends(self.design, point, self.spec) for point in fold_free)
        best: Fit | None = None
        start, worse = free, 0
        for done, strength in enumerate(sorted(self.settings.strengths, reverse=True), 1):
            found = self.fit(strength, strength, shapes, fold_shapes, start)
            start = found.point
            told(done)
            if best is None or found.loss < best.loss:
                best, worse = found, 0
            else:
                worse += 1
            if worse == _MOST_WORSE:
                break
        if best is None:
            raise ValueError("no strength")
        return self._text(self._bent(best, free, fold_free))

    def fit(
        self,
        strength: float,
        text_strength: float,
        shapes: Shapes,
        fold_shapes: tuple[Shapes, ...],
        start: FloatArray,
    ) -> Fit:
        """Fit one choice to all rows and outside each fold."""
        terms = self.terms(shapes, strength, text_strength)
        point = fit_bounded(
            self.design,
            self.outcome,
            terms,
            start=start,
            inside=np.ones(len(self.outcome)),
            tolerance=_TOLERANCE,
        )
        grams = self.grams(point)
        whole = sum(grams[1:], grams[0])
        odds = np.empty(len(self.outcome))
        points = []
        for number, rows in enumerate(self.slices):
            found = fit_bounded(
                self.design,
                self.outcome,
                self.terms(fold_shapes[number], strength, text_strength),
                start=point,
                inside=self.inside[number],
                gram=whole - grams[number],
                tolerance=_TOLERANCE,
                most_rounds=_FOLD_ROUNDS,
            )
            odds[rows] = self.design.log_odds(found, rows)
            points.append(found)
        loss = float(self.losses(odds).sum())
        return Fit(strength, text_strength, shapes, fold_shapes, point, tuple(points), odds, loss)

    def final(self, chosen: Fit) -> FloatArray:
        """The parameters of a choice, fitted to all rows to the last digits."""
        return fit_bounded(
            self.design,
            self.outcome,
            self.terms(chosen.shapes, chosen.strength, chosen.text_strength),
            start=chosen.point,
            inside=np.ones(len(self.outcome)),
            tolerance=1e-10,
            exact=True,
        )

    def terms(self, shapes: Shapes, strength: float, text_strength: float) -> Terms:
        """Bounds and penalties of a choice."""
        return shape_terms(self.design, shapes, self.settings, strength, text_strength)

    def losses(self, odds: FloatArray) -> FloatArray:
        """Each row's negative log-likelihood under log-odds, shape ``(n,)``."""
        losses: FloatArray = np.logaddexp(0.0, odds) - self.outcome * odds
        return losses

    def surplus(self, before: FloatArray, after: FloatArray) -> float:
        """What other log-odds gain in log-likelihood, less a standard error of that."""
        better = self.losses(before) - self.losses(after)
        return float(better.sum() - better.std() * np.sqrt(len(better)))

    def grams(self, point: FloatArray) -> list[FloatArray]:
        """Weighted sums of products of bins by fold: those of all others are a difference."""
        chance = expit(self.design.log_odds(point))
        weights = chance * (1.0 - chance)
        return [self.design.gram(weights, rows) for rows in self.slices]

    def _free(self) -> tuple[FloatArray, list[FloatArray]]:
        """Unbounded fits to all rows and outside each fold."""
        terms = free_terms(self.design, self.settings)
        share = self.outcome.mean()
        start = np.zeros(self.design.parameters)
        start[0] = np.log(share / (1.0 - share))
        point = fit_bounded(
            self.design,
            self.outcome,
            terms,
            start=start,
            inside=np.ones(len(self.outcome)),
            tolerance=5 * _TOLERANCE,
        )
        grams = self.grams(point)
        whole = sum(grams[1:], grams[0])
        return point, [
            fit_bounded(
                self.design,
                self.outcome,
                terms,
                start=point,
                inside=inside,
                gram=whole - gram,
                tolerance=5 * _TOLERANCE,
                most_rounds=2,
            )
            for inside, gram in zip(self.inside, grams, strict=True)
        ]

    def _text(self, best: Fit) -> Fit:
        """The same choice with text levels held more or less, where that does clearly better."""
        if all(shape is not None for shape in best.shapes):
            return best
        for factors in _TEXT_FACTORS:
            before = best
            for factor in factors:
                found = self.fit(
                    best.strength,
                    factor * best.strength,
                    best.shapes,
                    best.fold_shapes,
                    best.point,
                )
                if self.surplus(best.odds, found.odds) <= 0.0:
                    break
                best = found
            if best is not before:
                return best
        return best

    def _bent(self, best: Fit, free: FloatArray, fold_free: list[FloatArray]) -> Fit:
        """The same choice with bends in the columns that earn one, where that does better."""
        shapes = bends(self.design, free, self.spec)
        fold_shapes = [bends(self.design, point, self.spec) for point in fold_free]
        places = [place for place, shape in enumerate(shapes) if shape is not None]
        if not places:
            return best
        trial = _Trial(self, best)
        bent, fold_bent = best.shapes, list(best.fold_shapes)
        for place in places:
            once = (shapes[place], [found[place] for found in fold_shapes])
            shape = trial.earned(place, *once)
            if shape is None:
                continue
            loose = not shape.any()
            bent = replaced(bent, place, shape)
            fold_bent = [
                replaced(before, place, shape if loose else found)
                for before, found in zip(fold_bent, once[1], strict=True)
            ]
        if bent is best.shapes:
            return best
        found = self.fit(best.strength, best.text_strength, bent, tuple(fold_bent), best.point)
        return found if found.loss < best.loss else best


class _Trial:
    """What a change of one column's shape would gain, by the quadratic model at a fit."""

    def __init__(self, search: Search, fit: Fit) -> None:
        self._search, self._fit = search, fit
        design, outcome = search.design, search.outcome
        grams = search.grams(fit.point)
        whole = sum(grams[1:], grams[0])
        self._curvature = design.curvature(whole)
        self._slope = design.sums(expit(design.log_odds(fit.point)) - outcome)
        self._fold_curvature = [design.curvature(whole - gram) for gram in grams]
        self._fold_slope = [
            design.sums(inside * (expit(design.log_odds(point)) - outcome))
            for inside, point in zip(search.inside, fit.folds, strict=True)
        ]

    def earned(
        self, place: int, shape: FloatArray | None, folds: list[FloatArray | None]
    ) -> FloatArray | None:
        """The bend of a column, or no shape at all (zeros), where that gains; none where not.

        Args:
            place: of the column among the blocks.
            shape, folds: its bend by all rows, and by the rows outside each fold.
        """
        if shape is None:
            return None
        flat = np.zeros_like(shape)
        bent = self._gain(place, shape, folds)
        loose = self._gain(place, flat, [flat] * len(folds)) - _FREE_GAIN
        if max(bent, loose) <= 0.0:
            return None
        return shape if bent >= loose else flat

    def _gain(self, place: int, shape: FloatArray, folds: list[FloatArray | None]) -> float:
        """Out-of-fold log-likelihood gained over what is required; 0 or less is no gain."""
        fit, search = self._fit, self._search
        terms = self._terms(fit.shapes, place, shape)
        _, promised = _moved(self._curvature, self._slope, fit.point, terms)
        before = search.terms(fit.shapes, fit.strength, fit.text_strength)
        saved = penalty(fit.point, before) - penalty(fit.point, terms)
        if promised + saved < _SCREEN:
            return 0.0
        odds = np.empty_like(fit.odds)
        for number, rows in enumerate(search.slices):
            point, _ = _moved(
                self._fold_curvature[number],
                self._fold_slope[number],
                fit.folds[number],
                self._terms(fit.fold_shapes[number], place, folds[number]),
            )
            odds[rows] = search.design.log_odds(point, rows)
        return search.surplus(fit.odds, odds) - _LEAST_GAIN

    def _terms(self, shapes: Shapes, place: int, shape: FloatArray | None) -> Terms:
        fit = self._fit
        changed = replaced(shapes, place, shape)
        return self._search.terms(changed, fit.strength, fit.text_strength)


def _moved(
    curvature: FloatArray, slope: FloatArray, point: FloatArray, terms: Terms
) -> tuple[FloatArray, float]:
    """The best point under other terms by the quadratic model, and what it promises."""
    bowl = curvature + np.diag(terms.ridge)
    gradient = slope + terms.ridge * point + terms.lasso
    inside = np.clip(point, terms.lower, terms.upper)
    there = solve_box(bowl, gradient + np.einsum("ij,j->i", bowl, inside - point), inside, terms)
    step = there - point
    promised = -float((step * (gradient + 0.5 * np.einsum("ij,j->i", bowl, step))).sum())
    return there, promised
