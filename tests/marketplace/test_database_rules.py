"""What the database refuses by itself, asked in raw SQL with the application's own role."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from marketplace.models import Distribution, Loan, LoanEvent, LoanMove, Part, Payment
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
# The second distribution of the loan of two parts: £480 and £520, sums given by hand.
_ROW = (
    "INSERT INTO marketplace_distribution (loan_id, number, payment_id, kind, spread_on,"
    " principal_total, interest_total, fee_total, principal, interest, fee) VALUES (%(loan)s,"
    " {number}, {payment}, '{kind}', '2016-05-06', {sums}, '{principal}', '{interest}', '{fee}')"
)
_SOUND = {
    "number": "2",
    "payment": "NULL",
    "kind": "correction",
    "sums": "2512, 566, 83",
    "principal": "{1206,1306}",
    "interest": "{268,298}",
    "fee": "{40,43}",
}


def _row(**changed: str) -> str:
    return _ROW.format(**{**_SOUND, **changed})


@pytest.fixture
def spread(house: House) -> tuple[Funded, dict[str, int]]:
    """A loan with one payment spread, a second loan, and a payment that waits to be spread."""
    made, other = paid_out(house), paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 3_078, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    pay(made.loan_id, 100, CLEARED)
    LoanEvent.objects.create(
        loan_id=made.loan_id,
        number=3,
        kind="due_day",
        effective_on=CLEARED,
        recorded_on=CLEARED,
        actor=ACTOR,
        day=5,
        voided_on=CLEARED,
        voided_by=ACTOR,
    )
    Distribution.objects.filter(loan=made.loan_id).update(topped_up_on=CLEARED)
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
        # Totals that don't make up the row: no such loan, too few, too many, sums, a NULL, shapes.
        (_row().replace("%(loan)s", "999999999"), "TN102"),
        (_row(principal="{2512}"), "TN102"),
        (_row(fee="{40,43,0}"), "TN102"),
        (_row(sums="2513, 566, 83"), "TN102"),
        (_row(sums="2512, 565, 83"), "TN102"),
        (_row(sums="2512, 566, 82"), "TN102"),
        (_row(principal="{2512,NULL}"), "TN102"),
        (_row(principal="{{1206,1306}}"), "TN102"),
        (_row(principal="[2:3]={1206,1306}"), "TN102"),
        # More principal than the part is, less than nothing, a fee beyond the interest.
        (_row(sums="48001, 566, 83", principal="{48001,0}"), "TN102"),
        (_row(principal="{-1,2513}"), "TN102"),
        (_row(interest="{39,527}"), "TN102"),
        (_row(sums="2512, 82, 83"), "23514"),
        # What doesn't follow on: a number left out, one there was, a gap before a second row.
        (_row(number="3"), "TN105"),
        (_row(number="1"), "23505"),
        (_row() + ", " + _row(number="4").split("VALUES ")[1], "TN105"),
        # A payment that brought something else, another loan's, none, or one of a correction.
        (
            _row(
                kind="payment", payment="%(payment)s", sums="2513, 566, 83", principal="{1207,1306}"
            ),
            "TN103",
        ),
        (_row(kind="payment", payment="%(payment)s", sums="2512, 566, 82", fee="{39,43}"), "TN103"),
        (_row(kind="payment", payment="999999999"), "TN103"),
        (_row(kind="payment"), "23514"),
        (_row(payment="%(payment)s"), "23514"),
        # A payment without an amount, or allocated beyond it.
        ("UPDATE marketplace_payment SET cost_principal = 1 WHERE id = %(payment)s", "23514"),
        ("UPDATE marketplace_payment SET returned = 101 WHERE id = %(payment)s", "23514"),
        # An instalment on which something is paid stays.
        ("DELETE FROM marketplace_instalment WHERE loan_id = %(loan)s AND number = 1", "TN001"),
        # What happened stays, and is taken back once, by somebody.
        ("UPDATE marketplace_loanevent SET voided_on = '2016-05-07', voided_by = 'x'", "TN001"),
        ("UPDATE marketplace_loanevent SET voided_on = NULL, voided_by = ''", "TN001"),
        ("UPDATE marketplace_distribution SET topped_up_on = '2016-05-07'", "TN001"),
    ],
)
def test_rows_that_break_a_rule_are_refused(
    spread: tuple[Funded, dict[str, int]], statement: str, state: str
) -> None:
    assert _refused(statement, spread[1]) == state


def test_rows_that_follow_on_are_taken(spread: tuple[Funded, dict[str, int]]) -> None:
    made, names = spread
    more = _row(number="3", sums="2512, 566, 82", fee="{40,42}").split("VALUES ")[1]
    with connection.cursor() as cursor:
        cursor.execute(_row() + ", " + more, names)
        assert made.loan.distributions == 3
        cursor.execute(
            "SELECT number, principal, interest, fee FROM marketplace_partreceived"
            " WHERE loan_id = %(loan)s ORDER BY number",
            names,
        )
        assert cursor.fetchall() == [(1, 1_206, 268, 40), (2, 1_306, 298, 42)]
        cursor.execute(_row(number="4", kind="payment", payment="%(payment)s"), names)
        # What has not fallen due may be written anew.
        cursor.execute(
            "DELETE FROM marketplace_instalment WHERE loan_id = %(loan)s AND number > 1", names
        )
        assert cursor.rowcount == 35


def test_parts_change_hands_until_the_loan_defaults(spread: tuple[Funded, dict[str, int]]) -> None:
    made, names = spread
    sale = "UPDATE marketplace_part SET lender_id = %(lender)s WHERE id = %(part)s"
    for state in ("default", "written_off", "settled", "recovered"):
        Loan.objects.filter(pk=made.loan_id).update(state=state)
        assert _refused(sale, names) == "TN106"
    Loan.objects.filter(pk=made.loan_id).update(state="arrears")
    with connection.cursor() as cursor:
        cursor.execute(sale, names)
    assert set(Part.objects.filter(loan=made.loan_id).values_list("lender_id", flat=True)) == {
        names["lender"]
    }


FORBIDDEN = "42501"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE marketplace_part SET size = size + 1000 WHERE id = %(part)s",
        "UPDATE marketplace_part SET rate = 0",
        "DELETE FROM marketplace_part WHERE id = %(part)s",
        "TRUNCATE marketplace_part CASCADE",
        "UPDATE marketplace_distribution SET principal = '{0,0}'",
        "UPDATE marketplace_distribution SET spread_on = '2016-05-07'",
        "DELETE FROM marketplace_distribution",
        "TRUNCATE marketplace_distribution",
        "UPDATE marketplace_loanmove SET reason = 'another' WHERE loan_id = %(loan)s",
        "DELETE FROM marketplace_loanmove",
        "UPDATE marketplace_loanevent SET reason = 'another'",
        "DELETE FROM marketplace_loanevent",
        "TRUNCATE marketplace_loanevent",
        "DELETE FROM marketplace_payment",
        "TRUNCATE marketplace_loanmove",
        "ALTER TABLE marketplace_part DISABLE TRIGGER USER",
        "DROP TRIGGER distributions_follow_on ON marketplace_distribution",
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
        for table in ("part", "distribution", "loanmove", "loanevent", "payment"):
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
