"""The provision fund's coverage: money and losses side by side, never a ratio alone."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene

from api.graphql.wire import Money
from marketplace.core.fund_coverage import Coverage as CoverageView
from marketplace.core.fund_coverage import CoverageRatio as CoverageRatioView
from marketplace.core.fund_coverage import FundFigures as FundFiguresView


class FundCoverageRatio(graphene.ObjectType):
    """The fund's money against losses still to come.

    There is no field for a bare ratio: the sentence has it with both of its sides.
    """

    stressed = graphene.Boolean(required=True, description="Losses of a very bad year.")
    with_future_income = graphene.Boolean(
        required=True,
        description="Counts contributions and recoveries to come, and the losses that bring them.",
    )
    money = graphene.Field(Money, required=True, description="What the fund has, or would have.")
    losses = graphene.Field(Money, required=True, description="What it is set against.")
    missing = graphene.Field(
        Money, required=True, description="By how much the money falls short of the losses."
    )
    sentence = graphene.String(required=True, description="All of it for a person.")

    @staticmethod
    def resolve_with_future_income(root: CoverageRatioView, info: graphene.ResolveInfo) -> bool:
        """As it is."""
        return root.with_income


class ProvisionFundFigures(graphene.ObjectType):
    """Everything that coverage is made of."""

    balance = graphene.Field(Money, required=True, description="The fund's money.")
    waiting = graphene.Field(
        Money, required=True, description="Claims, or the rest of claims, not decided to the end."
    )
    loans = graphene.Int(required=True, description="Covered loans that run.")
    outstanding = graphene.Field(Money, required=True, description="Principal owed on them.")
    in_trouble = graphene.Field(
        Money,
        required=True,
        description="Of it, on loans more than 45 days late, in an arrangement or in hardship. "
        "Expected losses count them as if they were on time, stressed ones as lost.",
    )
    losses = graphene.Field(
        Money, required=True, description="What those loans are expected to lose yet."
    )
    stressed_losses = graphene.Field(Money, required=True)
    coming_loans = graphene.Int(required=True, description="Covered loans not yet paid out.")
    contributions = graphene.Field(Money, required=True, description="What those will contribute.")
    coming_losses = graphene.Field(Money, required=True, description="What they should lose.")
    coming_stressed_losses = graphene.Field(Money, required=True)
    owned = graphene.Field(Money, required=True, description="Claims that the fund has paid for.")
    recoveries = graphene.Field(
        Money, required=True, description="What those and the waiting claims should bring yet."
    )
    stressed_recoveries = graphene.Field(Money, required=True)


class ProvisionFund(graphene.ObjectType):
    """How far the provision fund goes. It is discretionary, and no guarantee."""

    warning = graphene.String(
        required=True, description="Show it wherever anything of this is shown."
    )
    headline = graphene.String(required=True, description="For who reads no further.")
    covers_expected = graphene.Boolean(
        required=True, description="Whether the fund's money covers the losses expected today."
    )
    ratios = graphene.List(
        graphene.NonNull(FundCoverageRatio),
        required=True,
        description="Under expected and stressed losses, without and with future income; the "
        "worst first.",
    )
    figures = graphene.Field(ProvisionFundFigures, required=True)

    @staticmethod
    def resolve_figures(root: CoverageView, info: graphene.ResolveInfo) -> FundFiguresView:
        """As they are."""
        return root.figures

    @staticmethod
    def resolve_ratios(root: CoverageView, info: graphene.ResolveInfo) -> list[Any]:
        """The worst first."""
        return list(root.ratios)
