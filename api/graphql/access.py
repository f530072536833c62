"""Who asks, and whether they are somebody who may: the first thing that each resolver does."""

from __future__ import annotations

import graphene

from accounts.models import Member
from api.errors import Forbidden, Unauthenticated


def signed_in(info: graphene.ResolveInfo) -> Member:
    """Who asks.

    Raises:
        Unauthenticated: nobody is signed in.
    """
    user = info.context.user
    if not isinstance(user, Member):
        raise Unauthenticated("Sign in first.")
    return user


def account_holder(info: graphene.ResolveInfo) -> Member:
    """The member who asks, who isn't staff: staff hold no money.

    Raises:
        Unauthenticated, Forbidden.
    """
    member = signed_in(info)
    if member.is_staff:
        raise Forbidden("Only members have money here.")
    return member


def lender(info: graphene.ResolveInfo) -> Member:
    """The lender who asks.

    Raises:
        Unauthenticated, Forbidden.
    """
    member = signed_in(info)
    if not member.is_lender:
        raise Forbidden("Only a lender can do this.")
    return member


def borrower(info: graphene.ResolveInfo) -> Member:
    """The borrower who asks.

    Raises:
        Unauthenticated, Forbidden.
    """
    member = signed_in(info)
    if not member.is_borrower:
        raise Forbidden("Only a borrower can do this.")
    return member
