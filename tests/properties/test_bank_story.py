"""Whatever a bank writes and people do: the ledger holds what the bank says, to the penny."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.core.bank_statement import BankLine
from accounts.core.errors import AccountsRefusal
from accounts.core.references import payment_reference
from accounts.models import Member, OutgoingPayment, SuspenseItem
from accounts.services.payments import reject_payment
from accounts.services.suspense import assign_suspense, return_suspense
from accounts.services.withdrawals import request_withdrawal
from tests.accounts.services.bank_desk import (
    DAY,
    OPERATIONS,
    Bank,
    fits,
    give,
    payable,
    people,
    send_file,
)
from tests.bank_files import money_in, withdrawal_paid, withdrawal_returned

LINES = st.tuples(
    st.sampled_from(["in", "unknown", "out", "strange", "paid", "returned", "reversed"]),
    st.integers(0, 2),
    st.integers(1, 400),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("statement"), st.lists(LINES, max_size=6)),
        st.tuples(st.just("withdraw"), st.tuples(st.integers(0, 2), st.integers(1, 400))),
        st.tuples(
            st.sampled_from(["file", "assign", "send back", "reject", "again"]), st.integers(0, 2)
        ),
    ),
    min_size=4,
    max_size=14,
)


class Story:
    """A bank, three members, and everything that was ever written."""

    def __init__(self) -> None:
        self.bank = Bank()
        self.members: list[Member] = people(3)
        self.credits: list[BankLine] = []
        self.files: list[bytes] = []
        self.count = 0
        for member in self.members:
            payable(member)

    def number(self) -> str:
        self.count += 1
        return f"N-{self.count}"

    def line(self, what: str, who: int, amount: int) -> BankLine:
        """A line of that sort; where there is nothing to be about, money in for nobody known."""
        if what == "in":
            made = money_in(self.number(), amount, payment_reference(self.members[who].pk))
            self.credits.append(made)
            return made
        if what == "strange":
            return withdrawal_paid(self.number(), amount, f"STRANGE-{self.count}")
        if what == "reversed" and self.credits:
            line = self.credits[(amount + who) % len(self.credits)]
            return replace(line, reference=self.number(), amount=-line.amount, reversal=True)
        payments = list(OutgoingPayment.objects.order_by("pk"))
        if what in ("out", "paid", "returned") and payments:
            payment = payments[(amount + who) % len(payments)]
            make = withdrawal_returned if what == "returned" else withdrawal_paid
            pence = amount if what == "out" else payment.amount
            return make(self.number(), pence, payment.end_to_end_id)
        made = money_in(self.number(), amount, "who knows")
        self.credits.append(made)
        return made

    def do(self, step: str, what: object) -> None:
        """One step; what is refused changes nothing."""
        items = list(SuspenseItem.objects.filter(state="open"))
        match step, what:
            case "statement", list(lines):
                self.files.append(self.bank.writes(*(self.line(*line) for line in lines)))
                give(self.files[-1])
            case "again", int() if self.files:
                assert give(self.files[-1]).unchanged
            case "withdraw", (int(who), int(amount)):
                request_withdrawal(
                    member_id=self.members[who].pk, amount=amount, key=self.number(), on=DAY
                )
            case "file", int():
                send_file(self.number())
            case "assign", int(who) if items:
                assign_suspense(
                    item_id=items[0].pk,
                    member_id=self.members[who].pk,
                    key=self.number(),
                    on=DAY,
                    actor=OPERATIONS,
                )
            case "send back", int() if items:
                return_suspense(item_id=items[-1].pk, key=self.number(), on=DAY, actor=OPERATIONS)
            case "reject", int():
                payment = OutgoingPayment.objects.filter(state="sent").first()
                if payment is not None:
                    reject_payment(
                        payment_id=payment.pk, key=self.number(), on=DAY, actor=OPERATIONS
                    )


@pytest.mark.usefixtures("db")
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_the_ledger_holds_what_the_bank_says(steps: list[tuple[str, object]]) -> None:
    with transaction.atomic():
        story = Story()
        for step, what in steps:
            try:
                with transaction.atomic():
                    story.do(step, what)
            except AccountsRefusal:
                if step in ("statement", "again"):
                    raise
            fits()
        transaction.set_rollback(True)
