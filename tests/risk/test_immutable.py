"""What the database itself refuses, whoever writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction

from risk.core.facts import ApplicationFacts
from risk.core.states import (
    ALARM_MOVES,
    MODEL_MOVES,
    RATE_TABLE_MOVES,
    ModelState,
    RateTableState,
)
from risk.models import (
    Alarm,
    Assessment,
    DataSet,
    ModelMove,
    ModelVersion,
    MonitoringRun,
    PastApplication,
    RateTable,
    RateTableRow,
    ShadowScore,
)
from risk.services.assessing import assess_applications
from risk.services.shadow import score_under
from risk.services.training import train_model
from tests.risk.conftest import ON, QUICK, Registered

ALARM = {
    "kind": "calibration",
    "subject": "invented 1 / A* / 2016Q1",
    "subject_key": "1/A*/2016Q1",
    "figures": {"actual": 0.1},
    "words": "More went bad than was said.",
    "raised_on": ON,
}
CLOSING = {"state": "closed", "closed_by": "officer-2", "closed_on": ON, "closing_word": "Chance."}


@pytest.fixture
def assessed(registered: Registered) -> Registered:
    facts = {"income": 60_000, "searches": 0}
    [view] = assess_applications(applications=[ApplicationFacts("one", 300_000, 36, facts)], on=ON)
    score_under(model_version=registered.model_version, assessment_ids=[view.id], on=ON)
    MonitoringRun.objects.create(on=ON, scope={}, figures={}, digest="0" * 64)
    Alarm.objects.create(**ALARM)
    return registered


CHANGES: list[tuple[str, Callable[[], object]]] = [
    ("assessment", lambda: Assessment.objects.update(pd12_ppm=1)),
    ("assessment deleted", lambda: Assessment.objects.all()._raw_delete("default")),
    ("model coefficients", lambda: ModelVersion.objects.update(coefficients={})),
    ("model figures", lambda: ModelVersion.objects.update(figures={})),
    ("model author", lambda: ModelVersion.objects.update(author="officer-3")),
    ("model approver", lambda: ModelVersion.objects.update(approver="officer-3")),
    ("model overrides", lambda: ModelVersion.objects.update(leak_overrides={"a": "b"})),
    ("model notes", lambda: ModelVersion.objects.update(notes=["other"])),
    ("model report", lambda: ModelVersion.objects.update(report={})),
    ("model report's digest", lambda: ModelVersion.objects.update(report_digest="0" * 64)),
    ("model validator", lambda: ModelVersion.objects.update(validator="officer-3")),
    ("model move", lambda: ModelMove.objects.update(by="officer-3")),
    ("model move deleted", lambda: ModelMove.objects.all()._raw_delete("default")),
    ("shadow score", lambda: ShadowScore.objects.update(points=1)),
    ("shadow score deleted", lambda: ShadowScore.objects.all()._raw_delete("default")),
    ("monitoring run", lambda: MonitoringRun.objects.update(figures={"a": 1})),
    ("monitoring run deleted", lambda: MonitoringRun.objects.all()._raw_delete("default")),
    ("alarm's words", lambda: Alarm.objects.update(words="Nothing.")),
    ("alarm deleted", lambda: Alarm.objects.all()._raw_delete("default")),
    ("model deleted", lambda: ModelVersion.objects.all()._raw_delete("default")),
    ("rate table settings", lambda: RateTable.objects.update(settings={})),
    ("rate table approver", lambda: RateTable.objects.update(approver=None)),
    ("rate table deleted", lambda: RateTable.objects.all()._raw_delete("default")),
    ("guide rate", lambda: RateTableRow.objects.update(guide_rate=1)),
    ("row deleted", lambda: RateTableRow.objects.all()._raw_delete("default")),
    ("past outcome", lambda: PastApplication.objects.update(is_bad=False)),
    ("past application deleted", lambda: PastApplication.objects.all()._raw_delete("default")),
    ("data set", lambda: DataSet.objects.update(name="other")),
]


@pytest.mark.usefixtures("assessed")
@pytest.mark.parametrize("change", [case[1] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_content_can_not_be_changed(change: Callable[[], object]) -> None:
    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic():
        change()


def test_a_row_can_not_be_added_to_an_approved_rate_table(registered: Registered) -> None:
    row = RateTableRow.objects.filter(rate_table=registered.rate_table)[0]
    row.pk, row.term_months = None, 48
    with pytest.raises(DatabaseError, match="no draft"), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.usefixtures("registered")
def test_state_alone_may_move() -> None:
    RateTable.objects.update(state=RateTableState.RETIRED.value)
    ModelVersion.objects.update(state=ModelState.RETIRED.value)
    assert ModelVersion.objects.get().state == ModelState.RETIRED.value


@pytest.mark.usefixtures("validated")
@pytest.mark.parametrize("approver", ["officer-1", "Officer-1"])
def test_the_author_can_not_be_written_as_approver(approver: str) -> None:
    with pytest.raises(IntegrityError, match="second_person"), transaction.atomic():
        ModelVersion.objects.update(
            state=ModelState.APPROVED.value, approver=approver, approved_on=ON
        )


@pytest.mark.usefixtures("validated")
def test_nothing_is_approved_without_an_approver() -> None:
    with pytest.raises(IntegrityError, match="approved_before_use"), transaction.atomic():
        ModelVersion.objects.update(state=ModelState.APPROVED.value)


def test_nothing_is_validated_without_a_report(data_set: DataSet) -> None:
    draft = train_model(
        data_set=data_set, name="invented", seed=9, author="officer-1", on=ON, settings=QUICK
    )
    with pytest.raises(IntegrityError, match="validated_before_approval"), transaction.atomic():
        ModelVersion.objects.filter(pk=draft.pk).update(state=ModelState.VALIDATED.value)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("trigger", "moves"),
    [
        ("model_version_state_only", MODEL_MOVES),
        ("rate_table_state_only", RATE_TABLE_MOVES),
        ("alarm_state_only", ALARM_MOVES),
    ],
)
def test_the_database_allows_the_moves_of_the_core(
    trigger: str, moves: Mapping[Enum, frozenset[Enum]]
) -> None:
    """The trigger's own arguments hold the table of moves, and nothing else."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgargs FROM pg_trigger WHERE tgname = %s", [trigger])
        [arguments] = cursor.fetchone()
    _columns, *allowed = bytes(arguments).decode().rstrip("\0").split("\0")
    assert set(allowed) == {
        f"{old.value}>{new.value}" for old, after in moves.items() for new in after
    }


@pytest.mark.usefixtures("validated")
def test_a_state_can_not_be_skipped() -> None:
    with pytest.raises(DatabaseError, match="validated can't become champion"):
        ModelVersion.objects.update(
            state=ModelState.CHAMPION.value, approver="officer-2", approved_on=ON
        )


FIRST: list[tuple[type[ModelVersion | RateTable | Alarm], dict[str, object], str]] = [
    (
        ModelVersion,
        {"state": "approved", "number": 90, "approver": "officer-2", "approved_on": ON},
        "begins as draft",
    ),
    (ModelVersion, {"number": 91, "report": {}}, "report is written later"),
    (
        RateTable,
        {"state": "retired", "number": 92, "approver": "officer-2", "approved_on": ON},
        "begins as draft",
    ),
    (RateTable, {"number": 93, "approver": "officer-2"}, "approver is written later"),
]


@pytest.mark.usefixtures("draft_table")
@pytest.mark.parametrize(("model", "values", "words"), FIRST)
def test_nothing_is_born_approved(
    model: type[ModelVersion | RateTable], values: dict[str, object], words: str
) -> None:
    [row] = model.objects.values()
    born = {**row, "state": "draft", "content_hash": "0" * 64}
    for name in ("id", "validator", "validated_on", "report", "report_digest"):
        born.pop(name, None)
    with pytest.raises(DatabaseError, match=words), transaction.atomic():
        model.objects.create(**{**born, **values})


@pytest.mark.django_db
def test_no_alarm_is_born_closed() -> None:
    with pytest.raises(DatabaseError, match="begins as open"), transaction.atomic():
        Alarm.objects.create(**ALARM, **CLOSING)


@pytest.mark.usefixtures("validated")
@pytest.mark.parametrize(
    "approver",
    [
        " officer-1",
        "officer-1 ",
        "officer-1\u00a0",
        "officer-1\u200b",
        "\uff4fofficer-1",
        "\u043efficer-1",
        "",
        "officer-2\n",
    ],
)
def test_what_only_looks_like_another_handle_is_none(approver: str) -> None:
    """Spaces, a full-width o, a Cyrillic one: none of them makes a second person."""
    with pytest.raises(DatabaseError, match="not the handle"), transaction.atomic():
        ModelVersion.objects.update(
            state=ModelState.APPROVED.value, approver=approver, approved_on=ON
        )


@pytest.mark.usefixtures("draft_table")
def test_an_approver_is_written_with_the_approval_only() -> None:
    with pytest.raises(DatabaseError, match="isn't moved"), transaction.atomic():
        RateTable.objects.update(approver="officer-2", approved_on=ON)


def test_a_validation_names_no_approver(data_set: DataSet) -> None:
    draft = train_model(
        data_set=data_set, name="invented", seed=9, author="officer-1", on=ON, settings=QUICK
    )
    with pytest.raises(DatabaseError, match="no approver yet"), transaction.atomic():
        ModelVersion.objects.filter(pk=draft.pk).update(
            state=ModelState.VALIDATED.value,
            validator="officer-1",
            validated_on=ON,
            report={},
            report_digest="0" * 64,
            approver="officer-2",
        )


@pytest.mark.django_db
class TestAlarms:
    """One open alarm for a subject, closed once and with a word."""

    def test_one_is_open(self) -> None:
        Alarm.objects.create(**ALARM)
        with pytest.raises(IntegrityError, match="one_open"), transaction.atomic():
            Alarm.objects.create(**ALARM)
        Alarm.objects.update(**CLOSING)
        Alarm.objects.create(**ALARM)
        assert Alarm.objects.count() == 2

    @pytest.mark.parametrize(
        ("change", "rule"),
        [
            ({"closing_word": " "}, "closed_with_a_word"),
            ({"closing_word": ""}, "closed_with_a_word"),
            ({"closing_word": None}, "closed_by_someone"),
            ({"closed_by": None}, "closed_by_someone"),
            ({"closed_on": None}, "closed_by_someone"),
            ({"closed_on": date(2016, 3, 31)}, "closed_afterwards"),
        ],
    )
    def test_it_is_closed_by_someone_with_a_word(
        self, change: dict[str, object], rule: str
    ) -> None:
        Alarm.objects.create(**ALARM)
        with pytest.raises(IntegrityError, match=rule), transaction.atomic():
            Alarm.objects.update(**{**CLOSING, **change})

    def test_nobody_has_closed_what_is_open(self) -> None:
        Alarm.objects.create(**ALARM)
        with pytest.raises(DatabaseError, match="isn't moved"), transaction.atomic():
            Alarm.objects.update(**{**CLOSING, "state": "open"})

    def test_it_is_not_opened_again(self) -> None:
        Alarm.objects.create(**ALARM)
        Alarm.objects.update(**CLOSING)
        with pytest.raises(DatabaseError, match="immutable"), transaction.atomic():
            Alarm.objects.update(closing_word="Otherwise.")
        with pytest.raises(DatabaseError, match="closed can't become open"), transaction.atomic():
            Alarm.objects.update(state="open")


@pytest.mark.parametrize(
    "row",
    [
        {"points": 600},
        {"points": 600, "pd12_ppm": 1, "pd_outcome_ppm": 1, "refusal": "RISK: no."},
        {},
        {"refusal": "RISK: no.", "band": "A"},
        {"points": 600, "pd12_ppm": 1_000_001, "pd_outcome_ppm": 1},
    ],
)
def test_a_shadow_score_is_a_score_or_a_refusal(
    registered: Registered, row: dict[str, object]
) -> None:
    facts = {"income": 60_000, "searches": 0}
    [view] = assess_applications(applications=[ApplicationFacts("one", 300_000, 36, facts)], on=ON)
    with pytest.raises(IntegrityError, match="shadow_score"), transaction.atomic():
        ShadowScore.objects.create(
            assessment_id=view.id, model_version=registered.model_version, scored_on=ON, **row
        )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "model",
    [
        Assessment,
        ModelVersion,
        RateTable,
        RateTableRow,
        ShadowScore,
        Alarm,
        MonitoringRun,
        ModelMove,
    ],
)
def test_the_application_can_not_truncate(model: type[Assessment]) -> None:
    table = model._meta.db_table
    with (
        pytest.raises(DatabaseError),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    "table",
    [
        "risk_alarm",
        "risk_assessment",
        "risk_modelmove",
        "risk_modelversion",
        "risk_monitoringrun",
        "risk_ratetable",
        "risk_ratetablerow",
        "risk_shadowscore",
    ],
)
def test_nor_can_the_owner(committed_db: str, table: str) -> None:
    parameters = connections["owner"].get_connection_params()
    wanted = {
        key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)
    }
    with (
        psycopg.connect(**wanted, dbname=committed_db) as owner,
        pytest.raises(psycopg.Error, match="immutable") as refused,
    ):
        owner.execute(f"TRUNCATE {table} CASCADE")
    assert refused.value.sqlstate == "TN201"
