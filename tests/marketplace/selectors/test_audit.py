"""The audit: quiet on a good book, and each planted fault is found by the rule that is meant to.

Faults are planted behind the book's back: the owner switches the triggers off for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from marketplace.models import Distribution
from marketplace.selectors.audit import audit
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import distribute_cleared
from tests.conftest import _cloned
from tests.marketplace.house import (
    House,
    acting_as_owner,
    borrowers,
    funded,
    listing,
    offer,
    paid_out,
    pay,
)
from tests.world import ACTOR, CLEARED, FIRST_DUE, enrol_lenders

SUM = "The ledger sums to zero in each book"
BALANCES = "Stored balances equal the ones re-derived from transfers"
PRINCIPAL = "Every part's principal is within a penny of its exact share"
INTEREST = "Every part's interest is within a penny of its exact share"
FEE = "Every part's fee is what is kept of its interest"
TOTALS = "Every loan's totals are the sums of what its parts received"
PARTS = "Every loan's amount is the sum of its parts"
SCHEDULE = "The principal of every loan's instalments adds up to its amount"
ALLOCATED = "What is paid of every loan is what its payments were allocated to, row by row"
SPREAD = "What lenders have of each loan is what its payments and the provision fund brought"
CLAIMS = "The ledger has of each loan what its borrower still owes, and payments not yet cleared"
FUND = "The provision fund owns no more of a loan than is still owed, and only what it paid for"
ON_OFFER = "Money on offer in the ledger is what the lender's offers have available"
MATCHED = "Money matched in the ledger is what the lender's parts await pay-out with"
LIMITS = "Nobody holds more of a borrower than the exposure limit of the offer they lent through"
HISTORY = "Every distribution's totals are the sums of its parts', and numbers follow each other"
REPLAY = "Every loan is what its contract, payments and events make of it when they are replayed"

EVERY_RULE = {
    SUM,
    BALANCES,
    PRINCIPAL,
    INTEREST,
    FEE,
    TOTALS,
    PARTS,
    SCHEDULE,
    ALLOCATED,
    SPREAD,
    CLAIMS,
    FUND,
    ON_OFFER,
    MATCHED,
    LIMITS,
    HISTORY,
    REPLAY,
}

# Loan 1 has paid its first instalment, loan 2 awaits pay-out; a part of loan 1 is named by number.
_FIRST = (
    "(SELECT id FROM marketplace_part WHERE number = 1 AND loan_id ="
    " (SELECT min(id) FROM marketplace_loan))"
)
_LOAN = "(SELECT min(id) FROM marketplace_loan)"


def _moved(column: str, first: int, second: int) -> str:
    """Change what the two parts of loan 1 received, without the totals."""
    return (
        f"UPDATE marketplace_distribution SET {column} ="
        f" ARRAY[{column}[1] + {first}, {column}[2] + {second}]"
    )


FAULTS: dict[str, tuple[list[str], set[str]]] = {
    "a penny of principal moves from one part to the other": (
        [_moved("principal", 1, -1)],
        {PRINCIPAL},
    ),
    # Each part's fee goes with its interest.
    "two pennies of interest do": ([_moved("interest", 2, -2)], {INTEREST, FEE}),
    "a part has a penny of interest too much": (
        [_moved("interest", 1, 0)],
        {INTEREST, TOTALS, HISTORY},
    ),
    "a fee is not what was kept": ([_moved("fee", 0, -1)], {FEE, TOTALS, HISTORY}),
    "a part is missing in the totals": (
        ["UPDATE marketplace_distribution SET principal = principal[1:1]"],
        {PRINCIPAL, INTEREST, FEE, TOTALS, HISTORY},
    ),
    "a balance is changed": (
        [
            "UPDATE accounts_account SET balance = balance + 1 WHERE kind = 'cash'"
            " AND balance > 0 AND id = (SELECT min(id) FROM accounts_account"
            " WHERE kind = 'cash' AND balance > 0)"
        ],
        {SUM, BALANCES},
    ),
    "a transfer is changed": (
        [
            "UPDATE accounts_transfer SET amount = amount - 1"
            " WHERE id = (SELECT min(id) FROM accounts_transfer)"
        ],
        {BALANCES},
    ),
    "a loan's principal paid is changed": (
        [f"UPDATE marketplace_loan SET principal_paid = principal_paid + 1 WHERE id = {_LOAN}"],
        {ALLOCATED, CLAIMS},
    ),
    "a loan's interest paid is changed": (
        [f"UPDATE marketplace_loan SET interest_paid = interest_paid - 1 WHERE id = {_LOAN}"],
        {ALLOCATED},
    ),
    "a payment was allocated to less than the instalments say": (
        ["UPDATE marketplace_payment SET principal = principal - 1 WHERE number = 2"],
        {ALLOCATED},
    ),
    "lenders got a penny more than the payment brought": (
        [
            "UPDATE marketplace_payment SET to_fund_interest = 1"
            " WHERE number = 1 AND distributed_on IS NOT NULL"
        ],
        {SPREAD},
    ),
    "a loan's last distribution is not the one that it names": (
        [f"UPDATE marketplace_loan SET distributions = 2 WHERE id = {_LOAN}"],
        {SPREAD, HISTORY},
    ),
    "an instalment that is to come is a penny short": (
        [
            "UPDATE marketplace_instalment SET principal_due = principal_due - 1 WHERE number = 9"
            f" AND loan_id = {_LOAN}"
        ],
        {SCHEDULE},
    ),
    "the fund owns a claim that it never paid for": (
        [f"UPDATE marketplace_loan SET fund_principal = 1 WHERE id = {_LOAN}"],
        {FUND},
    ),
    "an instalment owes a penny more interest than was booked": (
        [
            "UPDATE marketplace_instalment SET interest_due = interest_due + 1 WHERE number = 2"
            f" AND loan_id = {_LOAN}"
        ],
        {CLAIMS},
    ),
    "a payment that waits to clear is forgotten": (
        ["DELETE FROM marketplace_payment WHERE distributed_on IS NULL"],
        {CLAIMS, ALLOCATED},
    ),
    "an offer has £10 less available": (
        ["UPDATE marketplace_offer SET available = available - 1000 WHERE available > 0"],
        {ON_OFFER},
    ),
    "a part that awaits pay-out changes hands": (
        [
            "UPDATE marketplace_part SET lender_id = (SELECT max(lender_id) FROM marketplace_offer"
            " WHERE available > 0) WHERE number = 1 AND loan_id ="
            " (SELECT id FROM marketplace_loan WHERE state = 'funded')"
        ],
        {MATCHED},
    ),
    "an exposure limit was not kept": (
        [
            f'UPDATE marketplace_part SET "limit" = 1000 WHERE id = {_FIRST}',
        ],
        {LIMITS},
    ),
}


def _good_book(house: House) -> None:
    """A loan in service with a payment spread and one that waits, one matched, money on offer."""
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, made.loan.instalment, FIRST_DUE)
    fall_due(on=CLEARED.replace(month=6), actor=ACTOR)
    distribute_cleared(on=CLEARED.replace(month=6), actor=ACTOR)
    pay(made.loan_id, 1_000, CLEARED.replace(month=6))
    funded(house, [(70_000, 60_000), (72_000, 50_000)])
    [lender] = enrol_lenders([100_000])
    offer(house, lender, 20_000, {"B/36": 80_000})
    listing(house, borrowers(1)[0], 500_000)


@pytest.fixture(scope="module")
def book(house_template: House, django_db_blocker: Any) -> Iterator[str]:
    """A good book in a database of the module's own."""
    with django_db_blocker.unblock(), _cloned(house_template.database) as name:
        _good_book(house_template)
        yield name


def test_a_good_book_holds_in_every_rule(book: str) -> None:
    findings = audit()
    assert {finding.rule for finding in findings} == EVERY_RULE
    assert [finding.rule for finding in findings if not finding.holds] == []
    # No day was closed yet, so nothing is replayed.
    assert [finding.rule for finding in findings if not finding.checked] == [REPLAY]
    assert Distribution.objects.count() == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_found_by_its_rules(book: str, fault: str) -> None:
    """Planted and audited in one transaction of the owner's, which is then undone."""
    statements, rules = FAULTS[fault]
    with acting_as_owner(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE tablename ~ '^(accounts|marketplace)_'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
            assert cursor.rowcount > 0
        findings = audit()
        transaction.set_rollback(True)
    assert {finding.rule for finding in findings if not finding.holds} == rules
    assert all(finding.example for finding in findings if finding.rule in rules)
