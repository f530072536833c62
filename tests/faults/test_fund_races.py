"""Two people deciding at once: the fund never pays more than it has, and nothing twice."""

from __future__ import annotations

from datetime import date

from accounts.selectors.ledger import check_book
from marketplace.core.provision_fund import FundRefused, FundTooSmall
from marketplace.models import FundAward, FundClaim, FundDecision
from marketplace.selectors.provision_fund import fund_balance
from marketplace.services.provision_fund import decide_claims, propose_claims
from tests.faults.test_ledger_races import _at_once as at_once
from tests.marketplace import house as fixtures
from tests.marketplace.fund_house import covered, declared_dead, dies, feed
from tests.marketplace.house import House
from tests.world import ACTOR

house_template = fixtures.house_template
committed_house = fixtures.committed_house

ON = date(2016, 5, 5)
# £1,000 and the first month's interest.
CLAIMED = 100_566


def test_two_decisions_at_once_never_overspend(committed_house: House) -> None:
    """The fund has enough for one claim and a half; two people want to pay one each, whole."""
    feed(committed_house, 150_000)
    claims = [dies(covered(committed_house)) for _ in range(2)]
    refused: list[int] = []

    def decide(number: int) -> None:
        try:
            decide_claims(
                claim_ids=[claims[number]],
                proportion_ppm=1_000_000,
                on=ON,
                actor=f"member:{number}",
                key="whole",
                reason="at once",
            )
        except FundTooSmall as refusal:
            refused.append(refusal.most_ppm)

    at_once(decide, 2)
    # 49,434p are left for 100,566p: the second could have had 491,557 ppm.
    assert refused == [491_557]
    assert fund_balance() == 150_000 - CLAIMED
    assert FundDecision.objects.count() == 1
    assert check_book().holds


def test_a_claim_that_two_people_pay_is_paid_once(committed_house: House) -> None:
    feed(committed_house, 250_000)
    claim = dies(covered(committed_house))
    refused: list[str] = []

    def decide(number: int) -> None:
        try:
            decide_claims(
                claim_ids=[claim], on=ON, actor=f"member:{number}", key="all", reason="at once"
            )
        except FundRefused as refusal:
            refused.append(refusal.message)

    at_once(decide, 4)
    assert len(refused) == 3
    assert {message.startswith("Nothing is unpaid") for message in refused} == {True}
    assert fund_balance() == 250_000 - CLAIMED
    assert FundAward.objects.count() == 1


def test_the_same_decision_sent_twice_at_once_is_one(committed_house: House) -> None:
    feed(committed_house, 250_000)
    claim = dies(covered(committed_house))
    answers: list[int] = []

    def decide(_: int) -> None:
        did = decide_claims(
            claim_ids=[claim],
            proportion_ppm=300_000,
            on=ON,
            actor="member:1",
            key="same",
            reason="once",
        )
        answers.append(did.decision_id)

    at_once(decide, 3)
    assert len(answers) == 3
    assert len(set(answers)) == 1
    # 30 % of 100,566p, rounded down.
    assert fund_balance() == 250_000 - 30_169


def test_claims_proposed_by_several_at_once_are_proposed_once(committed_house: House) -> None:
    for _ in range(3):
        declared_dead(covered(committed_house))
    found: list[int] = []

    def propose(number: int) -> None:
        found.append(propose_claims(on=ON, actor=ACTOR, key=f"proposal-{number}").claims)

    at_once(propose, 4)
    assert sum(found) == 3
    assert FundClaim.objects.count() == 3
