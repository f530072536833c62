"""Rebuilding: nothing where stored is what the life says, and conservation where it isn't."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import pytest
from django.db import transaction

from accounts.core.chart import Kind
from accounts.core.posting import EntryDraft, EntryKind
from accounts.models import Entry, Transfer
from accounts.selectors.ledger import totals_by_kind
from accounts.services.cash import CashMovement, send_withdrawals
from marketplace.core.loan_events import Excess
from marketplace.models import Distribution, Instalment, LoanMove, Payment
from marketplace.selectors.loan_lives import replay_findings
from marketplace.services.bouncing import bounce_payments
from marketplace.services.loan_money import EntryMoves, post_moves
from marketplace.services.rebuilding import Cause, RebuildRefused, Rebuilt, rebuild_loans
from tests.marketplace.house import Funded, House, funded, key
from tests.marketplace.lives import (
    assert_sound,
    balance,
    bounce,
    owed,
    picture,
    running,
    take,
    work,
    work_until,
)
from tests.marketplace.statements import statements
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

SECOND_DUE = date(2016, 6, 1)
_A_DAY = timedelta(days=1)
# Unlike sizes and rates, and a lender who holds more than one part's worth of rounding.
_MANY = ((61_000, 33_000), (69_000, 10_000), (71_000, 20_000), (83_000, 37_000))


def _rebuild(loans: list[int], on: date) -> list[Rebuilt]:
    with transaction.atomic():
        return rebuild_loans(
            causes=[Cause(loan) for loan in loans],
            on=on,
            actor=ACTOR,
            kind=EntryKind.LOAN_CORRECTED,
            reason="a look",
        )


def _written(made: Funded) -> tuple[int, int, int, int]:
    return (
        Entry.objects.count(),
        Transfer.objects.count(),
        Distribution.objects.filter(loan=made.loan_id).count(),
        LoanMove.objects.filter(loan=made.loan_id).count(),
    )


def test_a_loan_that_is_what_its_life_says_stays_and_says_so(house: House) -> None:
    made = running(house, _MANY)
    work_until(DAY, FIRST_DUE)
    take(made, 2_000, FIRST_DUE)
    work_until(FIRST_DUE, CLEARED)
    before = (_written(made), picture(made))
    [rebuilt] = _rebuild([made.loan_id], CLEARED)
    assert not rebuilt.changed
    assert (rebuilt.to_lenders, rebuilt.from_lenders, rebuilt.advanced) == (0, 0, 0)
    assert (_written(made), picture(made)) == before


def test_it_brings_a_loan_up_to_the_day(house: House) -> None:
    ours, twin = running(house), running(house)
    [rebuilt] = _rebuild([ours.loan_id], FIRST_DUE)
    assert rebuilt.changed
    assert balance(Kind.INTEREST_DUE, ours.loan_id) == 566
    work(FIRST_DUE)
    assert picture(ours) == picture(twin)
    assert_sound(FIRST_DUE)


def test_what_is_refused(house: House) -> None:
    made = running(house)
    work(FIRST_DUE)
    with pytest.raises(RebuildRefused, match="twice"):
        _rebuild([made.loan_id, made.loan_id], FIRST_DUE)
    with pytest.raises(RebuildRefused, match="paid out"):
        _rebuild([funded(house).loan_id], FIRST_DUE)
    with pytest.raises(RebuildRefused, match="has records of 2016-05-03"):
        _rebuild([made.loan_id], FIRST_DUE - _A_DAY)


def test_the_number_of_statements_does_not_grow_with_loans_and_payments(house: House) -> None:
    loans = [running(house, _MANY) for _ in range(3)]
    work(FIRST_DUE)
    for made in loans:
        take(made, 3_000, FIRST_DUE)
        take(made, 500, FIRST_DUE)
    work(CLEARED)

    def bounced(chosen: list[Funded]) -> int:
        ids = Payment.objects.filter(loan__in=[made.loan_id for made in chosen], number=1)
        payments = list(ids.values_list("pk", flat=True))
        return statements(
            lambda: bounce_payments(
                payments=payments, on=CLEARED, actor=ACTOR, key=key(), reason=""
            )
        )

    one = bounced(loans[:1])
    # A single entry of few transfers is posted by one statement in place of three.
    assert bounced(loans[1:]) <= one + 3
    assert_sound(CLEARED)


def test_the_audit_sees_a_figure_that_is_not_the_lifes(house: House) -> None:
    made = running(house)
    work(FIRST_DUE)
    assert replay_findings(on=FIRST_DUE).differences == ()
    Instalment.objects.filter(loan=made.loan_id, number=9).update(interest_planned=1)
    found = replay_findings([made.loan_id], on=FIRST_DUE)
    assert found.wrong == (made.loan_id,)
    [difference] = found.differences
    assert difference.what == f"loan {made.loan_id}, instalment 9: interest_planned"
    assert difference.stored == "1"


def test_nothing_is_compared_before_a_day_was_closed(house: House) -> None:
    running(house)
    assert replay_findings().loans == 0


def test_what_the_fund_cannot_give_back_is_tenners_loss(house: House) -> None:
    made = running(house)
    loan = made.loan_id
    before = totals_by_kind()
    assert before.get(Kind.PROVISION_FUND, 0) == 0

    def entry(name: str) -> EntryMoves:
        draft = EntryDraft(EntryKind.LOAN_CORRECTED, f"test/{name}", DAY, ACTOR, f"loan:{loan}")
        return EntryMoves(draft, loan)

    fed, back = entry("fed"), entry("back")
    fed.move((Kind.OWN_FUNDS, 0), (Kind.PROVISION_FUND, 0), 200)
    back.fund_gives_back = 500
    for each in (fed, back):
        with transaction.atomic():
            post_moves([each])
    after = totals_by_kind()
    # The fund's 200p and 300p of Tenner's own, after the 200p that it gave to the fund.
    assert after[Kind.PROVISION_FUND] == 0
    assert after[Kind.OWN_FUNDS] == before.get(Kind.OWN_FUNDS, 0) - 200 - 300
    assert balance(Kind.CLEARING, loan) == 500


@pytest.mark.parametrize("seed", range(3))
def test_random_histories_keep_every_penny_and_equal_their_replay(house: House, seed: int) -> None:
    """Payments, late ones, prepayments, bounces and spending, over three months."""
    chance = Random(seed)
    loans = [running(house, _MANY) for _ in range(2)]
    outside = _outside()
    day = DAY
    for _ in range(14):
        following = day + timedelta(days=chance.randint(1, 12))
        work_until(day, following)
        day = following
        _something(chance, chance.choice(loans), day)
        assert_sound(day)
        assert totals_by_kind()[Kind.CLEARING] == _waiting()
    work_until(day, day + timedelta(days=7))
    assert_sound(day + timedelta(days=7))
    assert _outside() == outside


def _something(chance: Random, made: Funded, on: date) -> None:
    what = chance.randint(0, 5)
    payments = list(Payment.objects.filter(loan=made.loan_id, bounced_on=None))
    if what == 0 and payments:
        bounce(made, chance.choice(payments).number, on)
    elif what == 1:
        lender = chance.choice(made.lenders).pk
        held = balance(Kind.CASH, lender)
        if held:
            send_withdrawals(movements=[CashMovement(lender, held, key())], on=on, actor=ACTOR)
    elif what == 2:
        take(made, chance.randint(1, 9_000), on, excess=Excess.SMALLER)
    elif what == 3:
        earlier = DAY + timedelta(days=chance.randint(0, (on - DAY).days))
        take(made, chance.randint(1, 4_000), on, received_on=earlier)
    else:
        take(made, max(owed(made.loan_id), 1), on)


def _waiting() -> int:
    """Pence of payments that are neither spread nor bounced."""
    rows = Payment.objects.filter(distributed_on=None, bounced_on=None)
    return sum(row.amount for row in rows)


def _outside() -> int:
    """What the platform owes its people less what it has, collections not counted: constant."""
    totals = totals_by_kind()
    ours = (Kind.CLIENT_BANK, Kind.DEBT, Kind.COLLECTING)
    return sum(
        -pence if kind in ours else pence
        for kind, pence in totals.items()
        if kind not in {Kind.PRINCIPAL_OWED, Kind.INTEREST_DUE, Kind.CLAIMS_HELD, Kind.WRITTEN_OFF}
    )
