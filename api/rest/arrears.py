"""Arrears and bad debt as of a day, for auditors and operations."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import CharField, DateField, IntegerField, Serializer
from rest_framework.views import APIView

from accounts.core.money import CURRENCY, text_from_pence
from accounts.models import Member
from api.errors import Forbidden
from api.rest.loan_book import READERS, OneAnswer, RefusalSerializer, snapshot_date
from api.rest.reconciliation import MoneySerializer
from marketplace.core.bad_debt import ArrearsReport, Count, Group, LendingYear
from marketplace.selectors.arrears_report import arrears_report

ON = OpenApiParameter("on", OpenApiTypes.DATE, description="The day; today without it.")
FORBIDDEN = OpenApiResponse(
    RefusalSerializer, description="Not signed in, or neither an auditor nor operations."
)
REFUSED = OpenApiResponse(RefusalSerializer, description="Not a date, or one in the future.")
_MEASURES = ("running", "forborne", "house_default", "industry_arrears", "industry_default")


class MayReadServicing(BasePermission):
    """Auditors and operations."""

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 - DRF's
        """Whether this person's role reads arrears and the fund.

        Raises:
            Forbidden: it doesn't.
        """
        if not isinstance(request.user, Member) or request.user.role not in READERS:
            raise Forbidden("Arrears and the provision fund are for auditors and operations.")
        return True


class ServicingRead(APIView):
    """What auditors and operations read of servicing."""

    permission_classes = [IsAuthenticated, MayReadServicing]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = OneAnswer


class CountSerializer(Serializer[dict[str, Any]]):
    """So many loans, and the principal outstanding on them."""

    loans = IntegerField()
    principal = MoneySerializer()


class BucketSerializer(CountSerializer):
    """Loans by days past due."""

    days = CharField(help_text='Days past due, such as "1-30"; "0" is none.')


class GroupSerializer(Serializer[dict[str, Any]]):
    """The loans of a market, of a band, or all."""

    name = CharField()
    buckets = BucketSerializer(many=True)
    running = CountSerializer(help_text="Loans that run, all buckets together.")
    forborne = CountSerializer(help_text="Of them, in an arrangement or in hardship.")
    house_default = CountSerializer(help_text="In default by the house's rule of four months.")
    industry_arrears = CountSerializer(help_text="Over 45 days late or renegotiated.")
    industry_default = CountSerializer(help_text="120 days late, or in the house's default.")


class LendingYearSerializer(Serializer[dict[str, Any]]):
    """The industry's three figures for the loans paid out in a calendar year."""

    year = IntegerField()
    loans = IntegerField()
    lent = MoneySerializer()
    outstanding = MoneySerializer(help_text="Principal that runs, not in default.")
    arrears = MoneySerializer(help_text="Of it, on loans in arrears.")
    arrears_ppm = IntegerField(allow_null=True, help_text="Of what is outstanding.")
    expected_defaults = MoneySerializer(help_text="Over their lives, frozen at assessment.")
    expected_ppm = IntegerField(allow_null=True, help_text="Of what was lent.")
    defaults = MoneySerializer(help_text="In default and not recovered, with costs.")
    defaults_ppm = IntegerField(allow_null=True, help_text="Of what was lent.")


class ArrearsReportSerializer(Serializer[dict[str, Any]]):
    """The book by days past due, and the industry's figures."""

    on = DateField()
    all = GroupSerializer()
    bands = GroupSerializer(many=True)
    markets = GroupSerializer(many=True)
    years = LendingYearSerializer(many=True)


class Arrears(ServicingRead):
    """The book by days past due."""

    @extend_schema(
        operation_id="arrears",
        summary="Arrears and bad debt as of the end of a day",
        parameters=[ON],
        responses={200: ArrearsReportSerializer, 400: REFUSED, 403: FORBIDDEN},
    )
    def get(self, request: Request) -> Response:
        """All of it.

        Raises:
            InputRefused: not a date, or one in the future.
        """
        return Response(_report(arrears_report(snapshot_date(request.query_params.get("on")))))


class ArrearsFile(ServicingRead):
    """The same as a file."""

    @extend_schema(
        operation_id="arrears_file",
        summary="Arrears as of the end of a day, as CSV",
        description="A line for each group of loans and measure; amounts in pounds.",
        parameters=[ON],
        responses={(200, "text/csv"): OpenApiTypes.STR, 400: REFUSED, 403: FORBIDDEN},
    )
    def get(self, request: Request) -> HttpResponse:
        """All groups, a line a measure.

        Raises:
            InputRefused: not a date, or one in the future.
        """
        report = arrears_report(snapshot_date(request.query_params.get("on")))
        rows = [
            (name, group.name, measure, count.loans, text_from_pence(count.principal))
            for name, groups in (
                ("all", (report.all,)),
                ("band", report.bands),
                ("market", report.markets),
            )
            for group in groups
            for measure, count in _counts(group)
        ]
        header = ("group", "name", "measure", "loans", "principal")
        return csv_file(f"arrears_{report.on.isoformat()}.csv", header, rows)


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> HttpResponse:
    """Rows as a CSV file to be kept."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return HttpResponse(
        buffer.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )


def money(pence: int) -> dict[str, str]:
    """An amount on the wire."""
    return {"amount": text_from_pence(pence), "currency": CURRENCY}


def _counts(group: Group) -> list[tuple[str, Count]]:
    buckets = [(f"days {bucket.value}", count) for bucket, count in group.buckets]
    return [*buckets, *((name, getattr(group, name)) for name in _MEASURES)]


def _report(report: ArrearsReport) -> dict[str, Any]:
    return {
        "on": report.on,
        "all": _group(report.all),
        "bands": [_group(group) for group in report.bands],
        "markets": [_group(group) for group in report.markets],
        "years": [_year(year) for year in report.years],
    }


def _count(count: Count) -> dict[str, Any]:
    return {"loans": count.loans, "principal": money(count.principal)}


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "buckets": [{"days": bucket.value} | _count(count) for bucket, count in group.buckets],
    } | {name: _count(getattr(group, name)) for name in _MEASURES}


def _year(year: LendingYear) -> dict[str, Any]:
    return {
        "year": year.year,
        "loans": year.loans,
        "lent": money(year.lent),
        "outstanding": money(year.outstanding),
        "arrears": money(year.arrears),
        "arrears_ppm": year.arrears_ppm,
        "expected_defaults": money(year.expected_defaults),
        "expected_ppm": year.expected_ppm,
        "defaults": money(year.defaults),
        "defaults_ppm": year.defaults_ppm,
    }
