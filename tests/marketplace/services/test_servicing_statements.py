"""What servicing costs in statements: the same for five parts and sixty, for two loans or four."""

from __future__ import annotations

from datetime import date

from django.db import connection

from marketplace.models import Part
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import bring_up, fall_due
from marketplace.services.paying_out import pay_out
from marketplace.services.payments import PaymentDraft, distribute_cleared, receive_payments
from marketplace.services.topping_up import top_up_offers
from tests.marketplace.house import House, accept, funded, key
from tests.marketplace.statements import statements
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

SECOND_DUE = date(2016, 6, 1)


def _life(loans: list[int]) -> list[int]:
    """Statements of pay-out, a due date, a payment and its spreading."""
    drafts = [PaymentDraft(loan, 1_000) for loan in loans]
    late = date(2016, 9, 3)
    once = key()
    accept(*loans)
    return [
        statements(lambda: pay_out(loan_ids=loans, on=DAY, actor=ACTOR, key=once)),
        statements(lambda: fall_due(on=FIRST_DUE, actor=ACTOR)),
        statements(lambda: receive_payments(payments=drafts, on=FIRST_DUE, actor=ACTOR, key=once)),
        statements(lambda: distribute_cleared(on=CLEARED, actor=ACTOR)),
        statements(lambda: top_up_offers(on=CLEARED, actor=ACTOR)),
        statements(lambda: bring_up(loan_ids=loans, on=SECOND_DUE, actor=ACTOR)),
        # Into arrears, and into default.
        statements(lambda: age_loans(on=late)),
    ]


def test_every_way_of_asking_is_counted(house: House) -> None:
    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.execute("SELECT %s", [1])
        with connection.connection.cursor() as raw:
            raw.execute("SELECT 1")
            with raw.copy("COPY (SELECT 1) TO STDOUT") as copy:
                list(copy)

    assert statements(ask) == 4
    assert statements(lambda: None) == 0


def test_statements_do_not_grow_with_parts_or_loans(house: House) -> None:
    # A connection asks for the platform's accounts once, so that the first time counts more.
    _life([funded(house, [(70_000, 20_000)] * 5).loan_id for _ in range(2)])
    counts = _life([funded(house, [(70_000, 20_000)] * 5).loan_id for _ in range(2)])
    many = [funded(house, [(70_000, 2_000)] * 60).loan_id for _ in range(4)]
    assert Part.objects.filter(loan__in=many).count() == 240
    assert _life(many) == counts
    assert max(counts) <= 45
