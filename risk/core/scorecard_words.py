"""What is said of points lost: one plain sentence for each bin of a column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from risk.core.encoding import Coding, TextCoding
from risk.core.spec import DataSpec


def sentences(
    coding: Coding, values: Sequence[float], average: float, spec: DataSpec
) -> tuple[str, ...]:
    """A sentence a bin, to be said where it costs points.

    Args:
        values: log-odds of bad of each bin.
        average: of them, in training.
    """
    column = spec.column(coding.column)
    unknown = f"The {column.words} is not known."
    if isinstance(coding, TextCoding):
        said = [
            f"The {column.words}: {column.levels.get(level, level)}." for level in coding.levels
        ]
        return (*said, f"The {column.words} is an unusual one.", unknown)
    known = len(coding.edges) + 1
    sides = _sides(np.array(values[:known]), average)
    return (
        *[f"The {column.words} is {side}." for side in sides],
        *[f"The {column.words} is unusual."] * len(coding.apart),
        unknown,
    )


def _sides(values: np.ndarray[tuple[int], np.dtype[np.float64]], average: float) -> list[str]:
    """Of each bin, whether it is high, low or unusual beside the bins that cost nothing.

    Where every known value costs something (an unknown one costs less), the bins that cost less
    than this one are looked at; where there are none, it is unusual.
    """
    place = np.arange(len(values))
    found = []
    for here, value in enumerate(values.tolist()):
        better = place[values <= average]
        if not len(better):
            better = place[values < value]
        if len(better) and (better < here).all():
            found.append("high")
        elif len(better) and (better > here).all():
            found.append("low")
        else:
            found.append("unusual")
    return found
