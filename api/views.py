"""The pages for people: the start page, GraphiQL, and what to say when a form was forged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.generic import TemplateView

from accounts.models import Member
from accounts.selectors.ledger import member_balances
from api.business_date import today
from api.rest.loan_book import READERS
from api.wording import answered
from marketplace.selectors.borrowings import loans_page
from marketplace.selectors.offers import OfferView, offers_page
from marketplace.selectors.paging import Page, PageWanted
from marketplace.selectors.portfolio import portfolio_page, portfolio_totals

_ROWS = PageWanted(size=25)
_OFFERS = PageWanted(size=10)

_OUR_OWN = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
# GraphiQL sets styles from its script and shows pictures that are part of its style sheet.
_GRAPHIQL = f"{_OUR_OWN}; style-src 'self' 'unsafe-inline'; img-src 'self' data:"

View = Callable[..., HttpResponseBase]


def _with_policy(policy: str) -> Callable[[View], View]:
    """Send a Content-Security-Policy: nothing is loaded from another host."""

    def decorated(view: View) -> View:
        def answered(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponseBase:
            response = view(request, *arguments, **named)
            response["Content-Security-Policy"] = policy
            return response

        return answered

    return decorated


our_own_only = _with_policy(_OUR_OWN)


@our_own_only
def start(request: HttpRequest) -> HttpResponse:
    """What is here, and what the person signed in has."""
    context: dict[str, Any] = {"today": today()}
    person = request.user
    if isinstance(person, Member):
        context["reads_loan_book"] = person.role in READERS
        if not person.is_staff:
            context["balances"] = member_balances(person.pk)
        if person.is_lender:
            context["totals"] = portfolio_totals(person.pk)
            context["parts"] = portfolio_page(person.pk, _ROWS)
            context["offers"] = offers_page(person.pk, _OFFERS, today())
            context["queues"] = _queues(context["offers"])
        if person.is_borrower:
            context["loans"] = loans_page(person.pk, _ROWS)
    return render(request, "start.html", context)


def _queues(offers: Page[OfferView]) -> list[dict[str, Any]]:
    """Each offer in each market it asks in or stands in, with its last answer in words."""
    return [
        {"offer": offer, "place": row, "last": row.last and answered(row.last.answer)}
        for offer in offers.rows
        for row in offer.queue
    ]


@method_decorator([ensure_csrf_cookie, _with_policy(_GRAPHIQL)], name="dispatch")
class GraphiQL(TemplateView):
    """GraphiQL from our own files."""

    template_name = "graphiql.html"


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - not for clients
    """A form or query without a valid token (Django's ``CSRF_FAILURE_VIEW``)."""
    message = "The request carries no valid CSRF token. Reload the page and send it again."
    if request.path.startswith("/graphql/"):
        refused = {"message": message, "extensions": {"code": "CSRF_REFUSED"}}
        return JsonResponse({"errors": [refused]}, status=403)
    return render(request, "refused.html", {"message": message}, status=403)
