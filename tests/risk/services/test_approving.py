"""Approval by a second person, and what it does to what was approved before."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from risk.core.errors import HandleRefused, MoveRefused, NotReady, RateTableRefused, SelfApproval
from risk.core.states import ModelState, RateTableState
from risk.models import ModelVersion, RateTable
from risk.selectors.model_versions import champion
from risk.selectors.rate_tables import current_rate_table, rate_table
from risk.services.approving import approve_model, approve_rate_table
from risk.services.rate_tables import build_rate_table
from risk.services.training import train_model
from tests.risk.conftest import ON, QUICK, WIDE_HOUSE, Registered

pytestmark = pytest.mark.django_db


def _build(model_version: ModelVersion, settings_text: str = WIDE_HOUSE) -> RateTable:
    return build_rate_table(
        model_version=model_version, settings_text=settings_text, author="officer-1", on=ON
    )


def test_an_approved_model_is_champion(draft: ModelVersion) -> None:
    with pytest.raises(NotReady):
        champion()
    approved = approve_model(model_version=draft, approver="officer-2", on=ON)
    assert (approved.state, approved.approver) == (ModelState.CHAMPION.value, "officer-2")
    assert champion().id == draft.pk
    assert champion().approved_on == ON


@pytest.mark.parametrize("approver", ["officer-1", "Officer-1"])
def test_the_author_can_not_approve(
    draft: ModelVersion, draft_table: RateTable, approver: str
) -> None:
    with pytest.raises(SelfApproval):
        approve_model(model_version=draft, approver=approver, on=ON)
    approve_model(model_version=draft, approver="officer-2", on=ON)
    with pytest.raises(SelfApproval):
        approve_rate_table(rate_table=draft_table, approver=approver, on=ON)


def test_an_approver_must_be_named(draft: ModelVersion) -> None:
    with pytest.raises(HandleRefused):
        approve_model(model_version=draft, approver="", on=ON)


def test_a_new_champion_retires_the_old_one_and_its_rate_table(registered: Registered) -> None:
    second = train_model(
        data_set=registered.data_set,
        name="invented",
        seed=2,
        author="officer-1",
        on=ON,
        settings=QUICK,
    )
    approve_model(model_version=second, approver="officer-2", on=ON)
    registered.model_version.refresh_from_db()
    registered.rate_table.refresh_from_db()
    assert registered.model_version.state == ModelState.RETIRED.value
    assert registered.rate_table.state == RateTableState.RETIRED.value
    assert champion().id == second.pk
    with pytest.raises(NotReady):
        current_rate_table()
    with pytest.raises(MoveRefused):
        approve_model(model_version=registered.model_version, approver="officer-2", on=ON)


def test_a_rate_table_is_approved_after_its_model(draft_table: RateTable) -> None:
    with pytest.raises(MoveRefused, match="champion"):
        approve_rate_table(rate_table=draft_table, approver="officer-2", on=ON)


def test_the_approved_rate_table_is_the_current_one(registered: Registered) -> None:
    current = current_rate_table()
    assert current.id == registered.rate_table.pk
    assert current.bands == ("A*", "A", "B", "C", "D", "E")
    assert current.terms == (36, 60)
    assert current.row("A*", 36).guide_rate < current.row("E", 36).guide_rate
    assert current.losses.servicing_fee == 0.01
    assert rate_table(rate_table=registered.rate_table) == current


@pytest.mark.usefixtures("registered")
def test_it_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        current_rate_table()
    with django_assert_num_queries(1):
        champion()


def test_a_new_rate_table_retires_the_old_one(registered: Registered) -> None:
    changed = WIDE_HOUSE.replace("target_return_ppm = 40_000", "target_return_ppm = 41_000")
    second = _build(registered.model_version, changed)
    assert second.number == registered.rate_table.number + 1
    approve_rate_table(rate_table=second, approver="officer-2", on=ON)
    registered.rate_table.refresh_from_db()
    assert registered.rate_table.state == RateTableState.RETIRED.value
    assert current_rate_table().id == second.pk


def test_the_same_settings_give_the_rate_table_that_is_there(registered: Registered) -> None:
    assert _build(registered.model_version).pk == registered.rate_table.pk


def test_nothing_of_an_unusable_rate_table_is_stored(draft: ModelVersion) -> None:
    bad = WIDE_HOUSE.replace("target_return_ppm = 70_000", "target_return_ppm = 0")
    with pytest.raises(RateTableRefused):
        _build(draft, bad)
    assert RateTable.objects.count() == 1
