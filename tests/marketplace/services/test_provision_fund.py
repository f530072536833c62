"""Claims on the provision fund: proposed, decided in full, in part or not at all, and topped up."""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from accounts.core.chart import Kind
from accounts.selectors.ledger import check_book, member_balances, totals_by_kind
from accounts.services.posting import IdempotencyConflict
from marketplace.core.provision_fund import PPM, ClaimState, FundRefused, FundTooSmall
from marketplace.core.states import LoanState
from marketplace.models import FundAward, FundClaim, FundDecision, LoanEvent
from marketplace.selectors.provision_fund import (
    fund_balance,
    fund_claims,
    fund_decisions,
    fund_history,
)
from marketplace.services.defaulting import recover
from marketplace.services.payments import distribute_cleared
from marketplace.services.provision_fund import Decided, decide_claims, propose_claims
from tests.marketplace.fund_house import DIED, covered, dies, feed
from tests.marketplace.house import House, acting_as_owner, key, paid_out
from tests.marketplace.lives import assert_sound, bounce, take, work
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, FIRST_DUE

DECIDED = date(2016, 5, 5)
CLEARED = date(2016, 5, 10)

# £480 at 6.9 % and £520 at 7.1 %: a month's interest is 48,000p x .5576 % = 267.7p, fixed as 268p,
# and 52,000p x .5732 % = 298.1p, fixed as 298p; a month's fee a twelfth of 1 %, 40p and 43p.
INTEREST = (268, 298)
CLAIMED = 100_000 + sum(INTEREST)


def _decide(claims: list[int], proportion: int | None = None, on: date = DECIDED) -> Decided:
    return decide_claims(
        claim_ids=claims,
        proportion_ppm=proportion,
        on=on,
        actor="member:7",
        key=key(),
        reason="the usual",
    )


def _cash(*members: int) -> list[int]:
    return [member_balances(member).cash for member in members]


def test_a_claim_is_proposed_once_for_what_lenders_lack(house: House) -> None:
    made, other = covered(house), paid_out(house)
    claim = FundClaim.objects.get(pk=dies(made))
    assert (claim.principal, claim.interest) == (100_000, 566)
    assert claim.state == ClaimState.PROPOSED
    again = propose_claims(on=DIED, actor=ACTOR, key=key())
    assert (again.claims, again.principal, again.interest) == (0, 0, 0)
    assert not FundClaim.objects.filter(loan=other.loan_id).exists()
    [view] = fund_claims()
    assert (view.loan_id, view.unpaid, view.loan_state) == (made.loan_id, CLAIMED, "default")


def test_a_loan_that_is_not_covered_has_no_claim(house: House) -> None:
    made = paid_out(house)
    with pytest.raises(FundClaim.DoesNotExist):
        dies(made)


def test_a_fund_with_enough_pays_lenders_all_and_owns_the_claim(house: House) -> None:
    feed(house, 150_000)
    made = covered(house)
    claim = dies(made)
    first, second = (lender.pk for lender in made.lenders)
    before = _cash(first, second)
    decided = _decide([claim])
    assert (decided.principal, decided.interest, decided.left) == (100_000, 566, 0)
    assert decided.proportion_ppm == PPM
    # Principal by size, each one's own interest, less the month's fee on it.
    assert _cash(first, second) == [before[0] + 48_000 + 228, before[1] + 52_000 + 255]
    assert fund_balance() == 150_000 - CLAIMED
    loan = made.loan
    assert (loan.fund_principal, loan.fund_interest) == (100_000, 566)
    assert loan.state == LoanState.DEFAULT
    assert FundClaim.objects.get(pk=claim).state == ClaimState.PAID
    assert fund_claims() == []
    [view] = fund_claims(waiting_only=False)
    assert (view.paid, view.owned, view.unpaid) == (CLAIMED, CLAIMED, 0)
    assert check_book().holds


def test_recoveries_of_a_claim_paid_in_full_are_the_funds_less_their_cost(house: House) -> None:
    feed(house, 150_000)
    made = covered(house)
    _decide([dies(made)])
    cash = _cash(*(lender.pk for lender in made.lenders))
    # £200 come, £20 of it for the agency: 566p of interest first, then 19,434p of principal.
    got = recover(
        loan_id=made.loan_id, amount=20_000, cost=2_000, on=DECIDED, actor=ACTOR, key=key()
    )
    assert (got.interest, got.principal, got.cost) == (566, 19_434, 2_000)
    assert (got.to_fund, got.to_lenders, got.returned) == (18_000, 0, 0)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    assert fund_balance() == 150_000 - CLAIMED + 18_000
    assert _cash(*(lender.pk for lender in made.lenders)) == cash
    assert (made.loan.fund_principal, made.loan.fund_interest) == (100_000 - 19_434, 0)
    history = [(d.on, d.fed, d.paid, d.recovered, d.other) for d in fund_history(CLEARED)]
    assert history == [
        (DAY, 150_000, 0, 0, 0),
        (DECIDED, 0, -CLAIMED, 0, 0),
        (CLEARED, 0, 0, 18_000, 0),
    ]
    assert fund_history(CLEARED)[-1].balance == fund_balance()
    assert [day.on for day in fund_history(CLEARED, since=DECIDED)] == [DECIDED, CLEARED]
    assert check_book().holds


def test_half_is_paid_recoveries_are_shared_and_the_rest_is_topped_up(house: House) -> None:
    feed(house, 150_000)
    made = covered(house)
    claim = dies(made)
    decided = _decide([claim], 500_000)
    # Half of 100,566p is 50,283p: 50,000p of principal and 283p of interest.
    assert (decided.principal, decided.interest, decided.left) == (50_000, 283, 50_283)
    assert FundClaim.objects.get(pk=claim).state == ClaimState.PAID_IN_PART
    # £200 recovered: 566p of interest, of which the fund owns 283p; of 19,434p of principal it owns
    # 50,000p in 100,000p, so 9,717p.
    got = recover(loan_id=made.loan_id, amount=20_000, on=DECIDED, actor=ACTOR, key=key())
    assert (got.to_fund, got.to_lenders) == (10_000, 10_000)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    assert made.loan.fund_principal == 40_283
    [view] = fund_claims()
    assert (view.principal, view.interest, view.owned) == (40_283, 0, 40_283)
    rest = _decide([claim], on=CLEARED)
    assert (rest.principal, rest.interest, rest.left) == (40_283, 0, 0)
    assert FundClaim.objects.get(pk=claim).state == ClaimState.PAID
    assert fund_balance() == 150_000 - 50_283 + 10_000 - 40_283
    assert check_book().holds


def test_what_an_empty_fund_has_to_pay_once_more_is_tenners_loss(house: House) -> None:
    """A payment of the due date came to light after the fund had paid all, and bounced in the end.

    It brought 566p of interest and 2,512p of principal, which the fund got back and paid to others.
    """
    feed(house, 150_000)
    made, other = covered(house), covered(house)
    work(FIRST_DUE)
    claim, second = dies(made), dies(other)
    _decide([claim])
    own = totals_by_kind().get(Kind.OWN_FUNDS, 0)
    found, bounced = date(2016, 5, 9), date(2016, 5, 10)
    paid = take(made, 3_078, found, received_on=FIRST_DUE).number
    assert fund_balance() == 150_000 - CLAIMED + 3_078
    work(found)
    _decide([second], on=found)
    left = fund_balance()
    assert left < 100
    bounce(made, paid, bounced)
    assert fund_balance() == 0
    assert totals_by_kind()[Kind.OWN_FUNDS] == own - (3_078 - left)
    assert (made.loan.fund_principal, made.loan.fund_interest) == (100_000, 566)
    work(bounced)
    assert_sound(bounced)


def test_an_empty_or_small_fund_pays_one_proportion_of_every_claim(house: House) -> None:
    feed(house, 50_000)
    loans = [covered(house), covered(house)]
    claims = [dies(made) for made in loans]
    # 50,000p for 201,132p are 248,592 ppm, rounded down; that is 49,999p.
    decided = _decide(claims)
    assert decided.proportion_ppm == 248_592
    assert decided.principal + decided.interest == 49_999
    awards = FundAward.objects.filter(decision=decided.decision_id).order_by("claim")
    paid = [award.principal + award.interest for award in awards]
    assert sum(paid) == 49_999
    assert abs(paid[0] - paid[1]) <= 2
    assert fund_balance() == 1
    with pytest.raises(FundRefused):
        _decide(claims)
    nothing = _decide(claims, 0)
    assert nothing.principal + nothing.interest == 0
    # Something was paid of them before, so they go on waiting for the rest.
    assert len(fund_claims()) == 2


def test_declined_claims_do_not_wait_but_can_be_decided_again(house: House) -> None:
    feed(house, 150_000)
    claim = dies(covered(house))
    decided = _decide([claim], 0)
    assert decided.left == CLAIMED
    assert FundClaim.objects.get(pk=claim).state == ClaimState.DECLINED
    assert fund_claims() == []
    assert not LoanEvent.objects.filter(kind="fund_payment").exists()
    assert _decide([claim]).left == 0
    assert [view.paid for view in fund_decisions()] == [0, CLAIMED]


def test_a_decision_is_carried_out_once_for_its_key(house: House) -> None:
    feed(house, 150_000)
    claim = dies(covered(house))
    asked: dict[str, Any] = {
        "claim_ids": [claim],
        "proportion_ppm": 250_000,
        "on": DECIDED,
        "actor": "member:7",
        "key": "decision",
        "reason": "in part, for now",
        "second": "member:8",
    }
    first = decide_claims(**asked)
    assert decide_claims(**asked) == first
    assert FundDecision.objects.count() == 1
    with pytest.raises(IdempotencyConflict):
        decide_claims(**(asked | {"proportion_ppm": 300_000}))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"claim_ids": []}, "claims"),
        ({"claim_ids": [999_999_999]}, "claims"),
        ({"proportion_ppm": PPM + 1}, "proportion"),
        ({"proportion_ppm": -1}, "proportion"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"second": "MEMBER:7"}, "second"),
    ],
)
def test_what_is_no_decision_is_refused(house: House, change: dict[str, Any], field: str) -> None:
    feed(house, 150_000)
    asked: dict[str, Any] = {
        "claim_ids": [dies(covered(house))],
        "on": DECIDED,
        "actor": "member:7",
        "key": key(),
        "reason": "the usual",
    }
    with pytest.raises(FundRefused) as refused:
        decide_claims(**(asked | change))
    assert refused.value.field == field
    assert FundDecision.objects.count() == 0


def test_more_than_the_fund_has_is_refused_and_nothing_moves(house: House) -> None:
    feed(house, 50_000)
    claim = dies(covered(house))
    with pytest.raises(FundTooSmall) as refused:
        _decide([claim], 600_000)
    # 50,000p of 100,566p.
    assert refused.value.most_ppm == 497_185
    assert fund_balance() == 50_000
    assert FundClaim.objects.get(pk=claim).state == ClaimState.PROPOSED


def test_a_paid_claim_is_refused_and_so_is_one_of_a_closed_loan(house: House) -> None:
    feed(house, 150_000)
    made = covered(house)
    claim = dies(made)
    _decide([claim])
    with pytest.raises(FundRefused, match="Nothing is unpaid"):
        _decide([claim])
    other = covered(house)
    late = dies(other)
    recover(loan_id=other.loan_id, amount=CLAIMED, on=DECIDED, actor=ACTOR, key=key())
    distribute_cleared(on=CLEARED, actor=ACTOR)
    assert other.loan.state == LoanState.RECOVERED
    with pytest.raises(FundRefused, match="recovered"):
        _decide([late])


def test_statements_do_not_grow_with_claims(house: House) -> None:
    feed(house, 2_000_000)
    claims = [dies(covered(house)) for _ in range(4)]
    # A connection asks for the platform's accounts once, so that the first time counts more.
    _decide(claims, 100_000)
    few = statements(lambda: _decide(claims[:2], 100_000))
    assert statements(lambda: _decide(claims, 100_000)) == few
    nobody = statements(lambda: propose_claims(on=DIED, actor=ACTOR, key=key()))
    assert nobody <= 8


_AWARD = (
    "INSERT INTO marketplace_fundaward (decision_id, claim_id, number, principal, interest)"
    " VALUES (%(decision)s, %(claim)s, {})"
)
_DECISION = (
    "INSERT INTO marketplace_funddecision (decided_on, proportion, claims, claimed, paid,"
    " balance_before, decided_by, second, reason) VALUES ('2016-05-05', {})"
)


_REFUSED = (
    # Awarded, but nothing pays it: no such event, or another amount than the event's.
    (_AWARD.format("99, 5, 0"), "TN121"),
    (_AWARD.format("%(number)s, 5, 0"), "TN121"),
    # What a decision gave is fixed: another award doesn't make it up.
    (_AWARD.format("NULL, 0, 0"), "TN122"),
    (_AWARD.format("NULL, 5, 0"), "23514"),
    (_AWARD.format("7, 0, 0"), "23514"),
    (_AWARD.format("7, -1, 1"), "23514"),
    # More than the fund had, or than was claimed; the same person twice; nobody; no reason.
    (_DECISION.format("1000000, 1, 100, 100, 99, 'a', '', 'r'"), "23514"),
    (_DECISION.format("1000000, 1, 100, 101, 500, 'a', '', 'r'"), "23514"),
    (_DECISION.format("1000001, 1, 100, 100, 500, 'a', '', 'r'"), "23514"),
    (_DECISION.format("1000000, 1, 100, 100, 500, 'ann', 'Ann', 'r'"), "23514"),
    (_DECISION.format("1000000, 1, 100, 100, 500, '', '', 'r'"), "23514"),
    (_DECISION.format("1000000, 1, 100, 100, 500, 'a', '', ''"), "23514"),
    # One claim a loan.
    (
        "INSERT INTO marketplace_fundclaim (loan_id, claimed_on, actor, principal, interest)"
        " SELECT loan_id, claimed_on, actor, principal, interest FROM marketplace_fundclaim",
        "23505",
    ),
    ("UPDATE marketplace_fundclaim SET state = 'lost'", "23514"),
    # The application's role may not change what is on record.
    ("UPDATE marketplace_fundclaim SET principal = 1", "42501"),
    ("DELETE FROM marketplace_fundclaim", "42501"),
    ("UPDATE marketplace_funddecision SET paid = 0", "42501"),
    ("DELETE FROM marketplace_fundaward", "42501"),
)


def test_the_database_refuses(house: House) -> None:
    feed(house, 150_000)
    claim, other = dies(covered(house)), dies(covered(house))
    decided = _decide([other], 100_000)
    number = FundAward.objects.get().number
    names = {"decision": decided.decision_id, "claim": claim, "number": number}
    found = [(statement, _refused(statement, names)) for statement, _ in _REFUSED]
    assert found == list(_REFUSED)


def _refused(statement: str, names: dict[str, Any]) -> str | None:
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        connection.cursor().execute(statement, names)
    cause = refusal.value.__cause__
    assert isinstance(cause, psycopg.Error)
    return cause.sqlstate


def test_not_even_the_owner_changes_decisions(committed_house: House) -> None:
    feed(committed_house, 150_000)
    _decide([dies(covered(committed_house))], 100_000)
    with acting_as_owner():
        for statement in (
            "UPDATE marketplace_funddecision SET paid = 0",
            "UPDATE marketplace_fundaward SET principal = 0",
            "UPDATE marketplace_fundclaim SET principal = 1",
            "DELETE FROM marketplace_fundclaim",
            "TRUNCATE marketplace_fundaward",
        ):
            assert _refused(statement, {}) == "TN001"
