"""What one request may ask for: how deep, how much in all, and how often the same again.

A query's cost is the number of values it could return, found before anything is read: each field
costs one, what is inside a list or a page costs as many times as the list can be long, and fields
that read or change much cost more. Fragments are measured once, so measuring is quick whatever
the query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)
from graphql.validation import ASTValidationRule, specified_rules

from api.graphql.refusals import TOO_LARGE
from marketplace.selectors.paging import DEFAULT_PAGE, LARGEST_PAGE

DEEPEST = 12
DEAREST = 150_000
MOST_ALIASES = 20
LONGEST_QUERY = 20_000

# Fields that give a page: what is inside counts as often as the page has rows.
PAGES = frozenset(
    {
        "applications",
        "listings",
        "myLoans",
        "notices",
        "offers",
        "portfolio",
        "receipts",
        "statement",
        "withdrawals",
    }
)
# Fields that give a list: how long each can be expected to be.
LISTS: Mapping[str, int] = {
    "asked": 12,
    "distributions": 60,
    "edges": 1,  # counted by the page around it
    "errors": 1,
    "events": 20,
    "history": 100,
    "instalments": 60,
    "ladder": 8,
    "levels": 50,
    "narrowing": 5,
    "lines": 100,
    "markets": 12,
    "payments": 60,
    "queue": 12,
    "rates": 12,
    "ratios": 4,
    "reasons": 5,
}
# Fields that read or change more than what they return.
WORK: Mapping[str, int] = {
    "quote": 2_000,
    "depth": 300,
    "history": 100,
    "queue": 100,
    "spread": 300,
    "totals": 300,
    "portfolio": 200,
    "provisionFund": 500,
    "receipts": 200,
    "myLoans": 200,
    "statement": 500,
    "agreement": 500,
    "placeOffer": 5_000,
    "placePoolOffer": 5_000,
    "changeOffer": 5_000,
    "pauseOffer": 5_000,
    "resumeOffer": 5_000,
    "cancelOffer": 5_000,
    "applyForLoan": 5_000,
    "listLoan": 5_000,
    "acceptAgreement": 5_000,
    "cancelFundedLoan": 5_000,
    "settlementQuote": 2_000,
    "prepaymentQuote": 4_000,
    "holidayQuote": 2_000,
    "dueDayQuote": 2_000,
    "rescissionQuote": 2_000,
    "payLoan": 5_000,
    "prepayLoan": 5_000,
    "settleLoan": 5_000,
    "rescindLoan": 5_000,
    "changeDueDay": 5_000,
    "takeHoliday": 5_000,
    "registerBankDetails": 5_000,
    "setUpDirectDebit": 5_000,
    "cancelDirectDebit": 5_000,
    "requestWithdrawal": 5_000,
    "cancelWithdrawal": 5_000,
}


@dataclass(frozen=True)
class Measure:
    """How deep a selection goes, what it costs, and how many aliases it gives."""

    depth: int = 0
    cost: int = 0
    aliases: int = 0

    def beside(self, other: Measure) -> Measure:
        """Both, side by side."""
        return Measure(
            max(self.depth, other.depth), self.cost + other.cost, self.aliases + other.aliases
        )


class _Measuring:
    """Measures one document, each fragment once."""

    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._measured: dict[str, Measure] = {}

    def selection(self, chosen: SelectionSetNode | None) -> Measure:
        """All that a selection set asks for."""
        whole = Measure()
        for node in chosen.selections if chosen else ():
            whole = whole.beside(self._one(node))
        return whole

    def _one(self, node: SelectionNode) -> Measure:
        if isinstance(node, FieldNode):
            return self._field(node)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value)
        if isinstance(node, InlineFragmentNode):
            return self.selection(node.selection_set)
        return Measure()

    def _fragment(self, name: str) -> Measure:
        if name not in self._measured:
            # A fragment inside itself counts as nothing here: another rule refuses it.
            self._measured[name] = Measure()
            fragment = self._fragments.get(name)
            self._measured[name] = self.selection(fragment.selection_set if fragment else None)
        return self._measured[name]

    def _field(self, node: FieldNode) -> Measure:
        name = node.name.value
        aliases = int(node.alias is not None)
        if name.startswith("__"):
            # Introspection reads nothing, and graphql-core limits its depth.
            return Measure(1, 1, aliases)
        inside = self.selection(node.selection_set)
        times = LISTS.get(name, 1)
        if name in PAGES and node.selection_set is not None:
            times = self._page_size(node)
        return Measure(
            depth=inside.depth + 1,
            cost=1 + WORK.get(name, 0) + times * inside.cost,
            aliases=inside.aliases + aliases,
        )

    def _page_size(self, node: FieldNode) -> int:
        for argument in node.arguments:
            if argument.name.value not in {"first", "last"}:
                continue
            if isinstance(argument.value, IntValueNode):
                return _within_page(int(argument.value.value))
            if isinstance(argument.value, VariableNode):
                given = self._variables.get(argument.value.name.value, DEFAULT_PAGE)
                return _within_page(given) if type(given) is int else LARGEST_PAGE
        return DEFAULT_PAGE


def _within_page(size: int) -> int:
    return min(max(size, 1), LARGEST_PAGE)


def measure(document: DocumentNode, variables: Mapping[str, Any]) -> Measure:
    """The deepest and dearest of a document's operations; aliases are counted over all of them."""
    whole = Measure()
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            measuring = _Measuring(document, {**_defaults(node), **variables})
            one = measuring.selection(node.selection_set)
            whole = Measure(
                max(whole.depth, one.depth),
                max(whole.cost, one.cost),
                whole.aliases + one.aliases,
            )
    return whole


def _defaults(operation: OperationDefinitionNode) -> dict[str, int]:
    return {
        one.variable.name.value: int(one.default_value.value)
        for one in operation.variable_definitions
        if isinstance(one.default_value, IntValueNode)
    }


def rules(variables: Mapping[str, Any]) -> list[type[ASTValidationRule]]:
    """GraphQL's own validation rules, and the limits for a request with these variables."""

    class WithinLimits(ASTValidationRule):
        """Refuses a request beyond the limits, saying what they are."""

        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            """Measure the whole document at once."""
            asked = measure(node, variables)
            for what, found, most in (
                ("goes {} levels deep", asked.depth, DEEPEST),
                ("could return {} values", asked.cost, DEAREST),
                ("gives {} aliases", asked.aliases, MOST_ALIASES),
            ):
                if found > most:
                    self.report_error(
                        GraphQLError(
                            f"The query {what.format(found)}; at most {most} are allowed.",
                            extensions={"code": TOO_LARGE},
                        )
                    )

    return [*specified_rules, WithinLimits]
