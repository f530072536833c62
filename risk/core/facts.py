"""One application's facts, checked against the specification of the model's data."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from risk.core.decision import Asked
from risk.core.errors import ColumnRefused, FactsRefused
from risk.core.spec import DataSpec
from risk.core.table import Fact, Facts


@dataclass(frozen=True, slots=True)
class ApplicationFacts:
    """What is assessed: a ``reference`` of the caller's, pence, months, and facts by column.

    The specification's columns of amount and term are filled from ``amount`` and ``term_months``,
    whatever the facts say of them. A fact that is not there is missing.
    """

    reference: str
    amount: int
    term_months: int
    facts: Facts


def prepare_facts(
    application: ApplicationFacts, spec: DataSpec, columns: Collection[str]
) -> dict[str, Fact]:
    """The facts of an application, complete and checked.

    Args:
        columns: those of the data set that the model was trained on, without the outcome.

    Raises:
        ColumnRefused: for a price, protected or outcome column among the facts.
        FactsRefused: for an unknown column, a value of no use, or a term that the data has not.
    """
    whose = application.reference
    if application.amount <= 0:
        raise FactsRefused(f"{whose}: the amount must be above zero.", field="amount")
    barred = {spec.outcome_column, *spec.price_columns, *spec.protected_columns}
    for name in application.facts:
        if name in barred:
            raise ColumnRefused(
                f"{whose}: {name} is a price, a protected attribute or the outcome, not a fact.",
                field=name,
            )
        if name not in columns:
            raise FactsRefused(f"{whose}: the model's data has no column {name}.", field=name)
    facts = dict(application.facts)
    if spec.amount_column is not None:
        facts[spec.amount_column] = application.amount / 100
    if spec.term_column is not None:
        facts[spec.term_column] = _term_value(application, spec)
    for name, value in facts.items():
        _check_value(whose, name, value, spec)
    return facts


def what_is_asked(application: ApplicationFacts, facts: Facts, spec: DataSpec) -> Asked:
    """What the hard rules look at: amount, term, and income a month in pence."""
    income = facts.get(spec.income.column) if spec.income is not None else None
    monthly = (
        float(income) * 100 / spec.income.months
        if spec.income is not None and isinstance(income, int | float)
        else None
    )
    return Asked(application.amount, application.term_months, monthly, spec.income is not None)


def term_of(facts: Facts, spec: DataSpec) -> int | None:
    """The term in months that the facts of a past application tell, if they do."""
    value = facts.get(spec.term_column) if spec.term_column is not None else None
    if not spec.term_months:
        return int(value) if isinstance(value, int | float) else None
    return spec.term_months.get(str(value))


def _term_value(application: ApplicationFacts, spec: DataSpec) -> Fact:
    if not spec.term_months:
        return application.term_months
    for level, months in spec.term_months.items():
        if months == application.term_months:
            return level
    raise FactsRefused(
        f"{application.reference}: the model knows no loan over {application.term_months} months.",
        field="term_months",
    )


def _check_value(whose: str, name: str, value: object, spec: DataSpec) -> None:
    if value is None or isinstance(value, str):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FactsRefused(f"{whose}: {name} must be a finite number or text.", field=name)
    column = spec.column(name)
    least = -math.inf if column.least is None else column.least
    most = math.inf if column.most is None else column.most
    if not least <= value <= most:
        raise FactsRefused(
            f"{whose}: {name} is {value}, not a sane value: expected {least:,.15g} to "
            f"{most:,.15g}.",
            field=name,
        )
