"""Reading what watching needs and what it found: forecasts, populations, runs and alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from risk.core.errors import NotFound
from risk.core.house import house_from_mapping
from risk.core.monthly_stability import Population
from risk.core.pricing import from_ppm
from risk.core.rate_table import BEYOND
from risk.core.scorecard import points, scorecard_from_json
from risk.core.states import AlarmState, ModelState
from risk.core.table import FloatArray, IntArray, table_from_facts
from risk.core.watched_book import Forecasts
from risk.models import Alarm, Assessment, ModelVersion, MonitoringRun, RateTable, ShadowScore
from risk.selectors.past_applications import data_table, holdout_places


@dataclass(frozen=True, slots=True)
class AlarmView:
    """An alarm: what it is about, what was found, and who closed it with what word."""

    id: int
    kind: str
    subject: str
    subject_key: str
    words: str
    figures: Mapping[str, Any]
    raised_on: date
    state: AlarmState
    closed_by: str | None
    closed_on: date | None
    closing_word: str | None


@dataclass(frozen=True, slots=True)
class RunView:
    """A monitoring run as it is stored."""

    id: int
    on: date
    scope: Mapping[str, Any]
    figures: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class Populations:
    """The champion's training applications, and those that it has assessed in the window.

    ``month`` is of each recent application a place in ``months``.
    """

    model: str
    columns: tuple[str, ...]
    reference: Population
    recent: Population
    month: IntArray
    months: tuple[str, ...]


def open_alarms() -> list[AlarmView]:
    """Alarms that nobody has closed, oldest first; one query."""
    return alarms(states=(AlarmState.OPEN,))


def alarms(*, states: Sequence[AlarmState] = tuple(AlarmState)) -> list[AlarmView]:
    """Alarms in these states, oldest first; one query."""
    return [
        alarm_view(alarm)
        for alarm in Alarm.objects.filter(state__in=[s.value for s in states]).order_by("id")
    ]


def alarm_view(alarm: Alarm) -> AlarmView:
    """What is known of an alarm; no query."""
    return AlarmView(
        id=alarm.pk,
        kind=alarm.kind,
        subject=alarm.subject,
        subject_key=alarm.subject_key,
        words=alarm.words,
        figures=alarm.figures,
        raised_on=alarm.raised_on,
        state=AlarmState(alarm.state),
        closed_by=alarm.closed_by,
        closed_on=alarm.closed_on,
        closing_word=alarm.closing_word,
    )


def run_before(on: date) -> RunView | None:
    """The newest run of the latest day before ``on``, if there is one; one query."""
    run = MonitoringRun.objects.filter(on__lt=on).order_by("-on", "-id").first()
    return None if run is None else RunView(run.pk, run.on, run.scope, run.figures, run.digest)


def forecasts_of(assessment_ids: IntArray, *, on: date) -> Forecasts:
    """The frozen forecasts of assessments, in the order asked for; four queries.

    The newest PD is the present champion's shadow score, made by ``on``, of an assessment that an
    earlier model made.

    Raises:
        NotFound: an assessment that there is not.
    """
    ids, place = np.unique(assessment_ids, return_inverse=True)
    rows = list(
        Assessment.objects.filter(pk__in=ids.tolist())
        .order_by("pk")
        .values_list("pd_outcome_ppm", "pd12_ppm", "band", "model_version_id", "rate_table_id")
    )
    if len(rows) != len(ids):
        raise NotFound("One of the assessments is not there.", field="assessment")
    months = dict(
        ModelVersion.objects.filter(pk__in={row[3] for row in rows}).values_list(
            "pk", "coefficients__outcome_months"
        )
    )
    tables = RateTable.objects.filter(pk__in={row[4] for row in rows}).order_by("-number")
    houses = {table.pk: house_from_mapping(table.settings) for table in tables}
    # The newest table's order; bands that only older ones have come after it.
    named = dict.fromkeys(band.name for house in houses.values() for band in house.bands)
    bands = (*named, BEYOND)
    band_at = {name: at for at, name in enumerate(bands)}
    losses = {key: house.losses for key, house in houses.items()}
    lgd = np.array([losses[row[4]].loss_given_default for row in rows], dtype=np.float64)
    lag = np.array([losses[row[4]].recovery_lag_months for row in rows], dtype=np.int64)
    reach = np.array([months[row[3]] for row in rows], dtype=np.int64)
    return Forecasts(
        bands=bands,
        band=np.array([band_at[row[2] or BEYOND] for row in rows], dtype=np.int64)[place],
        pd_outcome=from_ppm([row[0] for row in rows])[place],
        outcome_months=reach[place],
        pd12=from_ppm([row[1] for row in rows])[place],
        pd12_now=_newest(ids, on)[place],
        loss_given_default=lgd[place],
        recovery_lag=lag[place],
    )


def _newest(ids: IntArray, on: date) -> FloatArray:
    """The champion's shadow PD of each assessment (sorted ids), NaN where there is none."""
    scored = ShadowScore.objects.filter(
        assessment_id__in=ids.tolist(),
        model_version__state=ModelState.CHAMPION.value,
        scored_on__lte=on,
        pd12_ppm__isnull=False,
    ).values_list("assessment_id", "pd12_ppm")
    newest = np.full(len(ids), np.nan)
    for assessment, pd12_ppm in scored:
        newest[np.searchsorted(ids, assessment)] = from_ppm(pd12_ppm or 0)
    return newest


def populations(*, on: date, since: date) -> Populations | None:
    """Whom the champion learnt from, and whom it assessed from ``since`` to ``on``.

    Three queries; none and one query without a champion.

    Raises:
        DataRefused: when rows of its data set were added or lost.
    """
    version = (
        ModelVersion.objects.select_related("data_set")
        .defer("report")
        .filter(state=ModelState.CHAMPION.value)
        .first()
    )
    if version is None:
        return None
    scorecard = scorecard_from_json(version.coefficients)
    kinds = scorecard.kinds()
    past = data_table(version.data_set)
    unseen = np.zeros(len(past), dtype=np.bool_)
    unseen[holdout_places(version, past)] = True
    training = past.take(np.flatnonzero(~unseen))
    rows = list(
        Assessment.objects.filter(model_version=version, assessed_on__range=(since, on))
        .order_by("id")
        .values_list("assessed_on", "points", "facts")
    )
    labels = [f"{day:%Y-%m}" for day, _, _ in rows]
    months = tuple(sorted(set(labels)))
    at = {name: place for place, name in enumerate(months)}
    return Populations(
        model=f"{version.name} {version.number}",
        columns=tuple(kinds),
        reference=Population(training, np.rint(points(scorecard, training))),
        recent=Population(
            table_from_facts([facts for _, _, facts in rows], kinds),
            np.array([score for _, score, _ in rows], dtype=np.float64),
        ),
        month=np.array([at[label] for label in labels], dtype=np.int64),
        months=months,
    )
