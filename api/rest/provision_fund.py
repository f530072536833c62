"""The provision fund for auditors and operations: its decisions, and where its money went."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import CharField, DateField, IntegerField, ListField, Serializer

from accounts.core.money import text_from_pence
from api.rest.arrears import FORBIDDEN, ON, REFUSED, ServicingRead, csv_file, money
from api.rest.loan_book import snapshot_date
from api.rest.reconciliation import MoneySerializer
from marketplace.selectors.fund_coverage import fund_report
from marketplace.selectors.provision_fund import DecisionView, FundDay, fund_history

_MOVED = ("fed", "paid", "recovered", "other", "balance")


class FundDaySerializer(Serializer[dict[str, Any]]):
    """A business date on which the fund's money moved; outgoing amounts with a minus."""

    on = DateField()
    fed = MoneySerializer(help_text="Contributions of loans paid out.")
    paid = MoneySerializer(help_text="To lenders, for claims.")
    recovered = MoneySerializer(help_text="Of claims that the fund owns, net of costs.")
    other = MoneySerializer(help_text="Corrections, contributions given back.")
    balance = MoneySerializer(help_text="At the end of the date.")


class FundDecisionSerializer(Serializer[dict[str, Any]]):
    """What somebody decided that the fund pays of some claims."""

    id = IntegerField()
    decided_on = DateField()
    proportion_ppm = IntegerField(help_text="Of what was unpaid of each claim.")
    claims = IntegerField()
    claimed = MoneySerializer()
    paid = MoneySerializer()
    balance_before = MoneySerializer()
    decided_by = CharField()
    second = CharField(help_text="Who else agreed; empty where nobody was asked.")
    reason = CharField()


class FundReportSerializer(Serializer[dict[str, Any]]):
    """Coverage today, every decision, and the fund's money day by day."""

    warning = CharField()
    headline = CharField()
    coverage = ListField(child=CharField(), help_text="Four sentences, the worst first.")
    decisions = FundDecisionSerializer(many=True)
    history = FundDaySerializer(many=True)


class Fund(ServicingRead):
    """The fund's record."""

    @extend_schema(
        operation_id="provision_fund",
        summary="The provision fund: coverage as loans stand now, decisions, money up to a day",
        parameters=[ON],
        responses={200: FundReportSerializer, 400: REFUSED, 403: FORBIDDEN},
    )
    def get(self, request: Request) -> Response:
        """All of it.

        Raises:
            InputRefused: not a date, or one in the future.
        """
        on = snapshot_date(request.query_params.get("on"))
        report = fund_report(on)
        return Response(
            {
                "warning": report.coverage.warning,
                "headline": report.coverage.headline,
                "coverage": [ratio.sentence for ratio in report.coverage.ratios],
                "decisions": [_decision(each) for each in report.decisions],
                "history": [_day(each) for each in report.history],
            }
        )


class FundFile(ServicingRead):
    """The fund's money as a file."""

    @extend_schema(
        operation_id="provision_fund_file",
        summary="The provision fund's money day by day, as CSV",
        parameters=[ON],
        responses={(200, "text/csv"): OpenApiTypes.STR, 400: REFUSED, 403: FORBIDDEN},
    )
    def get(self, request: Request) -> HttpResponse:
        """A line a date on which it moved; amounts in pounds.

        Raises:
            InputRefused: not a date, or one in the future.
        """
        on = snapshot_date(request.query_params.get("on"))
        rows = [
            (day.on.isoformat(), *(text_from_pence(getattr(day, name)) for name in _MOVED))
            for day in fund_history(on)
        ]
        return csv_file(f"provision_fund_{on.isoformat()}.csv", ("on", *_MOVED), rows)


def _day(day: FundDay) -> dict[str, Any]:
    return {"on": day.on} | {name: money(getattr(day, name)) for name in _MOVED}


def _decision(each: DecisionView) -> dict[str, Any]:
    return {
        "id": each.decision_id,
        "decided_on": each.decided_on,
        "proportion_ppm": each.proportion_ppm,
        "claims": each.claims,
        "claimed": money(each.claimed),
        "paid": money(each.paid),
        "balance_before": money(each.balance_before),
        "decided_by": each.decided_by,
        "second": each.second,
        "reason": each.reason,
    }
