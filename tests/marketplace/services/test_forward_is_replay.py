"""What the services did forwards is what telling the loans' lives again gives, to the penny."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from accounts.selectors.ledger import check_book
from marketplace.core.life_records import DayStage
from marketplace.core.loan_events import PaymentKind
from marketplace.core.states import LoanState
from marketplace.models import Instalment, Loan, LoanMove
from marketplace.selectors.loan_lives import replay_findings
from marketplace.selectors.servicing import PAYABLE, load_claims
from marketplace.selectors.stored_lives import load_lives, replay
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import PaymentDraft, distribute_cleared, receive_payments
from marketplace.services.settling_loans import settle_early
from tests.marketplace.house import House, key, paid_out, pay
from tests.world import ACTOR, DAY, FIRST_DUE

LAST = date(2016, 12, 20)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_town_day_by_day(house: House, seed: int) -> None:
    pick = np.random.default_rng(seed)
    loans = [
        paid_out(house, [(int(rate) * 1_000, int(size) * 1_000) for rate, size in parts]).loan_id
        for parts in (
            zip(pick.integers(66, 75, count), pick.integers(50, 80, count), strict=True)
            for count in (2, 3, 5, 4)
        )
    ]
    due_days = set(Instalment.objects.filter(loan__in=loans).values_list("due_on", flat=True))
    day = DAY
    while day < LAST:
        day += timedelta(days=1)
        # Close of day runs late now and then; every day that something falls due it runs.
        fall_due(on=day, actor=ACTOR)
        _some_pay(loans, day, pick, likely=0.3 if day in due_days else 0.04)
        distribute_cleared(on=day, actor=ACTOR)
        age_loans(on=day)
    assert check_book().holds
    assert {loan.state for loan in Loan.objects.filter(pk__in=loans)} - {"active"}
    # Nothing falls due on the next day, of which no step has run: all days before are over.
    replayed = replay_findings(loan_ids=loans, on=LAST + timedelta(days=1))
    assert (replayed.loans, replayed.differences) == (len(loans), ())


def test_what_cures_and_what_repays_on_one_day_are_one_move(house: House) -> None:
    """The overdue instalment and the settlement are spread together: in arrears, then repaid."""
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    age_loans(on=FIRST_DUE + timedelta(days=1))
    pay(made.loan_id, 3_078, date(2016, 5, 5))
    cleared = date(2016, 5, 10)
    settle_early(loan_id=made.loan_id, on=cleared, actor=ACTOR, key=key())
    distribute_cleared(on=cleared, actor=ACTOR)
    recorded = LoanMove.objects.filter(loan=made.loan_id).order_by("id")
    moves = list(recorded.values_list("moved_on", "state_after"))
    assert moves == [
        (DAY, LoanState.ACTIVE),
        (FIRST_DUE + timedelta(days=1), LoanState.ARREARS),
        (cleared, LoanState.REPAID),
    ]
    [stored] = load_lives([made.loan_id])
    told = replay(stored, cleared, through=DayStage.AGED)
    assert [(move.on, move.after) for move in told.moves] == moves[1:]


def _some_pay(loans: list[int], day: date, pick: np.random.Generator, *, likely: float) -> None:
    open_loans = Loan.objects.filter(pk__in=loans, state__in=PAYABLE).order_by("pk")
    claims = load_claims(np.array([loan.pk for loan in open_loans], dtype=np.int64))
    drafts = []
    for loan, most in zip(claims.loan.tolist(), claims.payable.tolist(), strict=True):
        if most and pick.random() < likely:
            amount = min(int(pick.choice([1, 900, 3_078, 7_000, 40_000])), most)
            from_cash = amount < 5_000 and pick.random() < 0.3
            kind = PaymentKind.CASH if from_cash else PaymentKind.COLLECTION
            drafts.append(PaymentDraft(loan, amount, kind=kind))
    if drafts:
        receive_payments(payments=drafts, on=day, actor=ACTOR, key=key())
