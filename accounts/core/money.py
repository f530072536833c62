"""Money as whole pence: the one parser, the one rounding function and the one splitter.

Amounts are ``int`` (or ``int64`` arrays) in pence everywhere inside. Floats of scipy and pandas
become money only through :func:`round_pence`, with a named mode.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

import numpy as np
import numpy.typing as npt

from accounts.core.errors import AmountRefused

Pence = int
PenceArray = npt.NDArray[np.int64]

CURRENCY = "GBP"
# A billion pounds: far above any real balance, far below the int64 limit even when summed.
LARGEST_PENCE = 100_000_000_000
_DECIMAL = re.compile(r"^(-?)(\d{1,10})(?:\.(\d{1,2}))?$", re.ASCII)


class Rounding(Enum):
    """How a fraction of a penny becomes whole."""

    DOWN = "down"
    UP = "up"
    HALF_EVEN = "half_even"


def round_pence(value: float, mode: Rounding) -> Pence:
    """Round ``value`` (pence, may be fractional) to whole pence.

    Raises:
        AmountRefused: when the value is not finite or beyond :data:`LARGEST_PENCE`.
    """
    if not np.isfinite(value) or abs(value) > LARGEST_PENCE:
        raise AmountRefused(f"{value} is not an amount of money.")
    rounded = {Rounding.DOWN: np.floor, Rounding.UP: np.ceil, Rounding.HALF_EVEN: np.rint}[mode](
        value
    )
    return int(rounded)


def pence_from_text(text: str, *, field: str | None = None) -> Pence:
    """Read a decimal string in pounds (``"1000"``, ``"10.5"``, ``"10.00"``) as pence.

    Raises:
        AmountRefused: for anything else, including a third decimal, exponents and thousands marks.
    """
    match = _DECIMAL.match(text.strip())
    if match is None:
        raise AmountRefused(
            f"'{text}' is not an amount: write pounds with at most two decimals, such as 10.00.",
            field=field,
        )
    sign, pounds, fraction = match.groups()
    pence = int(pounds) * 100 + int((fraction or "").ljust(2, "0"))
    if pence > LARGEST_PENCE:
        raise AmountRefused(f"'{text}' is beyond the largest amount handled.", field=field)
    return -pence if sign else pence


def text_from_pence(pence: Pence) -> str:
    """Write pence as a decimal string in pounds with two decimals (``1050`` is ``"10.50"``)."""
    pounds, rest = divmod(abs(int(pence)), 100)
    return f"{'-' if pence < 0 else ''}{pounds}.{rest:02d}"


def split(amount: Pence, weights: Sequence[int] | PenceArray) -> PenceArray:
    """Split ``amount`` over integer ``weights`` by largest remainder.

    Each share is within a penny of ``amount * weight / sum(weights)``; ties go to the earlier
    position, so the result is the same on every run. Exact for any size (Python integers).

    Args:
        amount: pence, not negative.
        weights: one non-negative integer a share, not all zero.

    Returns:
        ``int64`` array of pence, shape ``(len(weights),)``, whose sum is ``amount``.

    Raises:
        AmountRefused: for a negative amount, a negative weight, or weights that sum to nothing.
    """
    whole = [int(weight) for weight in weights]
    total = sum(whole)
    if amount < 0 or total <= 0 or min(whole) < 0:
        raise AmountRefused("An amount can only be split over weights that sum to more than zero.")
    shares = [amount * weight // total for weight in whole]
    left = amount - sum(shares)
    by_remainder = sorted(
        range(len(whole)), key=lambda place: (-(amount * whole[place] % total), place)
    )
    for place in by_remainder[:left]:
        shares[place] += 1
    if sum(shares) != amount:
        raise AssertionError("the splitter lost a penny")
    return np.array(shares, dtype=np.int64)
