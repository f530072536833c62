"""The report of a monitoring run: one page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import altair as alt
from django.conf import settings
from django.template.loader import render_to_string

from api.risk_report.drawing import (
    GOLD,
    LEAF,
    PALE,
    RED,
    SOFT,
    Picture,
    Row,
    data,
    picture,
)
from risk.core.credit_loss import Stage, StageRow
from risk.core.monitoring import Cohort, Finding
from risk.core.monthly_stability import SCORE, MonthStability
from risk.core.roll_rates import Bucket, Roll
from risk.core.stability import Verdict
from risk.core.watching import Losses, Rolls
from risk.services.watching import Watched

_STAGES = {
    Stage.PERFORMING: "stage 1",
    Stage.INCREASED: "stage 2",
    Stage.IMPAIRED: "stage 3",
}
_STAGE_COLOURS = [LEAF, GOLD, RED]
_WIDE, _HIGH = 640, 260
# An SVG inside HTML needs none, and the page names no other host.
_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'
_ROW = 22


@dataclass(frozen=True, slots=True)
class _LossLine:
    """A stage's losses for people: amounts in pence; opening and movement none at the first run."""

    name: str
    loans: int
    balance: int
    loss: int
    coverage: str
    opening: int | None
    movement: int | None


@dataclass(frozen=True, slots=True)
class _RollLine:
    """One move for people; ``before`` is empty where nothing began there in the former window."""

    began: str
    ended: str
    count: int
    of: int
    share: str
    interval: str
    before: str


def render_monitoring(watched: Watched) -> str:
    """The page: what was predicted and what came, roll rates, stability, losses, alarms."""
    assets = Path(settings.BASE_DIR) / "api" / "assets"
    findings = watched.findings
    return render_to_string(
        "monitoring.html",
        {
            "watched": watched,
            "cohorts": [(one, *_cohort_words(one)) for one in findings.cohorts],
            "everyone": findings.cohorts[0] if findings.cohorts else None,
            "coverage": _percent(_coverage(findings.losses)),
            "score": _newest_score(watched.stability),
            "rolls": [_roll_line(roll) for roll in findings.rolls.rolls],
            "shifts": [one for one in watched.stability if _shown(one)],
            "calm": sum(not _shown(one) for one in watched.stability),
            "losses": list(_loss_lines(findings.losses, watched.opening)),
            "pictures": {key: drawn for key, drawn in _pictures(watched) if drawn is not None},
            "style": (assets / "tenner.css").read_text(encoding="utf-8"),
            "logo": (assets / "tenner.svg").read_text(encoding="utf-8").replace(_NAMESPACE, ""),
        },
    )


def _pictures(watched: Watched) -> Iterator[tuple[str, Picture | None]]:
    findings = watched.findings
    yield "bands", _bands(findings.cohorts)
    yield "vintages", _vintages(findings.cohorts)
    yield "rolls", _roll_matrix(findings.rolls)
    yield "stability", _shift_map(watched.stability)
    bands = [one.band for one in findings.cohorts if one.band and not one.vintage]
    yield "losses", _loss_bars(findings.losses, bands)


def _bands(cohorts: Sequence[Cohort]) -> Picture | None:
    rows = [one for one in cohorts if one.band and not one.vintage]
    return _against(
        rows,
        [one.band for one in rows],
        "bands",
        "Defaults by band",
        "band",
    )


def _vintages(cohorts: Sequence[Cohort]) -> Picture | None:
    rows = [one for one in cohorts if one.vintage and not one.band]
    return _against(
        rows,
        [one.vintage for one in rows],
        "vintages",
        "Defaults by quarter of pay-out",
        "paid out",
    )


def _against(
    cohorts: Sequence[Cohort], names: Sequence[str], key: str, title: str, axis: str
) -> Picture | None:
    """Expected with its 95 % range, and actual, as shares of the loans."""
    if not cohorts:
        return None
    rows: list[Row] = [
        {
            "name": name,
            "expected": 100 * one.expected / one.loans,
            "low": 100 * one.low / one.loans,
            "high": 100 * one.high / one.loans,
            "actual": 100 * one.actual / one.loans,
            "said": "actual" if one.finding is Finding.AS_EXPECTED else "actual, alarming",
        }
        for one, name in zip(cohorts, names, strict=True)
    ]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("name:N", sort=list(names), title=axis, axis=alt.Axis(labelAngle=0))
    )
    span = base.mark_bar(color=PALE, opacity=0.45, size=26, cornerRadius=3).encode(
        y=alt.Y("low:Q", title="defaulted by now, % of loans"), y2="high:Q"
    )
    expected = base.mark_tick(color=SOFT, thickness=2, size=34).encode(y="expected:Q")
    actual = base.mark_point(filled=True, size=95, opacity=1).encode(
        y="actual:Q",
        color=alt.Color(
            "said:N",
            scale=alt.Scale(domain=["actual", "actual, alarming"], range=[LEAF, RED]),
        ),
    )
    return picture(
        key,
        title,
        "Dots: what came. Lines: what was expected by now from the frozen forecasts, with the range"
        " that holds 95 of 100 such cohorts if the forecasts are true.",
        (span + expected + actual).properties(width=_WIDE, height=_HIGH),
    )


def _roll_matrix(rolls: Rolls) -> Picture | None:
    names = [bucket.label for bucket in Bucket]
    rows: list[Row] = [
        {
            "before": roll.before.label,
            "after": roll.after.label,
            "share": 100 * roll.share,
            "shown": f"{100 * roll.share:.1f} %",
        }
        for roll in rolls.rolls
        if roll.count
    ]
    if not rows:
        return None
    base = alt.Chart(data(rows)).encode(
        x=alt.X("after:N", sort=names, title="a month later", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("before:N", sort=names, title="began the month"),
    )
    cells = base.mark_rect(cornerRadius=3).encode(
        color=alt.Color(
            "share:Q",
            legend=None,
            scale=alt.Scale(type="sqrt", domain=[0, 100], range=["#f1efe4", LEAF]),
        )
    )
    words = base.mark_text().encode(
        text="shown:N",
        color=alt.condition("datum.share > 45", alt.value("white"), alt.value("#1c2421")),
    )
    return picture(
        "rolls",
        "Where loans went in a month",
        f"Share of loan-months from the end of {rolls.from_:%B %Y} to the end of"
        f" {rolls.until:%B %Y}; each row adds up to 100 %.",
        (cells + words).properties(width=_WIDE, height=34 * len({row["before"] for row in rows})),
    )


def _shift_map(found: Sequence[MonthStability]) -> Picture | None:
    if not found:
        return None
    what = list(dict.fromkeys(one.what for one in found))
    rows: list[Row] = [
        {
            "month": one.month,
            "what": one.what,
            "shown": f"{one.stability.index:.2f}",
            "verdict": one.stability.verdict.value,
        }
        for one in found
    ]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("month:N", title=None, axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("what:N", sort=what, title=None, axis=alt.Axis(labelLimit=240, minExtent=210)),
    )
    cells = base.mark_rect(cornerRadius=3, opacity=0.75).encode(
        color=alt.Color(
            "verdict:N",
            scale=alt.Scale(
                domain=[verdict.value for verdict in Verdict], range=["#cfe5da", GOLD, RED]
            ),
        )
    )
    months = len({one.month for one in found})
    return picture(
        "stability",
        "Who applies, against whom the model learnt from",
        "The population stability index of the score and of each input, by month. Amber and red"
        " begin above the customary .1 and .25, and above what chance gives so many rows.",
        (cells + base.mark_text().encode(text="shown:N")).properties(
            width=max(90, min(_WIDE, 70 * months)), height=_ROW * len(what)
        ),
    )


def _loss_bars(losses: Losses, bands: Sequence[str]) -> Picture | None:
    rows: list[Row] = [
        {"band": row.band, "stage": _STAGES[row.stage], "loss": row.loss / 100, "at": row.stage}
        for row in losses.rows
    ]
    if not rows:
        return None
    chart = (
        alt.Chart(data(rows))
        .mark_bar(size=34)
        .encode(
            x=alt.X("band:N", sort=list(bands), title="band", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("loss:Q", title="expected credit loss, £"),
            color=alt.Color(
                "stage:N", scale=alt.Scale(domain=list(_STAGES.values()), range=_STAGE_COLOURS)
            ),
            order=alt.Order("at:Q"),
        )
        .properties(width=_WIDE, height=_HIGH)
    )
    return picture(
        "losses",
        "Expected credit loss by band and stage",
        "Present value, at each loan's own rate, of what is expected not to be paid.",
        chart,
    )


def _roll_line(roll: Roll) -> _RollLine:
    return _RollLine(
        roll.before.label,
        roll.after.label,
        roll.count,
        roll.of,
        _percent(roll.share) if roll.of else "",
        f"{_percent(roll.low)} to {_percent(roll.high)}" if roll.of else "",
        "" if roll.share_before is None else _percent(roll.share_before),
    )


def _loss_lines(losses: Losses, opening: Losses | None) -> Iterator[_LossLine]:
    before = {} if opening is None else {row.stage: row.loss for row in opening.totals}
    for row in losses.totals:
        yield _loss_line(_STAGES[row.stage], row, before.get(row.stage))
    everything = StageRow(Stage.NONE, "", losses.loans, losses.balance, losses.loss)
    yield _loss_line("all", everything, None if opening is None else opening.loss)


def _loss_line(name: str, row: StageRow, opening: int | None) -> _LossLine:
    movement = None if opening is None else row.loss - opening
    coverage = _percent(row.coverage)
    return _LossLine(name, row.loans, row.balance, row.loss, coverage, opening, movement)


def _cohort_words(one: Cohort) -> tuple[str, str, str, str]:
    """The chance, the two amounts beside each other, their chance, and the finding's style."""
    amounts = f"£{one.actual_amount / 100:,.0f} of £{one.expected_amount / 100:,.0f}"
    style = "holds" if one.finding is Finding.AS_EXPECTED else "differs"
    return _chance(one.chance), amounts, _chance(one.amount_chance), style


def _newest_score(found: Sequence[MonthStability]) -> MonthStability | None:
    scores = [one for one in found if one.what == SCORE]
    return max(scores, key=lambda one: one.month, default=None)


def _shown(one: MonthStability) -> bool:
    return one.what == SCORE or one.stability.verdict is not Verdict.STABLE


def _coverage(losses: Losses) -> float:
    return losses.loss / losses.balance if losses.balance else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _chance(chance: float) -> str:
    return f"{chance:.3f}" if chance >= 0.001 else f"{chance:.1e}"
