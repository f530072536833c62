"""The endpoint: graphene-django's view with limits, typed refusals, and no stack trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponseBadRequest
from graphene_django.views import GraphQLView, HttpError

from api.graphql.limits import LONGEST_QUERY, rules
from api.graphql.refusals import formatted


class Endpoint(GraphQLView):
    """GraphQL over HTTP; sessions sign in, so Django's check against forged requests stays on."""

    def get_graphql_params(self, request: HttpRequest, data: Any) -> tuple[Any, Any, Any, Any]:
        """What was asked, refused where it is not what GraphQL over HTTP says it must be."""
        query, variables, operation, identifier = GraphQLView.get_graphql_params(request, data)
        if not isinstance(query, str) or not query:
            raise _bad("Send a 'query'.")
        if len(query) > LONGEST_QUERY:
            raise _bad(f"A query has at most {LONGEST_QUERY} characters.")
        if not isinstance(variables or {}, Mapping):
            raise _bad("'variables' is an object.")
        if not isinstance(operation, str | None):
            raise _bad("'operationName' is a text.")
        return query, variables or {}, operation, identifier

    def execute_graphql_request(
        self,
        request: HttpRequest,
        data: Any,
        query: str,
        variables: Mapping[str, Any],
        operation_name: str | None,
        show_graphiql: bool = False,  # noqa: FBT001, FBT002 - graphene-django's signature
    ) -> Any:
        """Execute within the limits, which depend on the variables."""
        self.validation_rules = rules(variables)
        return super().execute_graphql_request(
            request, data, query, variables, operation_name, show_graphiql
        )

    @staticmethod
    def format_error(error: Exception) -> dict[str, Any]:
        """Codes for refusals, a reference for faults."""
        return formatted(error)


def _bad(message: str) -> HttpError:
    return HttpError(HttpResponseBadRequest(message))
