"""The provision fund and arrears as members, auditors and people of operations meet them."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import Member
from marketplace.core.fund_coverage import NO_GUARANTEE
from marketplace.models import FundClaim
from marketplace.selectors.provision_fund import fund_balance
from tests.api.conftest import ask
from tests.api.test_rest import get
from tests.factories import MemberFactory
from tests.marketplace.fund_house import covered, dies, feed
from tests.marketplace.house import House, house, house_template, shared_house

__all__ = ["house", "house_template", "shared_house"]

QUERY = """{ provisionFund { warning headline coversExpected
  ratios { stressed withFutureIncome sentence money { amount } losses { amount }
    missing { amount } }
  figures { balance { amount } waiting { amount } loans inTrouble { amount } } } }"""


def _staff(role: str) -> Member:
    member: Member = MemberFactory.build(role=role, is_borrower=False, is_lender=False)
    member.save()
    return member


@pytest.fixture
def claimed(house: House) -> int:
    """A fund of £500.00, and a claim of £1,005.66 on it."""
    feed(house, 50_000)
    return dies(covered(house))


def test_anyone_signed_in_sees_coverage_with_both_sides_and_the_warning(claimed: int) -> None:
    assert ask(None, QUERY).codes == ["UNAUTHENTICATED"]
    answer = ask(_staff("auditor"), QUERY)
    assert answer.errors == []
    fund = answer.data["provisionFund"]
    assert fund["warning"] == NO_GUARANTEE
    assert fund["coversExpected"] is False
    assert "would not cover" in fund["headline"]
    assert fund["figures"]["balance"]["amount"] == "500.00"
    assert fund["figures"]["waiting"]["amount"] == "1005.66"
    worst = fund["ratios"][0]
    assert (worst["stressed"], worst["withFutureIncome"]) == (True, False)
    for ratio in fund["ratios"]:
        assert ratio["money"]["amount"].split(".")[0] in ratio["sentence"].replace(",", "")
        assert ratio["missing"]["amount"] != "0.00"
        assert "would not cover" in ratio["sentence"]


def test_a_ratio_alone_can_not_be_asked_for(claimed: int) -> None:
    answer = ask(_staff("auditor"), "{ provisionFund { ratios { ratio } } }")
    assert answer.data is None
    assert answer.errors


def test_auditors_read_arrears_and_the_fund(claimed: int) -> None:
    auditor = _staff("auditor")
    report = get(auditor, "/api/arrears").json()
    assert report["on"] == "2016-05-06"
    assert report["all"]["house_default"] == {
        "loans": 1,
        "principal": {"amount": "1000.00", "currency": "GBP"},
    }
    [bucket] = [each for each in report["all"]["buckets"] if each["days"] == "1-30"]
    assert bucket["loans"] == 1
    [year] = report["years"]
    assert (year["year"], year["loans"], year["defaults_ppm"]) == (2016, 2, 500_000)

    fund = get(auditor, "/api/provision-fund").json()
    assert fund["warning"] == NO_GUARANTEE
    assert len(fund["coverage"]) == 4
    assert fund["decisions"] == []
    assert [day["fed"]["amount"] for day in fund["history"]] == ["500.00"]
    assert get(auditor, "/api/arrears?on=2016-04-30").json()["all"]["running"]["loans"] == 2


def test_the_same_as_files(claimed: int) -> None:
    auditor = _staff("auditor")
    rows = _rows(get(auditor, "/api/arrears.csv"))
    [default] = [row for row in rows if (row["name"], row["measure"]) == ("A/36", "house_default")]
    assert (default["group"], default["loans"], default["principal"]) == ("market", "1", "1000.00")
    response = get(auditor, "/api/provision-fund.csv")
    assert 'filename="provision_fund_2016-05-06.csv"' in response["Content-Disposition"]
    assert [(row["on"], row["fed"], row["balance"]) for row in _rows(response)] == [
        ("2016-04-01", "500.00", "500.00")
    ]


def _rows(response: Any) -> list[dict[str, str]]:
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    return list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))


@pytest.mark.parametrize(
    "path", ["/api/arrears", "/api/arrears.csv", "/api/provision-fund", "/api/provision-fund.csv"]
)
def test_nobody_else_reads_them_and_dates_are_checked(house: House, path: str) -> None:
    assert get(None, path).status_code == 403
    assert get(_staff("member"), path).json()["code"] == "FORBIDDEN"
    operations = _staff("operations")
    for wrong in ("yesterday", "2999-01-01"):
        refused = get(operations, f"{path}?on={wrong}")
        assert (refused.status_code, refused.json()["field"]) == (400, "on")
    assert get(operations, path).status_code == 200


def test_people_of_operations_decide_claims(
    claimed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ann, bob = _staff("operations"), _staff("operations")
    call_command("fund", "show")
    shown = capsys.readouterr().out
    assert "gives nobody a right to a payment" in " ".join(shown.split())
    assert "£1,005.66" in shown
    call_command("fund", "claims")
    assert "1 claims, £1,005.66 unpaid." in capsys.readouterr().out
    asked = ["fund", "decide", "--waiting", "--percent", "40.5", "--reason", "a first part"]
    asked += ["--by", ann.email, "--second", bob.email, "--key", "first"]
    call_command(*asked)
    # 40.5 % of 100,566p is 40,729p.
    assert "40.50 % of 1 claims" in capsys.readouterr().out
    assert fund_balance() == 50_000 - 40_729
    with pytest.raises(CommandError, match="FUND_TOO_SMALL") as refused:
        call_command(
            *("fund", "decide", "--claim", str(claimed), "--percent", "100"),
            *("--reason", "the rest", "--by", ann.email, "--key", "second"),
        )
    assert refused.value.returncode == 2
    call_command("fund", "history")
    history = capsys.readouterr().out
    assert "-£407.29" in history
    assert "a first part" in history
    assert bob.reference in history
    assert FundClaim.objects.get(pk=claimed).state == "paid_in_part"


def test_commands_refuse_what_they_can_not_read(house: House) -> None:
    for wrong in (
        ["fund", "decide", "--waiting", "--percent", "101", "--reason", "r", "--by", "x"],
        ["fund", "decide", "--waiting", "--percent", "1.23456", "--reason", "r", "--by", "x"],
        ["arrears", "--on", "tomorrow"],
    ):
        with pytest.raises((CommandError, SystemExit)):
            call_command(*wrong, *(("--key", "k") if wrong[0] == "fund" else ()))
    for day_to_come in (
        ["arrears"],
        ["fund", "show"],
        ["fund", "history"],
        ["fund", "decide", "--waiting", "--reason", "r", "--by", "x", "--key", "k"],
    ):
        with pytest.raises(CommandError, match="not come yet") as refused:
            call_command(*day_to_come, "--on", "2999-01-01")
        assert refused.value.returncode == 2
    with pytest.raises(CommandError, match="MEMBER_UNKNOWN"):
        call_command(
            *("fund", "decide", "--claim", "1", "--reason", "r", "--by", "nobody@example.org"),
            *("--key", "k"),
        )


def test_arrears_as_a_table(claimed: int, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("arrears")
    shown = capsys.readouterr().out
    assert "A/36" in shown
    assert "1  £1,000.00" in shown
    assert "50.00" in shown  # per cent of what was lent in 2016 is in default
