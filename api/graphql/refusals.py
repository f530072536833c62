"""Refusals in GraphQL: inside an answer's ``errors``, or beside the data with a code."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import graphene
from graphene_django.views import HttpError
from graphql import GraphQLError

from api.errors import told
from api.graphql.wire import Money

TOO_LARGE = "QUERY_TOO_LARGE"

# Services name their own arguments; these are called otherwise in the schema. What is not here,
# such as the name of a fact, is the client's own word.
_FIELDS = {
    "account_number": "accountNumber",
    "application": "applicationId",
    "exposure_limit": "exposureLimit",
    "exposure_share": "exposureShare",
    "highest_rate": "highestRate",
    "key": "idempotencyKey",
    "loan": "loanId",
    "offer": "offerId",
    "payment": "withdrawalId",
    "sort_code": "sortCode",
    "term_months": "termMonths",
}


class Refusal(graphene.ObjectType):
    """Why something was not done. Nothing of it was."""

    code = graphene.String(required=True, description="Stable: match this one.")
    field = graphene.String(description="The input that was refused, when there is one.")
    message = graphene.String(required=True, description="A sentence for a person.")
    fundable = graphene.Field(Money, description="How much could be funded, for NOT_ENOUGH_OFFERS.")


class Answer:
    """Fields of everything that answers with either a result or refusals."""

    errors = graphene.List(
        graphene.NonNull(Refusal),
        required=True,
        description="Why it was refused; empty when it was done.",
    )

    @staticmethod
    def resolve_errors(root: Any, info: graphene.ResolveInfo) -> list[Refusal]:
        """None given means that nothing was refused."""
        return root.errors or []


def refusal(error: BaseException) -> Refusal:
    """What a client is told of an error."""
    known = told(error)
    return Refusal(
        code=known.code,
        field=_in_schema(known.field),
        message=known.message,
        fundable=known.fundable,
    )


def refusing(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """Let a class method that answers turn whatever is raised into the answer's ``errors``."""

    @functools.wraps(resolve)
    def answered(cls: Any, root: Any, info: graphene.ResolveInfo, **arguments: Any) -> Any:
        try:
            return resolve(cls, root, info, **arguments)
        except Exception as error:  # noqa: BLE001 - told() logs what is not a refusal
            return cls(errors=[refusal(error)])

    return answered


def formatted(error: Exception) -> dict[str, Any]:
    """One entry of the response's ``errors``: a code for what was refused, never a trace."""
    if isinstance(error, HttpError):
        return {"message": error.message, "extensions": {"code": "REQUEST_REFUSED"}}
    if isinstance(error, RecursionError):
        return {"message": "The query nests too deep.", "extensions": {"code": TOO_LARGE}}
    if isinstance(error, GraphQLError) and error.path is None:
        # The query itself: syntax, unknown fields, variables, limits.
        code = (error.extensions or {}).get("code", "QUERY_REFUSED")
        return {**error.formatted, "extensions": {"code": code}}
    raised = error.original_error if isinstance(error, GraphQLError) else None
    known = told(raised or error)
    return {
        **(error.formatted if isinstance(error, GraphQLError) else {}),
        "message": known.message,
        "extensions": {"code": known.code, "field": _in_schema(known.field)},
    }


def _in_schema(field: str | None) -> str | None:
    return None if field is None else _FIELDS.get(field, field)
