"""The fund's coverage from a book with loans that run, that died, and that wait to be paid out."""

from __future__ import annotations

from datetime import date

from marketplace.models import Loan
from marketplace.selectors.fund_coverage import fund_coverage, fund_report
from marketplace.services.provision_fund import decide_claims
from tests.marketplace.fund_house import covered, dies, feed
from tests.marketplace.house import House, key, paid_out
from tests.marketplace.statements import statements

ON = date(2016, 5, 5)


def test_an_empty_book_has_no_losses_to_set_the_fund_against(house: House) -> None:
    found = fund_coverage(ON)
    assert [ratio.losses for ratio in found.ratios] == [0, 0, 0, 0]
    assert found.figures.balance == 0


def test_everything_that_coverage_is_made_of(house: House) -> None:
    feed(house, 60_000)  # a covered loan of £1,000 with no loss forecast
    running = covered(house)
    coming = covered(house, contribution=2_200, paid=False)
    paid_out(house)  # not covered: nobody of the fund's
    claim = dies(covered(house))
    before = fund_coverage(ON).figures
    # The first instalment of each that runs is due and unpaid, so all principal is outstanding.
    assert (before.balance, before.waiting) == (60_000, 100_566)
    assert (before.loans, before.outstanding, before.in_trouble) == (2, 200_000, 0)
    # One loan of £1,000 at 2 %, with 35 of 36 months left: a little less than £20.
    assert 1_800 < before.losses < 2_000
    assert before.stressed_losses > before.losses
    # Not paid out: its contribution of £22 is still to come, and so is all of its £20.
    assert (before.coming_loans, before.contributions) == (1, 2_200)
    assert before.coming_losses == 2_000
    # A fifth of the claim should come back, whoever owns it then; half of that under stress.
    assert before.owned == 0
    assert before.recoveries == 20_113
    assert before.stressed_recoveries == 10_056
    worst = fund_coverage(ON).ratios[0]
    assert (worst.money, worst.losses) == (60_000, 100_566 + before.stressed_losses)
    assert not fund_coverage(ON).covers_expected

    decide_claims(
        claim_ids=[claim], proportion_ppm=500_000, on=ON, actor="a", key=key(), reason="r"
    )
    after = fund_coverage(ON).figures
    # Half was paid; the rest waits on. What is owned and what waits bring back the same fifth.
    assert (after.balance, after.waiting, after.owned) == (9_717, 50_283, 50_283)
    assert after.recoveries == 20_113
    decide_claims(claim_ids=[claim], proportion_ppm=0, on=ON, actor="a", key=key(), reason="r")
    assert fund_coverage(ON).figures.waiting == 50_283

    # Late by more than 45 days: expected losses stay those of the forecast, stressed ones don't.
    late = fund_coverage(date(2016, 6, 20)).figures
    assert late.in_trouble == 200_000
    assert late.losses == after.losses
    assert late.stressed_losses > 180_000
    assert Loan.objects.get(pk=running.loan_id).state == "active"
    assert coming.loan.state == "funded"

    report = fund_report(ON)
    assert [each.paid for each in report.decisions] == [50_283, 0]
    assert report.history[-1].balance == 9_717


def test_claims_of_yesterday_count_before_they_are_proposed(house: House) -> None:
    claim = dies(covered(house))
    found = fund_coverage(ON).figures.waiting
    decide_claims(claim_ids=[claim], proportion_ppm=0, on=ON, actor="a", key=key(), reason="r")
    assert found == 100_566
    # Declined, it doesn't wait any more.
    assert fund_coverage(ON).figures.waiting == 0


def test_statements_do_not_grow_with_loans(house: House) -> None:
    covered(house)
    dies(covered(house))
    few = statements(lambda: fund_coverage(ON))
    dies(covered(house))
    covered(house, paid=False)
    assert statements(lambda: fund_coverage(ON)) == few
    assert few <= 7
