"""The loan book as a file, for auditors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import chain

from django.conf import settings
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.serializers import CharField, Serializer
from rest_framework.views import APIView

from accounts.models import Member, Role
from api.business_date import today
from api.errors import Forbidden, InputRefused
from marketplace.selectors.loan_book import loan_book_csv

READERS = frozenset({Role.AUDITOR, Role.OPERATIONS})


class MayReadLoanBook(BasePermission):
    """Auditors and operations."""

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 - DRF's
        """Whether this person's role reads the loan book.

        Raises:
            Forbidden: it doesn't.
        """
        if not isinstance(request.user, Member) or request.user.role not in READERS:
            raise Forbidden("The loan book is for auditors and operations.")
        return True


class OneAnswer(DefaultContentNegotiation):
    """A file, or a refusal in JSON, whatever the client says that it accepts."""

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002 - what it accepts changes nothing
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002 - likewise
    ) -> tuple[BaseRenderer, str]:
        """For refusals; the file is streamed past it."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class RefusalSerializer(Serializer[object]):
    """A refusal."""

    code = CharField(help_text="Stable: match this one.")
    field = CharField(allow_null=True, help_text="The input that was refused.")
    message = CharField(help_text="A sentence for a person.")


def _refusal(description: str) -> OpenApiResponse:
    return OpenApiResponse(RefusalSerializer, description=description)


class LoanBook(APIView):
    """The loan book as of the end of a day."""

    permission_classes = [IsAuthenticated, MayReadLoanBook]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = OneAnswer

    @extend_schema(
        operation_id="loan_book",
        summary="The loan book as of the end of a day, as CSV",
        description="One line a loan that was paid out by then, in fourteen columns.",
        parameters=[
            OpenApiParameter(
                "on", OpenApiTypes.DATE, description="The snapshot date; today without it."
            )
        ],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            400: _refusal("Not a date, or one in the future."),
            403: _refusal("Not signed in, or neither an auditor nor operations."),
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Stream it, one line a loan.

        Raises:
            InputRefused: not a date, or one in the future.
        """
        on = snapshot_date(request.query_params.get("on"))
        return StreamingHttpResponse(
            _begun(loan_book_csv(on, secret=settings.LOAN_BOOK_SECRET)),
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": (
                    f'attachment; filename="data_for_loanbook_extract_{on.isoformat()}.csv"'
                ),
                "Cache-Control": "no-store",
            },
        )


def snapshot_date(text: str | None) -> date:
    """The day that is asked for, today without one.

    Raises:
        InputRefused: not a date, or one in the future.
    """
    if text is None:
        return today()
    try:
        on = date.fromisoformat(text)
    except ValueError:
        raise InputRefused(f"'{text}' is not a date such as 2018-04-30.", field="on") from None
    if on > today():
        raise InputRefused(f"{on} is in the future; today is {today()}.", field="on")
    return on


def _begun(lines: Iterator[str]) -> Iterator[str]:
    """The same lines, the first read already: what fails, fails before the response begins."""
    return chain([next(lines)], lines)
