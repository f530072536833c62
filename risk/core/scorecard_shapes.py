"""Which way each numeric column moves the risk: signs that its steps may have, and penalties.

A shape has a sign for each step: +1 where risk may only rise, -1 where it may only fall, 0 where
it may do either. A column rises or falls as a whole unless it has earned a bend
(:mod:`risk.core.scorecard_search`).
"""

from __future__ import annotations

import numpy as np

from risk.core.encoding import Block, Design, NumberCoding
from risk.core.fitting import Terms
from risk.core.scorecard import ScorecardSettings
from risk.core.spec import DataSpec, Direction
from risk.core.table import FloatArray

Shapes = tuple[FloatArray | None, ...]

_SIGN = {Direction.RISING: 1.0, Direction.FALLING: -1.0}
# Ridge of the steps in the fit that only finds directions.
_DIRECTION_RIDGE = 30.0


def free_terms(design: Design, settings: ScorecardSettings) -> Terms:
    """No bounds: the fit in which directions show."""
    size = design.parameters
    ridge = _ridge(design, _DIRECTION_RIDGE, settings.text_ridge)
    free = np.full(size, np.inf)
    return Terms(ridge, np.zeros(size), -free, free)


def shape_terms(
    design: Design,
    shapes: Shapes,
    settings: ScorecardSettings,
    strength: float,
    text_strength: float,
) -> Terms:
    """Bounds that keep ``shapes``, and penalties of the strengths given."""
    size = design.parameters
    sign = np.zeros(size)
    for block, shape in zip(design.blocks, shapes, strict=True):
        if shape is not None:
            sign[block.steps] = shape
    ridge = _ridge(design, settings.ridge * strength, settings.text_ridge * text_strength)
    lower = np.where(sign > 0, 0.0, -np.inf)
    upper = np.where(sign < 0, 0.0, np.inf)
    return Terms(ridge, settings.lasso * strength * sign, lower, upper)


def _ridge(design: Design, numbers: float, text: float) -> FloatArray:
    ridge = np.full(design.parameters, numbers)
    for block in design.blocks:
        if not isinstance(block.coding, NumberCoding):
            ridge[block.parameters] = text
    ridge[0] = 0.0
    return ridge


def trends(design: Design, parameters: FloatArray, spec: DataSpec) -> Shapes:
    """Each numeric column's direction: imposed, or that of its effect in an unbounded fit."""
    effect = (design.effects @ parameters)[1:]
    found: list[FloatArray | None] = []
    for block in design.blocks:
        if not isinstance(block.coding, NumberCoding):
            found.append(None)
            continue
        imposed = spec.column(block.coding.column).direction
        known = _known(block)
        sign = _SIGN[imposed] if imposed else _trend(effect[known], design.counts[known])
        found.append(np.full(len(block.coding.edges), sign))
    return tuple(found)


def _known(block: Block) -> slice:
    """Where the bins between a numeric column's edges lie."""
    steps = block.steps
    return slice(block.bins.start, block.bins.start + steps.stop - steps.start + 1)


def _trend(effect: FloatArray, counts: FloatArray) -> float:
    """Whether the effect rises over its bins, by covariance with the bin's place."""
    place = np.arange(len(effect), dtype=np.float64)
    if counts.sum() > 0:
        place -= (counts * place).sum() / counts.sum()
    return 1.0 if (counts * place * effect).sum() >= 0 else -1.0


def bends(design: Design, parameters: FloatArray, spec: DataSpec) -> Shapes:
    """For each column free to bend, the valley or peak that an unbounded fit comes closest to."""
    effect = (design.effects @ parameters)[1:]
    return tuple(
        _bend(effect[_known(block)]) if may_bend(block, spec) else None for block in design.blocks
    )


def may_bend(block: Block, spec: DataSpec) -> bool:
    """Whether a column is numeric, has room to bend, and has no direction imposed."""
    return (
        isinstance(block.coding, NumberCoding)
        and len(block.coding.edges) > 1
        and spec.column(block.coding.column).direction is None
    )


def _bend(effect: FloatArray) -> FloatArray:
    """The signs, turning once, against which the effect moves least."""
    step = np.diff(effect)
    size = len(step)
    shapes = [
        first * np.where(np.arange(size) < turn, 1.0, -1.0)
        for first in (-1.0, 1.0)
        for turn in range(1, size)
    ]
    return min(shapes, key=lambda sign: float(np.maximum(-sign * step, 0.0).sum()))


def direction_of(shape: FloatArray | None) -> Direction | None:
    """The direction of a column that only rises or only falls."""
    if shape is None or not len(shape) or (shape != shape[0]).any() or shape[0] == 0:
        return None
    return Direction.RISING if shape[0] > 0 else Direction.FALLING


def replaced(shapes: Shapes, place: int, shape: FloatArray | None) -> Shapes:
    """The same shapes but for that of the column at ``place``."""
    return (*shapes[:place], shape, *shapes[place + 1 :])
