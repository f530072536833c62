"""Scorecards of others: one JSON command a line in, one JSON answer a line out.

Run by the interpreter of the peers' virtual environment, which has nothing of ours. A table has
``columns`` (numbers or words, null where missing) and ``outcome`` (1 for bad); ``training`` and
``holdout`` are places of rows.
"""

# ruff: noqa: PLC0415 - each peer is imported by the method that uses it, as each takes seconds
from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found]

_ROUNDS = 1_000


def main() -> None:
    """Answer commands until the input ends; what the peers print goes nowhere."""
    warnings.simplefilter("ignore")
    known: dict[str, Callable[..., Any]] = {"predict": predict}
    answers = sys.stdout
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - a device
        for line in sys.stdin:
            command = json.loads(line)
            with contextlib.redirect_stdout(nowhere):
                answer = known[command.pop("do")](**command)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def predict(
    *,
    worker: int,
    method: str,
    columns: Mapping[str, Sequence[float | str | None]],
    outcome: Sequence[int],
    training: Sequence[int],
    holdout: Sequence[int],
) -> list[float]:
    """Chances of bad of the rows held out, learnt from the rows of training."""
    del worker
    frame = pd.DataFrame({name: _series(values) for name, values in columns.items()})
    bad = np.array(outcome)[list(training)]
    fit = {"logistic": _logistic, "optbinning": _optbinning, "scorecardpy": _scorecardpy}[method]
    chance = fit(frame.iloc[list(training)], bad, frame.iloc[list(holdout)])
    return [float(value) for value in chance]


def _series(values: Sequence[float | str | None]) -> Any:
    worded = any(isinstance(value, str) for value in values)
    return pd.Series(values, dtype=object if worded else float)


def _words(frame: Any) -> list[str]:
    return [name for name in frame if frame[name].dtype == object]


def _logistic(frame: Any, bad: Any, unseen: Any) -> Any:
    """Logistic regression: numbers imputed by the median and scaled, words one-hot."""
    from sklearn.compose import ColumnTransformer  # type: ignore[import-not-found]
    from sklearn.impute import SimpleImputer  # type: ignore[import-not-found]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-not-found]
    from sklearn.preprocessing import (  # type: ignore[import-not-found]
        OneHotEncoder,
        StandardScaler,
    )

    words = _words(frame)
    numbers = [name for name in frame if name not in words]
    coded = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("words", OneHotEncoder(handle_unknown="ignore"), words),
        ]
    )
    model = make_pipeline(coded, LogisticRegression(max_iter=_ROUNDS))
    model.fit(_filled(frame, words), bad)
    return model.predict_proba(_filled(unseen, words))[:, 1]


def _filled(frame: Any, words: Sequence[str]) -> Any:
    return frame.assign(**{name: frame[name].fillna("(missing)") for name in words})


def _optbinning(frame: Any, bad: Any, unseen: Any) -> Any:
    """A scorecard of optimal bins with a monotone trend, as optbinning chooses them."""
    from optbinning import BinningProcess, Scorecard  # type: ignore[import-not-found]

    bins = BinningProcess(list(frame), categorical_variables=_words(frame))
    model = Scorecard(binning_process=bins, estimator=LogisticRegression(max_iter=_ROUNDS))
    model.fit(frame, bad)
    return model.predict_proba(unseen)[:, 1]


def _scorecardpy(frame: Any, bad: Any, unseen: Any) -> Any:
    """Weight-of-evidence bins of scorecardpy, and logistic regression on all of them."""
    import scorecardpy  # type: ignore[import-not-found]

    learnt = frame.assign(bad=bad)
    bins = scorecardpy.woebin(learnt, y="bad", no_cores=1, check_cate_num=False)
    coded = scorecardpy.woebin_ply(learnt, bins)
    other = scorecardpy.woebin_ply(unseen.assign(bad=0), bins)
    names = [name for name in coded if name.endswith("_woe")]
    model = LogisticRegression(max_iter=_ROUNDS).fit(coded[names], bad)
    return model.predict_proba(other[names].fillna(0.0))[:, 1]


if __name__ == "__main__":
    main()
