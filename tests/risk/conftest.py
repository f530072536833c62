"""What the tests of risk share: the real data and a scorecard fitted to it, made once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import pytest

from risk.core.reading import read_table
from risk.core.scorecard import Scorecard, ScorecardSettings
from risk.core.spec import DataSpec, spec_from_toml
from risk.core.split import stratified_split
from risk.core.table import Table
from risk.core.training import fit_scorecard
from risk.models import DataSet, ModelVersion, RateTable
from risk.services.approving import approve_model, approve_rate_table
from risk.services.loading import load_data_set
from risk.services.rate_tables import build_rate_table
from risk.services.training import train_model
from risk.services.validating import validate_model
from risk.specs import spec_text
from tests.risk.examples import LENDING_CLUB, SPEC, invented_csv

HOUSE_SEED = 2016
ON = date(2016, 4, 1)
QUICK = ScorecardSettings(strengths=(1.0,))


@dataclass(frozen=True)
class Fitted:
    """A scorecard with what it was fitted to and what it has not seen."""

    spec: DataSpec
    training: Table
    holdout: Table
    scorecard: Scorecard


def fitted(table: Table, spec: DataSpec, seed: int) -> Fitted:
    """Fit on the house's 70 % of a table."""
    if table.is_bad is None:
        raise ValueError("no outcomes")
    split = stratified_split(table.is_bad, seed=seed)
    training = table.take(split.training)
    scorecard = fit_scorecard(training, spec, ScorecardSettings(), seed)
    return Fitted(spec, training, table.take(split.holdout), scorecard)


@pytest.fixture(scope="session")
def spec() -> DataSpec:
    return spec_from_toml(SPEC)


@pytest.fixture(scope="session")
def invented(spec: DataSpec) -> Fitted:
    return fitted(read_table(invented_csv(), "invented.csv", spec), spec, seed=1)


@pytest.fixture(scope="session")
def lending_club_spec() -> DataSpec:
    return spec_from_toml(spec_text("lending_club_2016q1"))


@pytest.fixture(scope="session")
def lending_club_table(lending_club_spec: DataSpec) -> Table:
    return read_table(LENDING_CLUB.read_bytes(), LENDING_CLUB.name, lending_club_spec)


@pytest.fixture(scope="session")
def lending_club(lending_club_spec: DataSpec, lending_club_table: Table) -> Fitted:
    return fitted(lending_club_table, lending_club_spec, seed=HOUSE_SEED)


@dataclass(frozen=True)
class Registered:
    """A data set with a validated model and a rate table, both approved, or neither yet."""

    data_set: DataSet
    model_version: ModelVersion
    rate_table: RateTable


# The invented loans are riskier than real ones: wider bands let all of them be used.
WIDE_HOUSE = (
    spec_text("house")
    .replace("pd_to_ppm = 12_000", "pd_to_ppm = 30_000")
    .replace("pd_to_ppm = 18_000", "pd_to_ppm = 50_000")
    .replace("pd_to_ppm = 25_000", "pd_to_ppm = 70_000")
    .replace("pd_to_ppm = 35_000", "pd_to_ppm = 100_000")
    .replace("pd_to_ppm = 52_500", "pd_to_ppm = 140_000")
    .replace("pd_to_ppm = 90_000", "pd_to_ppm = 200_000")
)


@pytest.fixture(scope="module")
def unsigned(module_db: str) -> Registered:
    """Committed to the module's own database; what a test changes is rolled back."""
    if not module_db:
        raise ValueError("no database")
    data_set = load_data_set(
        content=invented_csv(),
        file_name="invented.csv",
        spec_text=SPEC,
        name="Invented loans",
        on=ON,
    )
    model = train_model(
        data_set=data_set, name="invented", seed=1, author="officer-1", on=ON, settings=QUICK
    )
    model = validate_model(model_version=model, validator="officer-1", on=ON)
    table = build_rate_table(
        model_version=model, settings_text=WIDE_HOUSE, author="officer-1", on=ON
    )
    return Registered(data_set, model, table)


def trained(data_set: DataSet, *, seed: int, inputs: tuple[str, ...] | None = None) -> ModelVersion:
    """Another validated version of the invented model."""
    model = train_model(
        data_set=data_set,
        name="invented",
        seed=seed,
        author="officer-1",
        on=ON,
        settings=replace(QUICK, inputs=inputs),
    )
    return validate_model(model_version=model, validator="officer-1", on=ON)


@pytest.fixture
def data_set(unsigned: Registered, db: None) -> DataSet:
    return DataSet.objects.get(pk=unsigned.data_set.pk)


@pytest.fixture
def validated(unsigned: Registered, db: None) -> ModelVersion:
    return ModelVersion.objects.select_related("data_set").get(pk=unsigned.model_version.pk)


@pytest.fixture
def draft_table(unsigned: Registered, db: None) -> RateTable:
    return RateTable.objects.get(pk=unsigned.rate_table.pk)


@pytest.fixture
def registered(validated: ModelVersion, draft_table: RateTable) -> Registered:
    model = approve_model(model_version=validated, approver="officer-2", on=ON)
    table = approve_rate_table(rate_table=draft_table, approver="officer-2", on=ON)
    return Registered(model.data_set, model, table)
