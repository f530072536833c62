"""Reading rate tables: the approved one, with its rows and what it assumes of losses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date

from django.db.models import QuerySet

from risk.core.errors import NotFound, NotReady
from risk.core.house import HouseSettings, house_from_mapping
from risk.core.pricing import LossTerms
from risk.core.rate_table import RateRow
from risk.core.states import RateTableState
from risk.models import RateTable, RateTableRow

_ROW_FIELDS = [field.name for field in fields(RateRow)]


@dataclass(frozen=True, slots=True)
class RateTableView:
    """A rate table: rows by term, then band, safest first; rates in annual effective ppm."""

    id: int
    number: int
    state: RateTableState
    model_version_id: int
    settings: HouseSettings
    rows: tuple[RateRow, ...]
    built_on: date
    approved_on: date | None

    @property
    def losses(self) -> LossTerms:
        """What it assumes of losses, recoveries and the servicing fee."""
        return self.settings.losses

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, safest first."""
        return tuple(band.name for band in self.settings.bands)

    @property
    def terms(self) -> tuple[int, ...]:
        """Terms in months, ascending."""
        return tuple(term.months for term in self.settings.terms)

    def row(self, band: str, term_months: int) -> RateRow:
        """The row of one market.

        Raises:
            NotFound: when there is no such market.
        """
        for row in self.rows:
            if (row.band, row.term_months) == (band, term_months):
                return row
        raise NotFound(f"There is no market {band} over {term_months} months.", field="market")


def current_rate_table() -> RateTableView:
    """The approved rate table; one query.

    Raises:
        NotReady: when none is approved.
    """
    rows = list(_rows().filter(rate_table__state=RateTableState.APPROVED.value))
    if not rows:
        raise NotReady("No rate table is approved: build one and have a second person approve it.")
    return _view(rows)


def rate_table(*, rate_table: RateTable) -> RateTableView:
    """A rate table, approved or not; one query."""
    return _view(list(_rows().filter(rate_table=rate_table)))


def numbered_rate_table(*, number: int) -> RateTable:
    """The rate table of that number; one query.

    Raises:
        NotFound: when there is none.
    """
    table = RateTable.objects.filter(number=number).first()
    if table is None:
        raise NotFound(f"There is no rate table {number}.", field="number")
    return table


def _rows() -> QuerySet[RateTableRow]:
    return RateTableRow.objects.select_related("rate_table").order_by("term_months", "position")


def _view(rows: list[RateTableRow]) -> RateTableView:
    table = rows[0].rate_table
    return RateTableView(
        id=table.pk,
        number=table.number,
        state=RateTableState(table.state),
        model_version_id=table.model_version_id,
        settings=house_from_mapping(table.settings),
        rows=tuple(RateRow(**{name: getattr(row, name) for name in _ROW_FIELDS}) for row in rows),
        built_on=table.built_on,
        approved_on=table.approved_on,
    )
