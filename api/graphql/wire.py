"""Money, rates and their like on the wire: decimal strings and whole parts per million."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

import graphene

from accounts.core.money import CURRENCY, Pence, pence_from_text, text_from_pence
from accounts.models import Role
from api.wording import percent
from marketplace.core.match_answers import MatchAnswer
from marketplace.core.standing import Pricing
from marketplace.core.states import ApplicationState, ListingState, LoanState, OfferState

MemberRole = graphene.Enum.from_enum(Role, name="Role")
ApplicationStateType = graphene.Enum.from_enum(ApplicationState)
ListingStateType = graphene.Enum.from_enum(ListingState)
LoanStateType = graphene.Enum.from_enum(LoanState)
OfferStateType = graphene.Enum.from_enum(OfferState)
PricingType = graphene.Enum.from_enum(Pricing)
MatchAnswerType = graphene.Enum.from_enum(MatchAnswer)


class Currency(graphene.Enum):
    """The one currency that is handled."""

    GBP = CURRENCY


class Money(graphene.ObjectType):
    """An amount of money, exact."""

    amount = graphene.String(required=True, description='Pounds, such as "10.00".')
    currency = graphene.Field(Currency, required=True)

    @staticmethod
    def resolve_amount(root: Pence, info: graphene.ResolveInfo) -> str:
        """Pence as pounds with two decimals."""
        return text_from_pence(root)

    @staticmethod
    def resolve_currency(root: Pence, info: graphene.ResolveInfo) -> str:
        """Always pounds sterling."""
        return CURRENCY


class MoneyInput(graphene.InputObjectType):
    """An amount of money."""

    amount = graphene.String(required=True, description='Pounds, such as "10.00".')
    currency = Currency(required=True)


class Rate(graphene.ObjectType):
    """An annual effective rate, exact."""

    ppm = graphene.Int(required=True, description="Parts per million: 71250 is 7.125 %.")
    percent = graphene.String(required=True, description='Per cent, such as "7.125".')

    @staticmethod
    def resolve_ppm(root: int, info: graphene.ResolveInfo) -> int:
        """The rate itself."""
        return root

    @staticmethod
    def resolve_percent(root: int, info: graphene.ResolveInfo) -> str:
        """Per cent with two to four decimals."""
        return percent(root)


class RateInput(graphene.InputObjectType):
    """An annual effective rate."""

    ppm = graphene.Int(required=True, description="Parts per million: 71250 is 7.125 %.")


class Share(graphene.ObjectType):
    """A share of a whole, exact."""

    ppm = graphene.Int(required=True, description="Parts per million: 250000 is 25 %.")
    percent = graphene.String(required=True, description='Per cent, such as "25.00".')

    @staticmethod
    def resolve_ppm(root: int, info: graphene.ResolveInfo) -> int:
        """The share itself."""
        return root

    @staticmethod
    def resolve_percent(root: int, info: graphene.ResolveInfo) -> str:
        """Per cent with two to four decimals."""
        return percent(root)


class ShareInput(graphene.InputObjectType):
    """A share of a whole."""

    ppm = graphene.Int(required=True, description="Parts per million: 250000 is 25 %.")


def pence(money: MoneyInput, *, field: str) -> Pence:
    """An amount that came in, as pence.

    Raises:
        AmountRefused: for anything but pounds with at most two decimals.
    """
    return pence_from_text(money.amount, field=field)
