"""Reconciling the whole house: its own rules among the book's, once a key, in one snapshot."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.core.reconciliation import BreakState, SealMark
from accounts.models import Break, Reconciliation
from accounts.selectors.reconciliations import (
    ReconciliationView,
    last_seal_mark,
    list_breaks,
    reconciliations,
)
from accounts.services.reconciliation import ReconciliationDateRefused
from marketplace.models import Offer
from marketplace.selectors.audit import audit
from marketplace.services.reconciliation import Reconciled, reconcile
from tests.accounts.books import at_once, book, open_book, seal_now
from tests.marketplace.house import (
    House,
    acting_as_owner,
    funded,
    key,
    paid_out,
    pay_monthly,
)
from tests.world import DAY

# The rules of the daily reconciliation; the audit also reads all that was ever spread.
DAILY = {
    "part_principal",
    "part_interest",
    "part_fee",
    "part_totals",
    "loan_principal",
    "schedule",
    "loan_allocated",
    "loan_spread",
    "loan_claims",
    "fund_claims",
    "loan_replay",
    "on_offer",
    "matched",
    "exposure",
}


def run(on: date = DAY) -> Reconciled:
    return reconcile(on=on, actor="tests", key=key())


def views(made: Reconciled) -> tuple[ReconciliationView, ReconciliationView]:
    internal, external = reconciliations([made.internal, made.external])
    return internal, external


def open_internal() -> set[tuple[str, str, int]]:
    """Rule, reference and pence of open breaks, but for the statements that no bank has sent."""
    return {
        (each.rule, each.reference, each.amount)
        for each in list_breaks()
        if each.rule != "bank_statement"
    }


def test_a_house_that_holds(house: House) -> None:
    """£1,000 lent, two payments spread; £1,100 of another loan matched."""
    pay_monthly(paid_out(house), 2)
    funded(house, [(70_000, 60_000), (72_000, 50_000)])
    internal, external = views(run())
    checks = {check.rule: check for check in internal.checks}
    assert internal.holds
    assert set(checks) >= {*DAILY, "stored_balance", "client_money", "journal"}
    sums = {rule: (check.expected, check.found) for rule, check in checks.items()}
    assert sums["matched"] == (110_000, 110_000)
    assert sums["loan_principal"] == (210_000, 210_000)
    # Of two instalments of £30.78, £25.12 and £25.26 were principal.
    assert sums["part_totals"] == (2 * 3_078, 2 * 3_078)
    assert sums["loan_claims"] == (100_000 - 2_512 - 2_526,) * 2
    # Money came in by hand here, and no bank has said so.
    assert not external.holds
    [missing] = list_breaks()
    assert (missing.rule, missing.reference) == ("bank_statement", "client")
    # The instalments that were collected are not there yet.
    assert missing.amount == sums["client_money"][1] - 2 * 3_078


def test_its_own_checks_are_the_audits(house: House) -> None:
    paid_out(house)
    codes = {finding.code: finding.rule for finding in audit() if finding.code}
    assert set(codes) == {*DAILY, "distributions"}
    internal, _ = views(run())
    titles = {check.rule: check.title for check in internal.checks}
    assert {rule: titles[rule] for rule in DAILY} == {rule: codes[rule] for rule in DAILY}
    assert "distributions" not in titles


def test_a_part_altered_by_the_owner(committed_house: House) -> None:
    """A penny more of principal than the part was paid: found by each rule that knows it."""
    made = paid_out(committed_house)
    pay_monthly(made, 1)
    run()
    assert open_internal() == set()
    with acting_as_owner(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE marketplace_distribution DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE marketplace_distribution SET principal[1] = principal[1] + 1"
            " WHERE loan_id = %s AND number = 1",
            [made.loan_id],
        )
        cursor.execute("ALTER TABLE marketplace_distribution ENABLE TRIGGER USER")
    run(DAY + timedelta(days=1))
    # £480 of £1,000 have 1,207p of 2,512p instead of 1,206p: the exact share is 1,205.76p.
    assert open_internal() == {
        ("part_totals", f"loan {made.loan_id}", 1),
        ("part_principal", f"part 1 of loan {made.loan_id}", 0),
    }
    [totals] = [each for each in list_breaks() if each.rule == "part_totals"]
    assert totals.detail == "expected 30.78, found 30.79"


def test_money_on_offer_that_the_ledger_has_not(house: House) -> None:
    made = funded(house)
    lender = made.lenders[0].pk
    Offer.objects.filter(lender=lender).update(available=500)
    run()
    assert open_internal() == {("on_offer", f"member {lender}", -500)}
    Offer.objects.filter(lender=lender).update(available=0)
    run(DAY + timedelta(days=3))
    [was] = Break.objects.filter(rule="on_offer")
    assert (was.state, was.resolved_on) == (BreakState.CLEARED, DAY + timedelta(days=3))


def test_the_same_key_looks_at_nothing_again(house: House) -> None:
    paid_out(house)
    first = reconcile(on=DAY, actor="tests", key="one")
    told: list[str] = []
    again = reconcile(
        on=DAY, actor="tests", key="one", progress=lambda what, _done, _of: told.append(what)
    )
    assert (again, told) == (first, [])
    assert Reconciliation.objects.count() == 2


def test_a_date_before_the_last_one(house: House) -> None:
    run(DAY + timedelta(days=1))
    with pytest.raises(ReconciliationDateRefused):
        run(DAY)


def test_statements_are_fixed_in_number(house: House) -> None:
    counts = []
    paid_out(house)
    run()
    for loans in (1, 3):
        for _ in range(loans):
            paid_out(house)
        with CaptureQueriesContext(connection) as queries:
            run()
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.usefixtures("committed_db")
def test_what_was_sealed_since_the_last_time() -> None:
    ada, ben, _, bank = open_book()
    book([(bank, ada, 500)])
    seal_now()
    looked_at = []
    for full in (False, False, True):
        told: list[tuple[str, int, int]] = []
        made = reconcile(
            on=DAY,
            actor="tests",
            key=key(),
            full=full,
            progress=lambda *now, told=told: told.append(now),
        )
        internal, _ = views(made)
        looked_at += [check.checked for check in internal.checks if check.rule == "journal"]
        book([(ada, ben, 5)])
        seal_now()
    assert looked_at == [1, 1, 3]
    steps = list(dict.fromkeys(what for what, *_ in told))
    assert steps == ["the book", "the journal", "loans and parts", "the bank"]
    assert ("the journal", 3, 3) in told
    assert last_seal_mark() != SealMark()


@pytest.mark.usefixtures("committed_db")
def test_nothing_is_found_while_others_post() -> None:
    ada, ben, _, bank = open_book()
    book([(bank, ada, 10_000)])

    def work(number: int) -> None:
        for _ in range(25 if number else 4):
            if number:
                book([(bank, ada, 7), (ada, ben, 5)])
            else:
                run()

    at_once(work, 3)
    assert open_internal() == set()
    assert Break.objects.count() == 1
