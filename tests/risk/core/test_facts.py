"""One application's facts: completed, checked, refused."""

from __future__ import annotations

import pytest

from risk.core.content import canonical_json, content_hash
from risk.core.errors import ColumnRefused, FactsRefused, MoveRefused
from risk.core.facts import ApplicationFacts, prepare_facts, term_of, what_is_asked
from risk.core.spec import DataSpec
from risk.core.states import MODEL_MOVES, ModelState, require_move
from risk.core.table import Fact

COLUMNS = ("amount", "term", "income", "searches", "home", "town", "sex", "price")


def _application(
    facts: dict[str, Fact] | None = None, *, term_months: int = 36, amount: int = 100_000
) -> ApplicationFacts:
    return ApplicationFacts("application-7", amount, term_months, facts or {})


def test_amount_and_term_come_from_the_application(spec: DataSpec) -> None:
    facts = prepare_facts(
        _application({"term": "long", "income": 3}, amount=123_450), spec, COLUMNS
    )
    assert facts == {"amount": 1_234.5, "term": "short", "income": 3}


def test_income_is_a_month_s_in_pence(spec: DataSpec) -> None:
    asked = what_is_asked(_application(), {"income": 24_000}, spec)
    assert (asked.monthly_income_pence, asked.income_known) == (200_000.0, True)
    assert what_is_asked(_application(), {}, spec).monthly_income_pence is None


def test_the_term_of_a_past_application(spec: DataSpec) -> None:
    assert term_of({"term": "long"}, spec) == 60
    assert term_of({"term": "forever"}, spec) is None


@pytest.mark.parametrize("column", ["price", "sex", "outcome"])
def test_prices_protected_attributes_and_outcomes_are_no_facts(spec: DataSpec, column: str) -> None:
    with pytest.raises(ColumnRefused, match="application-7") as refused:
        prepare_facts(_application({column: 1}), spec, COLUMNS)
    assert refused.value.field == column


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"shoe_size": 43}, "shoe_size"),
        ({"income": float("inf")}, "income"),
        ({"income": float("nan")}, "income"),
        ({"income": True}, "income"),
        ({"income": -1}, "income"),
        ({"searches": 1_000}, "searches"),
    ],
)
def test_facts_of_no_use_are_refused(spec: DataSpec, facts: dict[str, Fact], field: str) -> None:
    with pytest.raises(FactsRefused, match="application-7") as refused:
        prepare_facts(_application(facts), spec, COLUMNS)
    assert refused.value.field == field


def test_an_unknown_term_or_no_amount_is_refused(spec: DataSpec) -> None:
    with pytest.raises(FactsRefused, match="48 months"):
        prepare_facts(_application(term_months=48), spec, COLUMNS)
    with pytest.raises(FactsRefused, match="amount"):
        prepare_facts(_application(amount=0), spec, COLUMNS)


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})
    with pytest.raises(FactsRefused):
        canonical_json({"a": float("nan")})


def test_moves_that_are_not_in_the_table_are_refused() -> None:
    require_move(MODEL_MOVES, ModelState.APPROVED, ModelState.CHAMPION)
    with pytest.raises(MoveRefused, match="retired can't become champion"):
        require_move(MODEL_MOVES, ModelState.RETIRED, ModelState.CHAMPION)
