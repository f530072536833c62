"""Working the shares out and writing them are two steps; what changed in between is left out."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date

import numpy as np
import pytest
from django.db import transaction

from accounts.core.posting import EntryKind
from accounts.models import Entry
from accounts.selectors.ledger import check_book, member_balances
from marketplace.models import Distribution, Loan, Payment
from marketplace.services.distributing import (
    Written,
    compute_distribution,
    distribute_cleared,
    write_distribution,
)
from marketplace.services.distribution_drafts import DistributionDraft
from marketplace.services.falling_due import fall_due
from tests.marketplace.house import Funded, House, paid_out, pay, shares_of
from tests.marketplace.lives import bounce, picture, take
from tests.world import ACTOR, CLEARED, FIRST_DUE

PARTS = [(69_000, 48_000), (71_000, 52_000), (70_000, 3_000)]


def _paying(house: House, *amounts: int) -> Funded:
    """A loan whose first instalment is due, with payments of it that have cleared by CLEARED."""
    made = paid_out(house, PARTS)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    for amount in amounts:
        pay(made.loan_id, amount, FIRST_DUE)
    return made


def _write(draft: DistributionDraft) -> Written:
    with transaction.atomic():
        return write_distribution(draft=draft, on=CLEARED, actor=ACTOR)


def _totals(made: Funded) -> list[tuple[list[int], list[int], list[int]]]:
    rows = Distribution.objects.filter(loan=made.loan_id).order_by("number")
    return [(row.principal, row.interest, row.fee) for row in rows]


def _same(one: DistributionDraft, other: DistributionDraft) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(DistributionDraft)
    )


def test_a_draft_is_written_as_it_was_worked_out(house: House) -> None:
    one, other = _paying(house, 3_000), _paying(house, 100, 200)
    draft = compute_distribution(on=CLEARED)
    assert _same(DistributionDraft.unpack(draft.pack()), draft)
    assert draft.loan.tolist() == [one.loan_id, other.loan_id]
    assert Distribution.objects.count() == 0
    written = _write(draft)
    assert (written.loans, written.payments, written.stale) == (2, 3, 0)
    assert [len(_totals(made)) for made in (one, other)] == [1, 2]
    assert distribute_cleared(on=CLEARED, actor=ACTOR) == 0
    assert check_book().holds


def test_drafts_of_some_loans_each_come_to_the_same(house: House) -> None:
    """Two workers' drafts of a loan each, and one of both."""
    loans = [_paying(house, 3_000), _paying(house, 100, 200)]
    together = compute_distribution(on=CLEARED)
    for place, made in enumerate(loans):
        alone = compute_distribution(on=CLEARED, loan_ids=np.array([made.loan_id]))
        assert _same(alone, together.only(np.arange(2) == place))


def test_what_is_worked_out_twice_is_written_once(house: House) -> None:
    made = _paying(house, 3_000)
    draft = compute_distribution(on=CLEARED)
    _write(draft)
    before = [member_balances(lender.pk).cash for lender in made.lenders]
    assert _write(draft) == Written(0, 0, 0, 1)
    assert [member_balances(lender.pk).cash for lender in made.lenders] == before


@pytest.mark.parametrize("change", ["event", "bounce", "payment", "row"])
def test_a_loan_that_changed_since_is_left_to_the_next_pass(house: House, change: str) -> None:
    made, other = _paying(house, 1_000), _paying(house, 500)
    draft = compute_distribution(on=CLEARED)
    if change == "event":
        Loan.objects.filter(pk=made.loan_id).update(events=9)
    elif change == "bounce":
        Payment.objects.filter(loan=made.loan_id).update(bounced_on=CLEARED)
    elif change == "payment":
        pay(made.loan_id, 1, CLEARED)
    else:
        Loan.objects.filter(pk=made.loan_id).update(fund_principal=1)
    written = _write(draft)
    assert (written.loans, written.payments, written.stale) == (1, 1, 1)
    assert (len(_totals(made)), len(_totals(other))) == (0, 1)
    again = distribute_cleared(on=CLEARED, actor=ACTOR)
    assert (again == 0) == (change == "bounce")
    assert check_book().holds


def test_payments_spread_together_are_as_if_spread_one_by_one(house: House) -> None:
    amounts = [100, 500, 700, 1_200, 3_000]
    together, single = _paying(house, *amounts), _paying(house)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    for amount in amounts:
        pay(single.loan_id, amount, CLEARED)
        distribute_cleared(on=date(2016, 5, 11), actor=ACTOR)
    assert _totals(together) == _totals(single)
    # The last one finds less due than it brings: the rest goes back.
    last = Payment.objects.filter(loan=together.loan_id).latest("number")
    due = together.loan.principal_paid + together.loan.interest_paid
    assert last.returned == sum(amounts) - due > 0
    assert member_balances(together.borrower.pk).cash == member_balances(single.borrower.pk).cash


def test_a_payment_taken_back_is_spread_again_on_the_same_day(house: House) -> None:
    """An older payment comes to light, takes its instalment, and bounces: all on one day."""
    made, twin = _paying(house, 3_170), _paying(house, 3_170)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    # Received before anything was due, it is first in line: nothing is left for the other one.
    take(made, 3_170, CLEARED, received_on=date(2016, 4, 29))
    waiting = Payment.objects.get(loan=made.loan_id, number=1)
    assert (waiting.allocated_on, waiting.distributed_on) == (None, None)
    bounce(made, 2, CLEARED)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    assert picture(made) == picture(twin)
    assert check_book().holds
    spread = Entry.objects.filter(kind=EntryKind.PAYMENT_DISTRIBUTED.value)
    keys = spread.filter(reference=f"loan:{made.loan_id}").order_by("id")
    # Its two distributions are the first and, after those of the two corrections, the fourth.
    assert [entry.key for entry in keys] == [
        f"distribution/{made.loan_id}/1/1",
        f"distribution/{made.loan_id}/1/4",
    ]


def test_of_a_payment_that_is_all_the_funds_the_lenders_get_no_row(house: House) -> None:
    made = _paying(house, 1_000)
    [payment] = Payment.objects.filter(loan=made.loan_id)
    Payment.objects.filter(pk=payment.pk).update(
        to_fund_principal=payment.principal, to_fund_interest=payment.interest
    )
    assert distribute_cleared(on=CLEARED, actor=ACTOR) == 0
    payment.refresh_from_db()
    assert payment.distributed_on == CLEARED
    # Its entry is named by the loan's last distribution, of which there is none.
    assert Entry.objects.filter(key=f"distribution/{made.loan_id}/1/0").exists()
    assert _totals(made) == []
    assert made.loan.distributions == 0
    assert check_book().holds


def test_a_part_of_a_few_pence_waits_for_its_first(house: House) -> None:
    """Of 1p of interest the largest share comes first; the others get nothing and no transfer."""
    made = _paying(house, 1)
    assert distribute_cleared(on=CLEARED, actor=ACTOR) == 1
    assert sum(interest for _, interest, _ in shares_of(made.loan_id, 1)) == 1


def test_no_transaction_no_writing(committed_house: House) -> None:
    made = _paying(committed_house, 1_000)
    draft = compute_distribution(on=CLEARED)
    with pytest.raises(RuntimeError, match="transaction"):
        write_distribution(draft=draft, on=CLEARED, actor=ACTOR)
    assert _totals(made) == []
    # A draft of another loan's state is no draft of this one's.
    assert _write(replace(draft, version=draft.version + 1)).stale == 1
