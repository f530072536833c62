"""What the database itself refuses, whoever writes."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction

from risk.core.facts import ApplicationFacts
from risk.core.states import ModelState, RateTableState
from risk.models import (
    Assessment,
    DataSet,
    ModelVersion,
    PastApplication,
    RateTable,
    RateTableRow,
)
from risk.services.assessing import assess_applications
from tests.risk.conftest import ON, Registered


@pytest.fixture
def assessed(registered: Registered) -> Registered:
    facts = {"income": 60_000, "searches": 0}
    assess_applications(applications=[ApplicationFacts("one", 300_000, 36, facts)], on=ON)
    return registered


CHANGES: list[tuple[str, Callable[[], object]]] = [
    ("assessment", lambda: Assessment.objects.update(pd12_ppm=1)),
    ("assessment deleted", lambda: Assessment.objects.all()._raw_delete("default")),
    ("model coefficients", lambda: ModelVersion.objects.update(coefficients={})),
    ("model figures", lambda: ModelVersion.objects.update(figures={})),
    ("model author", lambda: ModelVersion.objects.update(author="officer-3")),
    ("model approver", lambda: ModelVersion.objects.update(approver="officer-3")),
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
    with pytest.raises(DatabaseError, match=r"immutable|it was approved"), transaction.atomic():
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


@pytest.mark.usefixtures("draft")
def test_the_author_can_not_be_written_as_approver() -> None:
    with pytest.raises(IntegrityError, match="second_person"), transaction.atomic():
        ModelVersion.objects.update(
            state=ModelState.CHAMPION.value, approver="officer-1", approved_on=ON
        )


@pytest.mark.usefixtures("draft")
def test_nothing_is_champion_without_an_approver() -> None:
    with pytest.raises(IntegrityError, match="approved_before_use"), transaction.atomic():
        ModelVersion.objects.update(state=ModelState.CHAMPION.value)


@pytest.mark.django_db
@pytest.mark.parametrize("model", [Assessment, ModelVersion, RateTable, RateTableRow])
def test_the_application_can_not_truncate(model: type[Assessment]) -> None:
    table = model._meta.db_table
    with (
        pytest.raises(DatabaseError),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    "table", ["risk_assessment", "risk_modelversion", "risk_ratetable", "risk_ratetablerow"]
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
