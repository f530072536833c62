"""What the database refuses by itself, asked in raw SQL with the application's own role."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from marketplace.models import Distribution, LoanMove, Part, Payment
from marketplace.selectors.audit import audit
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import distribute_cleared
from tests.marketplace.house import Funded, House, acting_as_owner, paid_out, pay
from tests.world import ACTOR, CLEARED, FIRST_DUE

_PART = (
    "INSERT INTO marketplace_part (loan_id, number, lender_id, offer_id, size, rate, pricing,"
    ' "limit", monthly_rate, expected_return) SELECT loan_id, number + 10, lender_id, offer_id,'
    ' {size}, rate, pricing, "limit", monthly_rate, expected_return FROM marketplace_part'
    " WHERE loan_id = %(loan)s AND number = 1"
)
_SHARE = (
    "INSERT INTO marketplace_distribution (payment_id, part_id, principal, interest, fee)"
    " VALUES (%(payment)s, %(part)s, {}, {}, {})"
)


@pytest.fixture
def spread(house: House) -> tuple[Funded, dict[str, int]]:
    """A loan with one payment spread, a second loan, and a payment that waits to be spread."""
    made, other = paid_out(house), paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 3_078, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    pay(made.loan_id, 100, CLEARED)
    return made, {
        "loan": made.loan_id,
        "payment": Payment.objects.get(loan=made.loan_id, number=2).pk,
        "spread": Payment.objects.get(loan=made.loan_id, number=1).pk,
        "part": Part.objects.get(loan=made.loan_id, number=1).pk,
        "second": Part.objects.get(loan=made.loan_id, number=2).pk,
        "foreign": Part.objects.get(loan=other.loan_id, number=1).pk,
        "lender": made.lenders[1].pk,
        "borrower": made.borrower.pk,
    }


def _refused(statement: str, names: dict[str, int]) -> str | None:
    """The SQLSTATE with which the database refuses a statement."""
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        connection.cursor().execute(statement, names)
    cause = refusal.value.__cause__
    assert isinstance(cause, psycopg.Error)
    return cause.sqlstate


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        # Parts that don't sum to the loan, off the step, or another lender's offer.
        (_PART.format(size=1_000), "TN101"),
        (_PART.format(size=0), "23514"),
        (
            _PART.format(size=1_000).replace(
                " lender_id, offer_id, 1000", " %(lender)s, offer_id, 1000"
            ),
            "TN104",
        ),
        (_PART.format(size=1_000).replace("SELECT loan_id", "SELECT 999999999"), "TN104"),
        # Shares: of a payment that is unknown, that don't sum to it, of another loan's part.
        (_SHARE.format(0, 1, 0), "TN102"),
        (_SHARE.format(1, 0, 0), "TN102"),
        (_SHARE.replace("%(payment)s", "999999999").format(0, 0, 0), "TN102"),
        (_SHARE.replace("%(part)s", "%(foreign)s").format(0, 0, 0), "TN103"),
        (_SHARE.replace("%(part)s", "999999999").format(0, 0, 0), "TN103"),
        (_SHARE.format(0, -1, 0), "23514"),
        (_SHARE.format(0, 0, 1), "23514"),
        # A share given twice.
        (_SHARE.replace("%(payment)s", "%(spread)s").format(1_206, 268, 40), "23505"),
    ],
)
def test_rows_that_break_a_rule_are_refused(
    spread: tuple[Funded, dict[str, int]], statement: str, state: str
) -> None:
    assert _refused(statement, spread[1]) == state
    assert all(finding.holds for finding in audit())


FORBIDDEN = "42501"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE marketplace_part SET principal_received = 1 WHERE id = %(part)s",
        "UPDATE marketplace_part SET interest_received = 0 WHERE id = %(part)s",
        "UPDATE marketplace_part SET size = size + 1000 WHERE id = %(part)s",
        "UPDATE marketplace_part SET fee_paid = 0",
        "DELETE FROM marketplace_part WHERE id = %(part)s",
        "TRUNCATE marketplace_part CASCADE",
        "UPDATE marketplace_distribution SET principal = 0",
        "DELETE FROM marketplace_distribution",
        "TRUNCATE marketplace_distribution",
        "UPDATE marketplace_loanmove SET reason = 'another' WHERE loan_id = %(loan)s",
        "DELETE FROM marketplace_loanmove",
        "TRUNCATE marketplace_loanmove",
        "ALTER TABLE marketplace_part DISABLE TRIGGER USER",
        "DROP TRIGGER distributions_move_parts ON marketplace_distribution",
    ],
)
def test_what_is_on_record_cannot_be_changed(
    spread: tuple[Funded, dict[str, int]], statement: str
) -> None:
    assert _refused(statement, spread[1]) == FORBIDDEN


def test_not_even_the_owner_changes_the_record_by_the_way(committed_house: House) -> None:
    """The owner may: but only by switching the triggers off first, in so many words."""
    paid_out(committed_house)
    with acting_as_owner():
        for table in ("part", "distribution", "loanmove"):
            for statement in ("DELETE FROM marketplace_{}", "TRUNCATE marketplace_{} CASCADE"):
                assert _refused(statement.format(table), {}) == "TN001"
    assert LoanMove.objects.count() == 1
    assert Part.objects.count() == 2
    assert Distribution.objects.count() == 0


def test_a_loan_cannot_be_paid_beyond_what_it_is(spread: tuple[Funded, dict[str, int]]) -> None:
    names = spread[1]
    for statement in (
        "UPDATE marketplace_loan SET principal_paid = amount + 1 WHERE id = %(loan)s",
        "UPDATE marketplace_loan SET principal_paid = -1 WHERE id = %(loan)s",
        "UPDATE marketplace_instalment SET principal_paid = principal_due + 1"
        " WHERE loan_id = %(loan)s",
        "UPDATE marketplace_instalment SET interest_paid = 1 WHERE loan_id = %(loan)s"
        " AND interest_due IS NULL",
        "UPDATE marketplace_payment SET principal = amount, interest = 1 WHERE id = %(payment)s",
        "UPDATE marketplace_payment SET amount = 0 WHERE id = %(payment)s",
    ):
        assert _refused(statement, names) == "23514"


def test_an_offer_has_no_less_than_nothing_and_a_limit(
    spread: tuple[Funded, dict[str, int]],
) -> None:
    names = spread[1]
    for column in ("available = -1", "repaid = available + 1", "exposure_limit = 0"):
        statement = f"UPDATE marketplace_offer SET {column} WHERE lender_id = %(lender)s"
        assert _refused(statement, names) == "23514"
