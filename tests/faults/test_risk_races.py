"""Two connections at once in the registry and at the alarms: one champion, one alarm, one word."""

from __future__ import annotations

from django.db import transaction

from risk.core.alarms import AlarmDraft, AlarmKind
from risk.core.states import AlarmState, ModelState
from risk.models import Alarm, ModelVersion, RateTable, RateTableRow
from risk.services.approving import approve_model, approve_rate_table
from risk.services.loading import load_data_set
from risk.services.rate_tables import build_rate_table
from risk.services.watching import AlarmClosed, close_alarm, raise_alarms
from tests.faults.test_ledger_races import _at_once as at_once
from tests.faults.test_market_races import _thread as thread
from tests.faults.test_market_races import _wait_for as wait_for
from tests.risk.conftest import ON, WIDE_HOUSE, trained
from tests.risk.examples import SPEC, invented_csv

WAITS = "wait_event_type = 'Lock'"


def _versions(count: int) -> list[ModelVersion]:
    data_set = load_data_set(
        content=invented_csv(), file_name="invented.csv", spec_text=SPEC, name="Invented", on=ON
    )
    return [trained(data_set, seed=seed) for seed in range(1, count + 1)]


def test_of_two_new_champions_one_comes_after_the_other(committed_db: str) -> None:
    """Both are held at the old champion, whom only one of them can retire."""
    old, *new = _versions(3)
    approve_model(model_version=old, approver="officer-2", on=ON)
    failures: list[BaseException] = []

    def approve(version: ModelVersion) -> None:
        try:
            approve_model(model_version=version, approver="officer-2", on=ON)
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    with transaction.atomic():
        ModelVersion.objects.select_for_update().get(pk=old.pk)
        first = thread(lambda: approve(new[0]))
        wait_for(WAITS, 1)
        second = thread(lambda: approve(new[1]))
        wait_for(WAITS, 2)
    first.join()
    second.join()
    assert failures == []
    states = dict(ModelVersion.objects.values_list("pk", "state"))
    assert states == {
        old.pk: ModelState.RETIRED.value,
        new[0].pk: ModelState.RETIRED.value,
        new[1].pk: ModelState.CHAMPION.value,
    }


def test_a_row_added_during_an_approval_is_refused(committed_db: str) -> None:
    """The rate table is approved, not yet committed, when somebody adds a market to it."""
    [version] = _versions(1)
    table = build_rate_table(
        model_version=version, settings_text=WIDE_HOUSE, author="officer-1", on=ON
    )
    approve_model(model_version=version, approver="officer-2", on=ON)
    rows = RateTableRow.objects.count()
    refusals: list[str] = []

    def add() -> None:
        row = RateTableRow.objects.filter(rate_table=table)[0]
        row.pk, row.term_months = None, 48
        try:
            row.save(force_insert=True)
        except Exception as error:  # noqa: BLE001 - shown below
            refusals.append(str(error))

    with transaction.atomic():
        approve_rate_table(rate_table=table, approver="officer-2", on=ON)
        adding = thread(add)
        wait_for(WAITS, 1)
    adding.join()
    assert ["no draft" in refusal for refusal in refusals] == [True]
    assert RateTableRow.objects.count() == rows
    assert RateTable.objects.get().approver == "officer-2"


def test_an_alarm_is_raised_once_and_closed_once(committed_db: str) -> None:
    draft = AlarmDraft(AlarmKind.PREDICTION, "A of 2016 Q1", "A/2016Q1", "More than said.", {})
    raised: list[int] = []

    def raise_it(_number: int) -> None:
        raised.extend(one.id for one in raise_alarms(drafts=[draft], on=ON))

    at_once(raise_it, 8)
    assert raised == list(Alarm.objects.values_list("id", flat=True))
    assert len(raised) == 1
    closed: list[AlarmState] = []
    too_late: list[AlarmClosed] = []

    def close_it(number: int) -> None:
        try:
            closed.append(
                close_alarm(
                    alarm_id=raised[0], officer=f"officer-{number}", word="Chance.", on=ON
                ).state
            )
        except AlarmClosed as refusal:
            too_late.append(refusal)

    at_once(close_it, 8)
    assert (len(closed), len(too_late)) == (1, 7)
