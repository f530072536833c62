"""What a lender should expect of the parts held: a range, with and without the fund."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene

from api.graphql.wire import Money, Rate, Share
from risk.core.expectation_outcomes import Expectation as ExpectationView
from risk.core.expectation_outcomes import Narrowing as NarrowingView
from risk.core.expectation_outcomes import Outcomes as OutcomesView
from risk.core.pricing import to_ppm


class Outcomes(graphene.ObjectType):
    """The outcome to maturity, as the model has it: nobody promises it.

    One time in twenty it is below the low, and one time in twenty above the high.
    """

    expected_profit = graphene.Field(
        Money, required=True, description="Interest after the fee, less losses."
    )
    expected_return = graphene.Field(Rate, required=True, description="The same a year.")
    chance_of_loss = graphene.Field(
        Share, required=True, description="Of getting back less than is owed now."
    )
    profit_low = graphene.Field(Money, required=True, description="5th percentile.")
    profit_high = graphene.Field(Money, required=True, description="95th percentile.")
    return_low = graphene.Field(Rate, required=True, description="5th percentile, a year.")
    return_high = graphene.Field(Rate, required=True, description="95th percentile, a year.")
    worst_loss = graphene.Field(
        Money,
        required=True,
        description="What defaults cost in the worst one of a thousand outcomes, before interest.",
    )

    @staticmethod
    def resolve_expected_profit(root: OutcomesView, info: graphene.ResolveInfo) -> int:
        """Whole pence."""
        return round(root.expected_profit)

    @staticmethod
    def resolve_expected_return(root: OutcomesView, info: graphene.ResolveInfo) -> int:
        """Parts per million."""
        return int(to_ppm(root.expected_return))

    @staticmethod
    def resolve_chance_of_loss(root: OutcomesView, info: graphene.ResolveInfo) -> int:
        """Parts per million."""
        return int(to_ppm(root.chance_of_loss))

    @staticmethod
    def resolve_return_low(root: OutcomesView, info: graphene.ResolveInfo) -> int:
        """Parts per million."""
        return int(to_ppm(root.return_low))

    @staticmethod
    def resolve_return_high(root: OutcomesView, info: graphene.ResolveInfo) -> int:
        """Parts per million."""
        return int(to_ppm(root.return_high))


class Narrowing(graphene.ObjectType):
    """The same mix of risks, evenly over another number of borrowers."""

    borrowers = graphene.Int(required=True)
    outcomes = graphene.Field(Outcomes, required=True, description="Without the fund.")

    @staticmethod
    def resolve_outcomes(root: NarrowingView, info: graphene.ResolveInfo) -> Any:
        """As they are."""
        return root.outcomes


class Expectation(graphene.ObjectType):
    """What to expect of the parts of loans that run, held to maturity.

    Loans in default are left out: their loss has happened. Forecasts are those frozen when each
    loan was assessed.
    """

    parts = graphene.Int(required=True)
    borrowers = graphene.Int(required=True)
    outstanding = graphene.Field(Money, required=True)
    covered = graphene.Field(
        Money, required=True, description="Of that, in markets covered by the provision fund."
    )
    average_months = graphene.Float(
        required=True, description="How long a pound outstanding is at work, in expectation."
    )
    without_fund = graphene.Field(Outcomes, required=True)
    with_fund = graphene.Field(
        Outcomes,
        required=True,
        description="If the provision fund paid in full. It may pay less, or nothing: it is no "
        "guarantee.",
    )
    narrowing = graphene.List(
        graphene.NonNull(Narrowing),
        required=True,
        description="How the range narrows as money is spread over more borrowers.",
    )

    @staticmethod
    def resolve_average_months(root: ExpectationView, info: graphene.ResolveInfo) -> float:
        """To one decimal."""
        return round(root.average_months, 1)
