"""The distribution of a portfolio's losses under a one-factor Gaussian model, exactly.

Exposure ``i`` defaults before its maturity with chance ``pd[i]`` and then loses ``loss[i]``. Given
a common factor z, standard normal, exposures default independently with chance

    p_i(z) = Phi((Phi^-1(pd_i) - sqrt(rho) z) / sqrt(1 - rho))          (Vasicek, 1987)

so the loss given z is a sum of independent terms, and the loss a mixture of these sums over z.

**Given z.** With losses as whole steps k of a grid, the generating function of the sum is the
product over exposures of 1 - p + p x**k. Its logarithm has the series

    log(1 - p) + sum over m >= 1 of (-1)**(m + 1) / m * (p / (1 - p))**m * x**(m k)

so the exponents of all exposures are added up on the grid, and one Fourier transform, an
exponential and one transform back give the probabilities. For p above a half the same holds with
1 - p and x**-k. Where p is near a half the series is slow, and the factors are multiplied one by
one, on the frequencies that still matter. The grid of each z covers all but a bounded rest of the
mass (Bennett's inequality above, the sub-Gaussian one below).

**Over z.** The trapezoidal rule, whose error for a function as smooth as a Gaussian of width s
falls as exp(-2 (pi s / h)**2) in the spacing h (Trefethen and Weideman, 2014). The conditional
distribution function changes over a width of (sd of the loss given z) / (slope of its mean), which
the spacing follows.

**Grid.** 10p steps. Exposures are put in the order of their PD, and the running sum of their losses
is rounded, half to even: any run of them keeps its total within a step. As p(z) rises with the PD,
the mean loss given any z is then off by less than a step times the largest p(z), and so is the
mean; losses that are multiples of 10p stay as they are. A portfolio of more than
:data:`LONGEST_GRID` steps gets steps twice, four times ... as long.

Chances are right to about 1e-7, and to 1e-12 without correlation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from risk.core.errors import RiskRefusal
from risk.core.expectation_given import conditional_losses
from risk.core.table import FloatArray, IntArray

GRID = 10  # pence
LONGEST_GRID = 1 << 18
MOST_EXPOSURES = 100_000
LARGEST_LOSS = 10**12  # pence, of all exposures together
_MOST_NODES = 2_001
_FURTHEST = 5.7  # beyond that the factor has a chance of 1e-8
_SPACING = 1.2
_WIDEST = 0.5
_ROUNDING = 1e-9  # by which a chance may fall short of a quantile's share
_REST = 1e-8  # what one value of the factor may lack, of all the mass,
_REST_ALONE = 1e-14  # and where there is no common factor


class ExpectationRefused(RiskRefusal):
    """Chances, losses or a correlation that no distribution can be made from."""

    code = "RISK_EXPECTATION_REFUSED"


@dataclass(frozen=True, slots=True, eq=False)
class LossDistribution:
    """How likely each loss is.

    Attributes:
        grid: step in pence.
        probabilities: chance of a loss of ``k * grid`` pence, shape ``(m,)``; they sum to 1.
        mean: expected loss in pence, the sum of PD times loss, before any rounding to the grid.
    """

    grid: int
    probabilities: FloatArray
    mean: float

    @property
    def losses(self) -> IntArray:
        """The losses that the probabilities are of, in pence, shape ``(m,)``."""
        return np.arange(len(self.probabilities), dtype=np.int64) * self.grid

    @property
    def deviation(self) -> float:
        """Standard deviation of the loss in pence."""
        losses = self.losses.astype(np.float64)
        centre = float(losses @ self.probabilities)
        return float(np.sqrt((losses - centre) ** 2 @ self.probabilities))

    def quantile(self, share: float) -> int:
        """The least loss in pence that is not exceeded with a chance of ``share`` or more.

        Raises:
            ExpectationRefused: for a share outside 0 to 1.
        """
        if not 0 <= share <= 1:
            raise ExpectationRefused("A quantile's share must lie from 0 to 1.", field="share")
        reached = np.cumsum(self.probabilities)
        place = int(np.searchsorted(reached, share - _ROUNDING, side="left"))
        return min(place, len(reached) - 1) * self.grid

    def chance_above(self, amount: float) -> float:
        """Chance of a loss of more than ``amount`` pence.

        Raises:
            ExpectationRefused: for an amount that is not a number.
        """
        if np.isnan(amount):
            raise ExpectationRefused("An amount must be a number of pence.", field="amount")
        if amount < 0:
            return 1.0
        if amount >= len(self.probabilities) * self.grid:
            return 0.0
        return float(self.probabilities[int(amount // self.grid) + 1 :].sum())


def loss_distribution(
    *, pd: npt.ArrayLike, loss: npt.ArrayLike, correlation: float
) -> LossDistribution:
    """Distribution of the loss of a portfolio under the one-factor Gaussian model.

    Args:
        pd: chance of each exposure to default before its maturity, 0 to 1, shape ``(n,)``.
        loss: what it loses then, whole pence, shape ``(n,)``.
        correlation: of any two borrowers' assets, from 0 to below 1.

    Raises:
        ExpectationRefused: for chances outside 0 to 1, losses below nothing or not whole, a
            correlation outside 0 to below 1, nothing at all, lengths that differ, more than
            :data:`MOST_EXPOSURES` exposures or :data:`LARGEST_LOSS` pence.
    """
    chances, losses = checked(pd, loss, correlation)
    mean = float(chances @ losses)
    matters = (chances > 0) & (losses > 0)
    chances, losses = chances[matters], losses[matters]
    order = np.lexsort((losses, chances))
    chances, losses = chances[order], losses[order]
    grid = GRID
    while losses.sum() > grid * LONGEST_GRID:
        grid *= 2
    steps = to_steps(losses, grid)
    chances, steps = chances[steps > 0], steps[steps > 0]
    if not len(steps):
        return LossDistribution(grid, np.ones(1), mean)
    # Where all losses are multiples of some step, the empty ones between are not computed.
    unit = int(np.gcd.reduce(steps))
    found = _mixture(chances, steps // unit, correlation)
    spread = np.zeros((len(found) - 1) * unit + 1)
    spread[::unit] = found
    return LossDistribution(grid, spread, mean)


def to_steps(losses: IntArray, grid: int) -> IntArray:
    """Pence as whole steps of ``grid``, by rounding their running sum; in the order given."""
    reached = np.rint(np.cumsum(losses) / grid).astype(np.int64)
    return np.diff(reached, prepend=0)


def checked(
    pd: npt.ArrayLike, loss: npt.ArrayLike, correlation: float
) -> tuple[FloatArray, IntArray]:
    """Chances and losses as arrays, or a refusal; see :func:`loss_distribution`."""
    chances = np.asarray(pd, dtype=np.float64)
    given = np.asarray(loss)
    if chances.ndim != 1 or chances.shape != given.shape:
        raise ExpectationRefused("Chances and losses must be flat, one for one.", field="loss")
    if not len(chances):
        raise ExpectationRefused("There is nothing that could default.", field="pd")
    if len(chances) > MOST_EXPOSURES:
        raise ExpectationRefused(f"More than {MOST_EXPOSURES:,} exposures.", field="pd")
    check_values(chances, given)
    check_correlation(correlation)
    losses = given.astype(np.int64)
    if float(given.sum(dtype=np.float64)) > LARGEST_LOSS:
        raise ExpectationRefused("The losses are beyond what is handled exactly.", field="loss")
    return chances, losses


def check_correlation(correlation: float) -> None:
    """Refuse a correlation outside 0 to below 1.

    Raises:
        ExpectationRefused.
    """
    if not 0 <= correlation < 1:
        raise ExpectationRefused(
            "A correlation must be at least 0 and below 1.", field="correlation"
        )


def check_values(chances: FloatArray, losses: npt.NDArray[Any]) -> None:
    """Refuse chances outside 0 to 1, and losses that are not whole pence of 0 or more.

    Raises:
        ExpectationRefused.
    """
    if not ((chances >= 0) & (chances <= 1)).all():
        raise ExpectationRefused("A chance of default must lie from 0 to 1.", field="pd")
    if losses.dtype.kind not in "iu":
        raise ExpectationRefused("Losses must be whole pence.", field="loss")
    if (losses < 0).any():
        raise ExpectationRefused("A loss can't be below nothing.", field="loss")


def chances_given(pd: FloatArray, nodes: FloatArray, correlation: float) -> FloatArray:
    """p(z) of each exposure at each value of the factor, shape ``(nodes, n)``."""
    threshold = ndtri(pd)
    scale = 1 / np.sqrt(1 - correlation)
    given: FloatArray = ndtr(
        threshold * scale - np.sqrt(correlation) * scale * nodes[:, np.newaxis]
    )
    return given


def node_spacing(
    pd: FloatArray, losses: IntArray, correlation: float, furthest: float = _FURTHEST
) -> float:
    """Distance between values of a common factor (``correlation`` above 0) that is fine enough."""
    look = np.linspace(-furthest, furthest, 28)
    given = chances_given(pd, look, correlation)
    size = losses.astype(np.float64)
    deviation = np.sqrt((given * (1 - given)) @ size**2)
    # The slope of the mean from differences: further out the density itself vanishes.
    slope = np.abs(np.diff(given @ size)) / (look[1] - look[0])
    moves = slope > 1e-12 * size.sum()
    width = np.maximum(deviation[1:], deviation[:-1])[moves] / slope[moves]
    finest = 2 * furthest / (_MOST_NODES - 1)
    return float(np.clip(_SPACING * width.min(initial=1.0), finest, _WIDEST))


def factor_nodes(spacing: float, furthest: float = _FURTHEST) -> tuple[FloatArray, FloatArray]:
    """Values of the common factor and their weights, which sum to 1."""
    nodes = np.linspace(-furthest, furthest, 2 * int(np.ceil(furthest / spacing)) + 1)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


def _mixture(pd: FloatArray, steps: IntArray, correlation: float) -> FloatArray:
    """Probabilities of the total of ``steps``, from nothing on."""
    nodes, weights, rest = np.zeros(1), np.ones(1), _REST_ALONE
    if correlation > 0:
        nodes, weights = factor_nodes(node_spacing(pd, steps, correlation))
        rest = _REST
    given = chances_given(pd, nodes, correlation)
    found = conditional_losses(given, steps, weights, rest)
    found = np.maximum(found, 0.0)
    last = int(np.flatnonzero(found)[-1])
    found = found[: last + 1]
    mixed: FloatArray = found / found.sum()
    return mixed
