"""Direct debits that came back: their payments are taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import transaction

from accounts.services.collecting import Unpaid, fail_collections, taken_back
from accounts.services.idempotency import once
from marketplace.core.arrays import int_array
from marketplace.core.collecting import Collector
from marketplace.core.house import HOUSE, House
from marketplace.selectors.collecting import loans_ahead
from marketplace.selectors.direct_debits import bounces_due, bounces_waiting, sandbox_bounces
from marketplace.services.bouncing import bounce_payments
from marketplace.services.locks import lock_loans, lock_servicing


@dataclass(frozen=True)
class BouncedCollections:
    """How many payments were taken back, and pence of them."""

    payments: int
    pence: int


def bounce_due(
    *, on: date, collector: Collector, actor: str, key: str, house: House = HOUSE
) -> BouncedCollections:
    """Take back the payments of direct debits that came back by a day; it posts, last.

    Those that a statement took back, that somebody said to be unpaid, and that the sandbox lets
    bounce. Each once, whoever calls how often. Of a loan with later records they wait for the close
    of a later day.

    Args:
        on: business date.
        collector: who collects.
        actor: who asks.
        key: idempotency key, unique for the actor.
        house: the house's settings.

    Raises:
        DateRefused, IdempotencyConflict.
    """

    def bounce() -> dict[str, Any]:
        lock_servicing()
        loans = int_array(sorted({one.loan_id for one in bounces_due(on, collector)}), "loans")
        lock_loans(loans)
        ahead = loans_ahead(on, loans)
        # Read again: what somebody took back before they let go of its loan is done.
        announced = sandbox_bounces(on, collector)
        fail_collections(unpaid=[Unpaid(one.end_to_end_id, one.reason) for one in announced])
        due = [one for one in bounces_waiting(on) if one.loan_id not in ahead]
        taken_back(end_to_end_ids=[one.end_to_end_id for one in due])
        payments = [one.payment_id for one in due if one.payment_id]
        if payments:
            bounce_payments(
                payments=payments,
                on=on,
                actor=actor,
                key=key,
                reason="The direct debit came back.",
                house=house,
            )
        return {"payments": len(payments), "pence": sum(one.amount for one in due)}

    with transaction.atomic():
        answer = once(scope=actor, name="bounce_due", key=key, content={"on": on}, action=bounce)
    return BouncedCollections(**answer)
