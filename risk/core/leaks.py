"""Columns that alone tell good from bad too well: most likely known only after the outcome.

An input leaks when it is written after the fact (a recovery, the date of a charge-off), or when it
repeats a price or a protected attribute under another name. Four signs are looked for, each learnt
on other rows than those it is judged on (five folds), so that chance is not taken for a sign:

1. The AUC of the column alone, with the bad rate of a value's bin as its score (so neither order
   nor kind matters, and a value's absence counts), or of its plain order. It is judged by the lower
   end of its interval: Hanley and McNeil (1982), solved for the AUC that would just allow the one
   found (Newcombe, 2006), which is honest on few rows and at an AUC of 1.
2. Rows that the column calls bad and that nearly all are, such as those with a recovery: they may
   be too few for a high AUC.
3. The same for good ones, such as those with a date of the last payment.
4. Values that follow those of a refused column one to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from risk.core.errors import RiskRefusal
from risk.core.split import stratified_folds
from risk.core.table import BoolArray, Column, FloatArray, IntArray, NumberColumn, Table

# A Gini of .8 from one column. Whole application scorecards with bureau data reach .5 to .7, their
# best single columns .3 to .6, so a fact that was known beforehand doesn't come near.
MOST_AUC = 0.9
# One-sided 95 %.
_Z = 1.6448536269514722
_FOLDS = 5
_BINS = 64
_ROWS_PER_BIN = 20
# Levels of fewer rows share a bin: alone they say nothing that could be checked on other rows.
_RARE_ROWS = 10
# A number in one of so many rows, or more often, has a bin of its own.
_OFTEN = 500
# Rows called bad (good): so large a share of all bad (good) ones, and so many times their odds.
_SHARE_OF_BAD = 0.1
_SHARE_OF_GOOD = 0.5
_TIMES_ODDS = 20.0
_CALLED_BAD = 0.9
_BAD_FOR_SURE = 0.95
# Copies are looked for among so many rows, evenly spaced.
_COPY_ROWS = 20_000
_FEWEST_COPY_ROWS = 50
_COPY_CORRELATION = 0.999


class LikelyLeak(RiskRefusal):
    """A column that alone separates too well to have been known beforehand."""

    code = "RISK_LIKELY_LEAK"


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that likely leaks: its AUC alone, the lower end of the 95 % interval, and why."""

    column: str
    auc: float
    low: float
    words: str


def find_leaks(
    table: Table,
    columns: Sequence[str],
    *,
    most_auc: float = MOST_AUC,
    refused: Sequence[str] = (),
) -> tuple[Leak, ...]:
    """The columns that likely leak the outcome, or repeat a refused column; in the given order.

    Constant and all-missing columns don't. With fewer than five rows of a class nothing is found,
    for nothing can be told. The same table gives the same answer.

    Args:
        table: past applications with outcomes.
        columns: the inputs to be.
        most_auc: stopped when the lower end of a column's AUC lies above.
        refused: price and protected columns, of which an input may be no copy.
    """
    if table.is_bad is None:
        return ()
    is_bad = table.is_bad
    bad = int(is_bad.sum())
    if min(bad, len(is_bad) - bad) < _FOLDS:
        return ()
    fold = stratified_folds(is_bad, folds=_FOLDS, seed=0)
    originals = {name: _sample(table.columns[name]) for name in refused if name in table.columns}
    found = []
    for name in columns:
        column = table.columns[name]
        score = _scores(_bins(column), is_bad, fold)
        auc = max(_auc(score, is_bad), _order_auc(column, is_bad))
        low = lower_auc(auc, bad, len(is_bad) - bad)
        words = _separation(auc, low, most_auc) or _certainty(score, is_bad)
        words = words or _copy(column, originals)
        if words:
            found.append(Leak(name, auc, low, words))
    return tuple(found)


def require_no_leaks(leaks: Sequence[Leak], overrides: Mapping[str, str]) -> Mapping[str, str]:
    """Refuse to train on likely leaks, but those that an officer lets in with a reason.

    Args:
        overrides: the reason by column.

    Returns:
        The reasons that were needed, by column, to be kept with the model.

    Raises:
        LikelyLeak: naming each column without a reason, and how to let it in.
    """
    reasons = {leak.column: overrides.get(leak.column, "").strip() for leak in leaks}
    stopped = [leak for leak in leaks if not reasons[leak.column]]
    if stopped:
        first = stopped[0].column
        said = "; ".join(f"{leak.column} {leak.words}" for leak in stopped)
        raise LikelyLeak(
            f"Likely a leak: {said}. Leave the column out ([set_aside] columns), or, if it is "
            f"known when somebody applies, let it in with a reason that is kept: "
            f'{first} = "reason" under [leaks.override], or --allow {first}=REASON.',
            field=first,
        )
    return reasons


def lower_auc(auc: float, bad: int, good: int) -> float:
    """The least AUC that would still allow the one found, one-sided 95 %.

    Solves ``auc = A + z * se(A)`` for ``A``, with the standard error of Hanley and McNeil (1982).
    """
    low, high = 0.0, auc
    for _ in range(60):
        middle = (low + high) / 2
        if middle + _Z * _standard_error(middle, bad, good) < auc:
            low = middle
        else:
            high = middle
    return low


def _standard_error(auc: float, bad: int, good: int) -> float:
    both_bad = auc / (2 - auc)
    both_good = 2 * auc * auc / (1 + auc)
    square = auc * auc
    variance = auc * (1 - auc) + (bad - 1) * (both_bad - square)
    variance += (good - 1) * (both_good - square)
    return float(np.sqrt(max(variance, 0.0) / (bad * good)))


def _bins(column: Column) -> IntArray:
    """A bin for each row: levels that aren't rare, or quantiles and frequent values; missing."""
    if not isinstance(column, NumberColumn):
        counts = np.bincount(column.codes + 1, minlength=len(column.levels) + 1)
        bin_of = np.where(counts >= _RARE_ROWS, np.arange(len(counts)), len(counts))
        bin_of[0] = 0
        return bin_of[column.codes + 1]
    known = ~np.isnan(column.values)
    distinct, counts = np.unique(column.values[known], return_counts=True)
    bins = np.zeros(len(known), dtype=np.int64)
    if len(distinct):
        size = int(counts.sum())
        count = int(np.clip(size // _ROWS_PER_BIN, 2, _BINS))
        cuts = distinct[np.searchsorted(np.cumsum(counts), np.arange(1, count) / count * size)]
        # An edge at a frequent value and one just below give it a bin of its own: it may be a code.
        often = distinct[counts >= max(_RARE_ROWS, size // _OFTEN)]
        edges = np.unique(np.concatenate([cuts, often, np.nextafter(often, -np.inf)]))
        bins[known] = 1 + np.searchsorted(edges, column.values[known], side="left")
    return bins


def _scores(bins: IntArray, is_bad: BoolArray, fold: IntArray) -> FloatArray:
    """The bad rate of each row's bin in the other folds, drawn to the average by one row."""
    size = int(bins.max()) + 1
    place = bins * _FOLDS + fold
    shape = (size, _FOLDS)
    rows = np.bincount(place, minlength=size * _FOLDS).reshape(shape)
    bad = np.bincount(place[is_bad], minlength=size * _FOLDS).reshape(shape)
    other_rows = rows.sum(axis=1, keepdims=True) - rows
    other_bad = bad.sum(axis=1, keepdims=True) - bad
    rates: FloatArray = (other_bad + float(is_bad.mean())) / (other_rows + 1.0)
    scores: FloatArray = rates.ravel()[place]
    return scores


def _auc(score: FloatArray, is_bad: BoolArray) -> float:
    """The chance that a bad row scores above a good one; ties count half."""
    order = np.argsort(score, kind="stable")
    ordered, bad = score[order], is_bad[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    bad_so_far = np.cumsum(bad)[ends]
    good_so_far = ends + 1 - bad_so_far
    bad_here: IntArray = np.diff(bad_so_far, prepend=0)
    good_here = np.diff(good_so_far, prepend=0)
    wins = float(bad_here @ (good_so_far - good_here / 2))
    return wins / (float(bad_so_far[-1]) * float(good_so_far[-1]))


def _order_auc(column: Column, is_bad: BoolArray) -> float:
    """The AUC of the numbers as they are, in the better direction; missing ones below all."""
    if not isinstance(column, NumberColumn):
        return 0.5
    auc = _auc(np.where(np.isnan(column.values), -np.inf, column.values), is_bad)
    return max(auc, 1 - auc)


def _separation(auc: float, low: float, most_auc: float) -> str:
    if low <= most_auc:
        return ""
    return f"alone separates good from bad with an AUC of {auc:.3f} (at least {low:.3f})"


def _certainty(score: FloatArray, is_bad: BoolArray) -> str:
    """Words on rows that the column alone makes sure of, or none."""
    bad = int(is_bad.sum())
    odds = bad / (len(is_bad) - bad)
    called = score > _CALLED_BAD
    hits, rows = int(is_bad[called].sum()), int(called.sum())
    if hits >= _SHARE_OF_BAD * bad:
        least = _lower_share(hits, rows)
        if least >= _BAD_FOR_SURE and least >= _TIMES_ODDS * odds * (1 - least):
            return f"alone makes sure of {hits} of the {bad} bad ones ({hits} of {rows} rows)"
    called = score < odds / (odds + _TIMES_ODDS)
    hits, rows = int((~is_bad[called]).sum()), int(called.sum())
    if hits >= _SHARE_OF_GOOD * (len(is_bad) - bad):
        most = 1 - _lower_share(hits, rows)
        if most * _TIMES_ODDS <= odds * (1 - most):
            good = len(is_bad) - bad
            return f"alone makes sure of {hits} of the {good} good ones ({hits} of {rows} rows)"
    return ""


def _lower_share(hits: int, rows: int) -> float:
    """The lower end of Wilson's interval of a share, one-sided 95 %."""
    if not rows:
        return 0.0
    share, square = hits / rows, _Z * _Z
    spread = _Z * np.sqrt(share * (1 - share) / rows + square / (4 * rows * rows))
    return float((share + square / (2 * rows) - spread) / (1 + square / rows))


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Evenly spaced rows of a column: places of its values (0 where missing), and their ranks."""

    places: IntArray
    levels: int
    ranks: FloatArray | None


def _sample(column: Column) -> _Sample:
    numeric = isinstance(column, NumberColumn)
    values = column.values if isinstance(column, NumberColumn) else column.codes.astype(np.float64)
    step = max(-(-len(values) // _COPY_ROWS), 1)
    known = np.nan_to_num(values[::step], nan=-np.inf)
    distinct, places = np.unique(known, return_inverse=True)
    ranks = rankdata(known) if numeric and len(distinct) > _BINS else None
    return _Sample(places, len(distinct), ranks)


def _copy(column: Column, originals: Mapping[str, _Sample]) -> str:
    """Words on the refused column that this one follows, or none."""
    if originals:
        sample = _sample(column)
        for name, original in originals.items():
            if _follows(sample, original):
                return f"is a copy of {name}, which is refused"
    return ""


def _follows(sample: _Sample, original: _Sample) -> bool:
    size = len(sample.places)
    if size < _FEWEST_COPY_ROWS or min(sample.levels, original.levels) < 2:
        return False
    if sample.levels == original.levels <= size // 2:
        pairs = np.unique(sample.places * original.levels + original.places)
        if len(pairs) == original.levels:
            return True
    if sample.ranks is None or original.ranks is None:
        return False
    correlation = np.corrcoef(sample.ranks, original.ranks)[0, 1]
    return bool(abs(correlation) >= _COPY_CORRELATION)
