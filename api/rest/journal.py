"""The journal as a file, for auditors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import chain

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.models import Member, Role
from accounts.selectors.journal_export import export_journal, numbers_of_period
from api.errors import Forbidden, InputRefused
from api.rest.loan_book import OneAnswer, RefusalSerializer


class MayReadJournal(BasePermission):
    """Auditors."""

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 - DRF's
        """Whether this person's role reads the journal.

        Raises:
            Forbidden: it doesn't.
        """
        if not isinstance(request.user, Member) or request.user.role != Role.AUDITOR:
            raise Forbidden("The journal is for auditors.")
        return True


class Journal(APIView):
    """The sealed entries of a period."""

    permission_classes = [IsAuthenticated, MayReadJournal]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = OneAnswer

    @extend_schema(
        operation_id="journal",
        summary="The sealed entries of a period, as JSON lines that can be verified offline",
        description=(
            "The shortest run of the journal that holds every sealed entry of the period. Check"
            " the file with `python -m accounts.verify`. A download that breaks off has no footer."
        ),
        parameters=[
            OpenApiParameter(
                "from", OpenApiTypes.DATE, required=True, description="The first business date."
            ),
            OpenApiParameter(
                "until", OpenApiTypes.DATE, required=True, description="The day after the last."
            ),
        ],
        responses={
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            400: OpenApiResponse(RefusalSerializer, description="Not a period."),
            403: OpenApiResponse(
                RefusalSerializer, description="Not signed in, or not an auditor."
            ),
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Stream it, one line an entry.

        Raises:
            InputRefused: not a date.
            JournalRangeRefused: a period that ends before it begins.
        """
        first, until = (_day(request, name) for name in ("from", "until"))
        return StreamingHttpResponse(
            _begun(export_journal(numbers_of_period(first, until))),
            content_type="application/x-ndjson",
            headers={
                "Content-Disposition": f'attachment; filename="journal_{first}_{until}.jsonl"',
                "Cache-Control": "no-store",
            },
        )


def _day(request: Request, name: str) -> date:
    text = request.query_params.get(name, "")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputRefused(f"'{text}' is not a date such as 2018-04-30.", field=name) from None


def _begun(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The same lines, the first read already: what fails, fails before the response begins."""
    return chain([next(lines)], lines)
