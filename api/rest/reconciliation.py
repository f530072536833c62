"""Reconciliations and breaks, for auditors and operations."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import (
    BooleanField,
    CharField,
    ChoiceField,
    DateField,
    DateTimeField,
    IntegerField,
    Serializer,
)
from rest_framework.views import APIView

from accounts.core.money import CURRENCY, text_from_pence
from accounts.core.reconciliation import BreakState, ReconciliationKind
from accounts.models import Member
from accounts.selectors.reconciliations import (
    BreakView,
    ReconciliationView,
    latest_reconciliations,
    list_breaks,
)
from api.business_date import today
from api.errors import Forbidden, InputRefused
from api.rest.loan_book import READERS, OneAnswer, RefusalSerializer

_PAGE = 30


class MoneySerializer(Serializer[dict[str, str]]):
    """An amount of money; below nothing with a minus."""

    amount = CharField(help_text="Pounds with two decimals.")
    currency = CharField()


class CheckSerializer(Serializer[dict[str, Any]]):
    """What one rule found."""

    rule = CharField()
    title = CharField(help_text="What must hold.")
    expected = MoneySerializer()
    found = MoneySerializer()
    checked = IntegerField(help_text="How many things were looked at.")
    wrong = IntegerField(help_text="How many of them differ.")


class ReconciliationSerializer(Serializer[dict[str, Any]]):
    """One reconciliation as it was made."""

    id = IntegerField()
    on = DateField(help_text="The business date.")
    kind = ChoiceField([kind.value for kind in ReconciliationKind])
    holds = BooleanField()
    actor = CharField()
    made_at = DateTimeField()
    checks = CheckSerializer(many=True)


class BreakSerializer(Serializer[dict[str, Any]]):
    """A break, with its age and who closed it."""

    id = IntegerField()
    rule = CharField()
    reference = CharField(help_text="What it is about.")
    amount = MoneySerializer(help_text="What was found, less what was expected.")
    detail = CharField()
    first_seen_on = DateField()
    last_seen_on = DateField()
    age = IntegerField(help_text="Days it has been there, or was until it was closed.")
    state = ChoiceField([state.value for state in BreakState])
    resolved_on = DateField(allow_null=True)
    resolved_by = CharField()
    note = CharField()
    follows = IntegerField(allow_null=True, help_text="The break of the same thing before it.")


class MayReadReconciliations(BasePermission):
    """Auditors and operations."""

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 - DRF's
        """Whether this person's role reads reconciliations.

        Raises:
            Forbidden: it doesn't.
        """
        if not isinstance(request.user, Member) or request.user.role not in READERS:
            raise Forbidden("Reconciliations are for auditors and operations.")
        return True


class _Read(APIView):
    permission_classes = [IsAuthenticated, MayReadReconciliations]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = OneAnswer


_FORBIDDEN = OpenApiResponse(
    RefusalSerializer, description="Not signed in, or neither an auditor nor operations."
)
_REFUSED = OpenApiResponse(RefusalSerializer, description="A parameter that can't be read.")


class Reconciliations(_Read):
    """What was reconciled."""

    @extend_schema(
        operation_id="reconciliations",
        summary=f"Up to {_PAGE} reconciliations, the newest first",
        parameters=[
            OpenApiParameter(
                "before", OpenApiTypes.INT, description="Go on after the one of this number."
            )
        ],
        responses={200: ReconciliationSerializer(many=True), 400: _REFUSED, 403: _FORBIDDEN},
    )
    def get(self, request: Request) -> Response:
        """List them.

        Raises:
            InputRefused: not a number.
        """
        before = request.query_params.get("before")
        if before is not None and not (before.isascii() and before.isdigit() and len(before) < 19):
            raise InputRefused(f"'{before}' is not a reconciliation's number.", field="before")
        made = latest_reconciliations(_PAGE, before=None if before is None else int(before))
        return Response([_reconciliation(each) for each in made])


class Breaks(_Read):
    """What differs, or did."""

    @extend_schema(
        operation_id="breaks",
        summary="Breaks, the oldest first",
        parameters=[
            OpenApiParameter(
                "state",
                OpenApiTypes.STR,
                enum=[*(state.value for state in BreakState), "all"],
                description="Open ones without it.",
            )
        ],
        responses={200: BreakSerializer(many=True), 400: _REFUSED, 403: _FORBIDDEN},
    )
    def get(self, request: Request) -> Response:
        """List them, with their age today.

        Raises:
            InputRefused: no such state.
        """
        wanted = request.query_params.get("state", BreakState.OPEN.value)
        states = [state for state in BreakState if wanted in (state.value, "all")]
        if not states:
            raise InputRefused(
                "A break is open, resolved or cleared; or ask for all.", field="state"
            )
        return Response([_break(each) for each in list_breaks(states)])


def _money(pence: int) -> dict[str, str]:
    return {"amount": text_from_pence(pence), "currency": CURRENCY}


def _reconciliation(made: ReconciliationView) -> dict[str, Any]:
    return {
        "id": made.id,
        "on": made.on,
        "kind": made.kind.value,
        "holds": made.holds,
        "actor": made.actor,
        "made_at": made.made_at,
        "checks": [
            {
                "rule": check.rule,
                "title": check.title,
                "expected": _money(check.expected),
                "found": _money(check.found),
                "checked": check.checked,
                "wrong": check.wrong,
            }
            for check in made.checks
        ],
    }


def _break(each: BreakView) -> dict[str, Any]:
    return {
        "id": each.id,
        "rule": each.rule,
        "reference": each.reference,
        "amount": _money(each.amount),
        "detail": each.detail,
        "first_seen_on": each.first_seen_on,
        "last_seen_on": each.last_seen_on,
        "age": each.age(today()),
        "state": each.state.value,
        "resolved_on": each.resolved_on,
        "resolved_by": each.resolved_by,
        "note": each.note,
        "follows": each.follows,
    }
