"""Contacts with borrowers, and what became of their promises to pay."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction

from accounts.models import Member, Role
from accounts.services.posting import IdempotencyConflict
from marketplace.core.loan_events import PaymentKind
from marketplace.core.promises import (
    Channel,
    ContactRefused,
    Direction,
    PromiseRefused,
    PromiseState,
)
from marketplace.core.states import LoanState
from marketplace.models import Contact, Loan, Payment, Promise
from marketplace.selectors.contacts import contacts_of, promises_of
from marketplace.services.contacts import judge_promises, log_contact, record_promise
from marketplace.services.paying_out import LoanUnknown
from tests.factories import MemberFactory
from tests.marketplace.house import Funded, House, funded, key
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY


@pytest.fixture
def loan(house: House) -> Funded:
    """A loan that takes payments."""
    made = funded(house)
    Loan.objects.filter(pk=made.loan_id).update(state=LoanState.ARREARS)
    return made


@pytest.fixture
def staff(house: House) -> Member:
    member: Member = MemberFactory.build(role=Role.OPERATIONS, is_lender=False, is_borrower=False)
    member.save()
    return member


def promised(made: Funded, amount: int, days: int) -> int:
    return record_promise(
        loan_id=made.loan_id,
        amount=amount,
        due_on=DAY + timedelta(days),
        on=DAY,
        actor=ACTOR,
        key=key(),
    )


def came(
    made: Funded, number: int, amount: int, on: date, *, recorded_on: date | None = None
) -> Payment:
    return Payment.objects.create(
        loan_id=made.loan_id,
        number=number,
        kind=PaymentKind.COLLECTION,
        amount=amount,
        actor=ACTOR,
        received_on=on,
        recorded_on=recorded_on or on,
        clears_on=on + timedelta(days=3),
    )


def states() -> list[str]:
    return list(Promise.objects.order_by("pk").values_list("state", flat=True))


def test_a_contact_is_on_record_for_staff(loan: Funded, staff: Member) -> None:
    log_contact(
        loan_id=loan.loan_id,
        on=DAY,
        channel=Channel.PHONE,
        direction=Direction.OUT,
        note="  Lost her job; pays half on Friday.  ",
        staff=staff.reference,
        key=key(),
    )
    [seen] = contacts_of(loan.loan_id)
    assert (seen.on, seen.channel, seen.direction) == (DAY, Channel.PHONE, Direction.OUT)
    assert (seen.staff, seen.note) == (staff.reference, "Lost her job; pays half on Friday.")
    assert seen.note not in repr(seen)
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE marketplace_contact SET note = 'nothing'")


def test_contacts_that_are_refused(loan: Funded, staff: Member) -> None:
    def log(note: str, by: str, loan_id: int = loan.loan_id) -> None:
        log_contact(
            loan_id=loan_id,
            on=DAY,
            channel=Channel.EMAIL,
            direction=Direction.IN,
            note=note,
            staff=by,
            key=key(),
        )

    for note in ("", "  ", "x" * 4_001, "a\0b"):
        with pytest.raises(ContactRefused, match="1 to 4,000 characters"):
            log(note, staff.reference)
    for by in (loan.borrower.reference, "member:999999999", "nobody", ""):
        with pytest.raises(ContactRefused, match="member of staff"):
            log("said", by)
    with pytest.raises(LoanUnknown):
        log("said", staff.reference, loan_id=999_999_999)
    assert not Contact.objects.exists()


def test_promises_that_are_refused(loan: Funded) -> None:
    for amount in (0, -1, 100_000_000):
        with pytest.raises(PromiseRefused, match="above nothing, up to the £"):
            promised(loan, amount, 5)
    with pytest.raises(PromiseRefused, match="not past"):
        promised(loan, 1_000, -1)
    Loan.objects.filter(pk=loan.loan_id).update(state=LoanState.REPAID)
    with pytest.raises(PromiseRefused, match="is repaid; promises are taken for loans that are"):
        promised(loan, 1_000, 5)
    with pytest.raises(LoanUnknown):
        record_promise(loan_id=999_999_999, amount=1, due_on=DAY, on=DAY, actor=ACTOR, key=key())


def test_what_is_told_twice_is_on_record_once(loan: Funded, staff: Member) -> None:
    contact: dict[str, Any] = {
        "loan_id": loan.loan_id,
        "on": DAY,
        "channel": Channel.PHONE,
        "direction": Direction.IN,
        "note": "pays on Friday",
        "staff": staff.reference,
        "key": "call",
    }
    promise: dict[str, Any] = {
        "loan_id": loan.loan_id,
        "amount": 3_078,
        "due_on": DAY + timedelta(days=5),
        "on": DAY,
        "actor": staff.reference,
        "key": "call",
    }
    assert log_contact(**contact) == log_contact(**contact)
    assert record_promise(**promise) == record_promise(**promise)
    assert (Contact.objects.count(), Promise.objects.count()) == (1, 1)
    with pytest.raises(IdempotencyConflict):
        log_contact(**(contact | {"note": "pays on Monday"}))
    with pytest.raises(IdempotencyConflict):
        record_promise(**(promise | {"amount": 1_000}))


def test_promises_are_kept_or_broken_by_their_day(loan: Funded) -> None:
    promised(loan, 5_000, 5)
    promised(loan, 5_000, 12)
    came(loan, 1, 6_000, DAY + timedelta(days=4))
    done = judge_promises(on=DAY + timedelta(days=4))
    assert ((done.kept, done.broken), states()) == ((1, 0), ["kept", "open"])
    assert judge_promises(on=DAY + timedelta(days=12)).broken == 0
    done = judge_promises(on=DAY + timedelta(days=13))
    assert ((done.kept, done.broken), states()) == ((0, 1), ["kept", "broken"])
    seen = promises_of(loan.loan_id)
    assert [(one.state, one.judged_on) for one in seen] == [
        (PromiseState.KEPT, DAY + timedelta(days=4)),
        (PromiseState.BROKEN, DAY + timedelta(days=13)),
    ]
    assert judge_promises(on=DAY + timedelta(days=14)) == judge_promises(
        on=DAY + timedelta(days=15)
    )


def test_a_payment_that_bounces_keeps_no_promise(loan: Funded) -> None:
    promised(loan, 5_000, 5)
    payment = came(loan, 1, 5_000, DAY + timedelta(days=1))
    judge_promises(on=DAY + timedelta(days=1))
    assert states() == ["kept"]
    payment.bounced_on = DAY + timedelta(days=3)
    payment.save(update_fields=["bounced_on"])
    judge_promises(on=DAY + timedelta(days=3))
    assert states() == ["open"]
    judge_promises(on=DAY + timedelta(days=6))
    assert states() == ["broken"]


def test_a_payment_that_comes_to_light_keeps_a_promise(loan: Funded) -> None:
    promised(loan, 5_000, 5)
    judge_promises(on=DAY + timedelta(days=6))
    assert states() == ["broken"]
    found = DAY + timedelta(days=9)
    came(loan, 1, 5_000, DAY + timedelta(days=6), recorded_on=found)
    judge_promises(on=found)
    assert states() == ["broken"]
    came(loan, 2, 5_000, DAY + timedelta(days=5), recorded_on=found)
    judge_promises(on=found)
    assert states() == ["kept"]


def test_the_number_of_statements_does_not_grow(loan: Funded) -> None:
    counts = []
    for count in (1, 5):
        for _ in range(count):
            promised(loan, 100, 0)
        counts.append(statements(lambda: judge_promises(on=DAY + timedelta(days=1))))
    assert counts[0] == counts[1]
    assert set(states()) == {"broken"}
