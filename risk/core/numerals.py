"""Numbers as people and spreadsheets write them: plain, in thousands, as money or percent."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DECIMAL_MARKS = (".", ",")

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
_DRESSED = re.compile(
    r"(?P<before>[+-]?)(?:[$£€] ?)?(?P<after>[+-]?)"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+\.?\d*|\.\d+) ?%?",
    re.ASCII,
)
# Every text of these characters that float() takes is a plain number.
_NOT_PLAIN = re.compile(r"[^0-9+\-.eE\n]")
_SWAPPED = str.maketrans(".,", ",.")


def number_of(text: str, decimal: str = ".") -> float | None:
    """The number that a trimmed text tells, none when it is a word.

    ``1234.5``, ``1.2345e3``, ``1,234.50``, ``£1,234.50`` and ``13.5%`` (which is 13.5) are numbers,
    ``inf`` is infinite. With a ``decimal`` comma, comma and point change places.
    """
    if decimal == ",":
        text = text.translate(_SWAPPED)
    if _PLAIN.fullmatch(text) or _INFINITE.fullmatch(text):
        return float(text)
    dressed = _DRESSED.fullmatch(text)
    if dressed is None or (dressed["before"] and dressed["after"]):
        return None
    return float(dressed["before"] + dressed["after"] + dressed["digits"].replace(",", ""))


def numbers_of(
    texts: Sequence[str], decimal: str = "."
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The numbers that texts tell, and which of them are numbers, each of shape ``(n,)``.

    A word's value is NaN. The same as :func:`number_of` for each text, only faster.
    """
    if decimal == "." and not _NOT_PLAIN.search("\n".join(texts)):
        try:
            values = np.array(list(map(float, texts)), dtype=np.float64)
        except ValueError:
            pass
        else:
            return values, np.ones(len(texts), dtype=np.bool_)
    found = [number_of(text, decimal) for text in texts]
    is_number = np.array([value is not None for value in found], dtype=np.bool_)
    return np.array([np.nan if value is None else value for value in found]), is_number
