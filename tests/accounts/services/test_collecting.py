"""Direct debits from asking to the bank's lines: each penny once, whoever says it how often."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.core.bank_statement import BankLine
from accounts.core.bank_states import LineOutcome
from accounts.core.chart import Book, Kind
from accounts.core.collecting import (
    CollectionMoveRefused,
    CollectionRefused,
    CollectionUnknown,
    collection_reference,
    is_collection_reference,
)
from accounts.core.errors import AmountRefused
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.core.reconciliation import SealMark
from accounts.core.references import payment_reference
from accounts.models import BankLine as StoredLine
from accounts.models import Collection, CollectionFileStored, Mandate, Member
from accounts.selectors.bank_accounts import load_accounts
from accounts.selectors.collecting import current_mandate
from accounts.selectors.ledger import member_balances, totals_by_kind
from accounts.selectors.reconciliation import internal_checks
from accounts.services.asking_collections import CollectionDraft, ask_for_collections
from accounts.services.bank_details import (
    NoVerifiedAccount,
    refuse_bank_details,
    register_bank_details,
    verify_bank_details,
)
from accounts.services.bank_import import ImportedFile
from accounts.services.bank_rows import next_ids
from accounts.services.collected_rests import MovedRests, move_rests
from accounts.services.collecting import (
    ReceiptDraft,
    Unpaid,
    cancel_asked,
    collections_unpaid,
    give_up_collection,
    record_receipts,
    take_in,
    taken_back,
)
from accounts.services.collection_files import NothingToCollect, make_collection_file
from accounts.services.mandates import NoMandate, cancel_mandate, set_up_mandate
from accounts.services.posting import IdempotencyConflict, post
from tests.accounts.services.bank_desk import (
    DAY,
    NOON,
    OPERATIONS,
    Bank,
    csv_file,
    fits,
    give,
    give_csv,
    payable,
    people,
)
from tests.accounts.services.test_banking_races import at_once

DUE = DAY


def payers(count: int) -> list[Member]:
    """Members who have let us collect."""
    members = people(count)
    for member in members:
        payable(member, on=DAY - timedelta(days=7))
        set_up_mandate(
            member_id=member.pk, on=DAY - timedelta(days=7), key="m", actor=member.reference
        )
    return members


def draft(member: Member, amount: int = 3_078, loan: int = 1, **changes: Any) -> CollectionDraft:
    values = {"due_on": DUE, "collect_on": DUE, **changes}
    return CollectionDraft(member.pk, amount, f"loan:{loan}", **values)


def ask(*drafts: CollectionDraft, mandated: bool = True) -> list[str]:
    with transaction.atomic():
        asked = ask_for_collections(asked=drafts, on=DAY, actor="t", mandated=mandated)
    return [one.end_to_end_id for one in asked]


def send(key: str = "file", on: date = DAY) -> CollectionFileStored:
    return make_collection_file(on=on, key=key, actor=OPERATIONS, created_at=NOON)


def taken(*names: str, rests: dict[str, int] | None = None) -> None:
    """What the marketplace does on the day: the borrower's payment is received into clearing."""
    for name in names:
        rest = (rests or {}).get(name, 0)
        with transaction.atomic():
            take_in(end_to_end_ids=[name], on=DAY, rests={name: rest} if rest else {})
            one = Collection.objects.get(end_to_end_id=name)
            _move(one, Kind.COLLECTING, Kind.CASH, one.amount - rest, f"payment/{name}")


def back(name: str) -> None:
    """What the marketplace does when a payment bounces, with cash that the borrower still has."""
    with transaction.atomic():
        assert taken_back(end_to_end_ids=[name]) == 1
        one = Collection.objects.get(end_to_end_id=name)
        _move(one, Kind.CASH, Kind.COLLECTING, one.amount - one.rest, f"bounced/{name}")


def _move(one: Collection, debit: Kind, credit: Kind, amount: int, key: str) -> None:
    if not amount:
        return
    accounts = load_accounts([one.member_id])
    entry = EntryDraft(EntryKind.PAYMENT_RECEIVED, key, DAY, "t", one.subject)
    giver, taker = (accounts.id(kind, one.member_id, key) for kind in (debit, credit))
    post(posting([entry], [Leg(0, giver, taker, amount, Book.CASH)]))


def credit(reference: str, amount: int, name: str | None, **changes: Any) -> BankLine:
    return BankLine(reference, DAY, amount, end_to_end_id=name, **changes)


def states() -> dict[str, str]:
    return dict(Collection.objects.order_by("pk").values_list("end_to_end_id", "state"))


def outcomes(imported: ImportedFile) -> dict[str, int]:
    return {outcome.value: count for outcome, count in imported.outcomes.items()}


def collecting() -> int:
    """What collecting holds, once every check of the book holds."""
    checks, _ = internal_checks(SealMark())
    wrong = [(check.rule, check.findings) for check in checks if not check.holds]
    assert wrong == []
    fits()
    return totals_by_kind()[Kind.COLLECTING]


class TestMandates:
    @pytest.mark.usefixtures("db")
    def test_for_the_verified_account_once(self) -> None:
        [ada] = people(1)
        with pytest.raises(NoVerifiedAccount):
            set_up_mandate(member_id=ada.pk, on=DAY, key="a", actor="t")
        payable(ada)
        first = set_up_mandate(member_id=ada.pk, on=DAY, key="a", actor="t")
        assert set_up_mandate(member_id=ada.pk, on=DAY, key="a", actor="t") == first
        assert set_up_mandate(member_id=ada.pk, on=DAY, key="b", actor="t") == first
        view = current_mandate(ada.pk)
        assert view is not None
        assert (view.masked, view.signed_on) == ("••••2490", DAY)

    @pytest.mark.usefixtures("db")
    def test_another_account_is_another_mandate(self) -> None:
        [ada] = payers(1)
        [asked] = ask(draft(ada))
        details = register_bank_details(
            member_id=ada.pk,
            holder="Ada Payer",
            sort_code="20-00-00",
            account_number="12345678",
            key="other",
            on=DAY,
            actor=ada.reference,
        )
        # Nothing is collected by a mandate whose account waits to be verified; the old one stands.
        with pytest.raises(NoVerifiedAccount):
            set_up_mandate(member_id=ada.pk, on=DAY, key="x", actor="t")
        verify_bank_details(details_id=details, key="v", on=DAY, actor=OPERATIONS)
        set_up_mandate(member_id=ada.pk, on=DAY, key="y", actor="t")
        assert states() == {asked: "cancelled"}
        old, new = Mandate.objects.order_by("pk")
        assert (old.cancelled_on, new.cancelled_on) == (DAY, None)
        assert old.reference != new.reference

    @pytest.mark.usefixtures("db")
    def test_cancelled_once(self) -> None:
        ada, ben = payers(2)
        in_file = ask(draft(ada))
        send()
        waiting = ask(draft(ada, loan=2), draft(ben, loan=3))
        cancel_mandate(member_id=ada.pk, on=DAY, key="c", actor="t")
        cancel_mandate(member_id=ada.pk, on=DAY, key="c", actor="t")
        with pytest.raises(NoMandate):
            cancel_mandate(member_id=ada.pk, on=DAY, key="d", actor="t")
        assert list(states().values()) == ["sent", "cancelled", "asked"]
        assert ask(draft(ada, loan=4)) == []
        assert current_mandate(ada.pk) is None
        assert set(states()) == {*in_file, *waiting}


class TestAsking:
    @pytest.mark.usefixtures("db")
    def test_once_a_due_date_and_attempt(self) -> None:
        [ada] = payers(1)
        [first] = ask(draft(ada))
        assert is_collection_reference(first)
        assert ask(draft(ada), draft(ada, amount=1)) == []
        assert len(ask(draft(ada, attempt=2), draft(ada, due_on=DUE + timedelta(days=30)))) == 2

    @pytest.mark.usefixtures("db")
    def test_only_by_mandate_unless_told(self) -> None:
        [ben] = people(1)
        assert ask(draft(ben)) == []
        assert len(ask(draft(ben), mandated=False)) == 1

    @pytest.mark.usefixtures("db")
    def test_not_from_an_account_that_was_refused_since(self) -> None:
        ada, ben = payers(2)
        [from_ada, _] = ask(draft(ada), draft(ben, loan=2))
        mandate = Mandate.objects.get(member=ben)
        refuse_bank_details(details_id=mandate.details_id, key="r", actor=OPERATIONS)
        assert ask(draft(ben, loan=3)) == []
        send()
        assert list(states().values()) == ["sent", "asked"]
        assert Collection.objects.get(file__isnull=False).end_to_end_id == from_ada

    @pytest.mark.usefixtures("db")
    @pytest.mark.parametrize(
        ("changes", "refusal"),
        [
            ({"amount": 0}, AmountRefused),
            ({"amount": -1}, AmountRefused),
            ({"amount": 10**12}, AmountRefused),
            ({"subject": ""}, CollectionRefused),
            ({"subject": "x" * 61}, CollectionRefused),
            ({"attempt": 0}, CollectionRefused),
            ({"attempt": 32_768}, CollectionRefused),
        ],
    )
    def test_refusals(self, changes: dict[str, Any], refusal: type[Exception]) -> None:
        values = {"member_id": 1, "amount": 1, "subject": "loan:1", "due_on": DAY}
        with pytest.raises(refusal):
            ask(CollectionDraft(**{**values, "collect_on": DAY, **changes}))
        assert not Collection.objects.exists()

    @pytest.mark.usefixtures("db")
    def test_cancelled_before_it_is_in_a_file(self) -> None:
        [ada] = payers(1)
        ask(draft(ada), draft(ada, loan=2))
        with transaction.atomic():
            assert cancel_asked(subjects=["loan:1", "loan:9"]) == 1
        assert list(states().values()) == ["cancelled", "asked"]
        with transaction.atomic():
            assert cancel_asked(subjects=["loan:1"]) == 0


class TestFiles:
    @pytest.mark.usefixtures("db")
    def test_first_then_recurrent(self) -> None:
        ada, ben = payers(2)
        ask(draft(ada), draft(ada, loan=2), draft(ben, loan=3))
        made = send()
        # Ada's mandate is new: the first of hers is FRST, the second RCUR; Ben's is FRST.
        assert (made.count, made.total) == (3, 3 * 3_078)
        assert bytes(made.content).count(b"<SeqTp>FRST</SeqTp>") == 1
        batches = Collection.objects.order_by("pk").values_list("batch", flat=True)
        assert list(batches) == [f"{made.message_id}-{number}" for number in (1, 2, 1)]
        assert bytes(made.digest) == hashlib.sha256(bytes(made.content)).digest()
        ask(draft(ben, loan=4))
        assert b"<SeqTp>RCUR</SeqTp>" in bytes(send("next").content)

    @pytest.mark.usefixtures("db")
    def test_a_first_one_that_was_rejected_is_first_again(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        collections_unpaid(unpaid=[Unpaid(name, "AC01")], on=DAY, actor="t", key="u")
        ask(draft(ada, attempt=2))
        assert b"<SeqTp>FRST</SeqTp>" in bytes(send("next").content)

    @pytest.mark.usefixtures("db")
    def test_the_same_key_gives_the_same_bytes(self) -> None:
        [ada] = payers(1)
        ask(draft(ada))
        first = send()
        ask(draft(ada, loan=2))
        again = send()
        assert (again.pk, bytes(again.content)) == (first.pk, bytes(first.content))
        assert list(states().values()) == ["sent", "asked"]
        with pytest.raises(NothingToCollect):
            send("next", on=DAY + timedelta(days=1))

    @pytest.mark.usefixtures("committed_db")
    def test_at_once_each_is_in_one_file(self) -> None:
        members = payers(3)
        ask(*(draft(member, loan=member.pk) for member in members))
        answers = at_once(lambda: send("one"), lambda: send("two"))
        files = [answer for answer in answers if isinstance(answer, CollectionFileStored)]
        refused = [answer for answer in answers if isinstance(answer, NothingToCollect)]
        assert (len(files), len(refused)) == (1, 1), answers
        assert files[0].count == 3

    @pytest.mark.usefixtures("committed_db")
    def test_asked_for_at_once_is_asked_once(self) -> None:
        [ada] = payers(1)
        answers = at_once(*[lambda: ask(draft(ada))] * 4)
        assert sorted(map(len, answers)) == [0, 0, 0, 1]  # type: ignore[arg-type]
        assert Collection.objects.count() == 1

    @pytest.mark.usefixtures("db")
    def test_as_many_statements_for_two_as_for_two_hundred(self) -> None:
        [ada] = payers(1)
        counts = []
        for loans in (range(1, 3), range(1_000, 1_200)):
            with CaptureQueriesContext(connection) as queries:
                ask(*(draft(ada, loan=loan) for loan in loans))
                send(f"file-{len(loans)}")
            counts.append(len(queries))
        assert counts[0] == counts[1]


class TestStatements:
    """Asked, sent and taken in on its day; and then what the bank says, in any order."""

    @pytest.mark.usefixtures("db")
    def test_one_line_brings_it_and_one_takes_it_back(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        taken(name)
        assert collecting() == 3_078
        bank = Bank()
        assert outcomes(give(bank.writes(credit("C1", 3_078, name)))) == {"collected": 1}
        assert collecting() == 0
        assert totals_by_kind()[Kind.CLIENT_BANK] == 3_078
        line = credit("C2", -3_078, name, return_reason="AM04")
        assert outcomes(give(bank.writes(line))) == {"collection_unpaid": 1}
        one = Collection.objects.get()
        assert (one.state, one.reason) == ("unpaid", "AM04")
        assert collecting() == 3_078
        assert totals_by_kind()[Kind.CLIENT_BANK] == 0
        back(name)
        assert states() == {name: "bounced"}
        assert collecting() == 0
        assert member_balances(ada.pk).cash == 0

    @pytest.mark.usefixtures("db")
    def test_the_line_may_come_first(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        give(Bank().writes(credit("C1", 3_078, name)))
        assert collecting() == -3_078
        taken(name)
        assert collecting() == 0
        assert member_balances(ada.pk).cash == 3_078

    @pytest.mark.usefixtures("db")
    def test_back_before_it_counted(self) -> None:
        """Nothing is to be taken back, and it can't count as collected any more."""
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        give(Bank().writes(credit("C1", 3_078, name), credit("C2", -3_078, name)))
        assert states() == {name: "unpaid"}
        with pytest.raises(CollectionMoveRefused, match="is unpaid"):
            taken(name)
        with transaction.atomic():
            assert taken_back(end_to_end_ids=[name, "nobody's"]) == 0
        assert collecting() == 0

    @pytest.mark.usefixtures("db")
    @pytest.mark.parametrize("place", ["id", "text"])
    def test_a_batch_in_one_sum(self, place: str) -> None:
        ada, ben = payers(2)
        names = ask(draft(ada, 1_000), draft(ben, 2_000, loan=2))
        made = send()
        taken(*names)
        batch = f"{made.message_id}-1"
        line = credit("B1", 3_000, batch)
        if place == "text":
            line = BankLine("B1", DAY, 3_000, remittance=f"DDR CREDIT {batch}")
        bank = Bank()
        assert outcomes(give(bank.writes(line))) == {"collected": 1}
        assert collecting() == 0
        # Of a batch one comes back, by its own id.
        give(bank.writes(credit("B2", -2_000, names[1], return_reason="MD06")))
        assert states() == {names[0]: "collected", names[1]: "unpaid"}
        assert collecting() == 2_000

    @pytest.mark.usefixtures("db")
    def test_by_the_files_own_id(self) -> None:
        [ada] = payers(1)
        names = ask(draft(ada, 1_000), draft(ada, 2_000, loan=2))
        made = send()
        taken(*names)
        give(Bank().writes(credit("B1", 3_000, made.message_id)))
        assert collecting() == 0

    @pytest.mark.usefixtures("db")
    def test_a_batch_without_what_was_not_paid(self) -> None:
        ada, ben = payers(2)
        names = ask(draft(ada, 1_000), draft(ben, 2_000, loan=2))
        made = send()
        collections_unpaid(unpaid=[Unpaid(names[1], "AM04")], on=DAY, actor="t", key="u")
        taken(names[0])
        give(Bank().writes(credit("B1", 1_000, f"{made.message_id}-1")))
        assert collecting() == 0

    @pytest.mark.usefixtures("db")
    def test_a_batch_in_a_csv(self) -> None:
        ada, ben = payers(2)
        names = ask(draft(ada, 1_000), draft(ben, 2_000, loan=2))
        made = send()
        taken(*names)
        rows = (f"DDR {made.message_id}-1,,30.00,30.00", f"UNPAID {names[0]},,-10.00,20.00")
        imported = give_csv(csv_file(*rows))
        assert outcomes(imported) == {"collected": 1, "collection_unpaid": 1}
        assert collecting() == 1_000

    @pytest.mark.usefixtures("db")
    def test_what_comes_twice_is_not_counted_twice(self) -> None:
        """The second line is nobody's money; when it is undone, the first one stands."""
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        taken(name)
        bank = Bank()
        content = bank.writes(credit("C1", 3_078, name))
        give(content)
        assert give(content).unchanged
        assert outcomes(give(bank.writes(credit("C2", 3_078, name)))) == {"suspense": 1}
        assert collecting() == 0
        undone = credit("C2", -3_078, name, reversal=True)
        assert outcomes(give(bank.writes(undone))) == {"deposit_reversed": 1}
        assert states() == {name: "collected"}
        assert collecting() == 0

    @pytest.mark.usefixtures("db")
    def test_another_amount_is_not_the_direct_debit(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        bank = Bank()
        imported = give(bank.writes(credit("C1", 3_077, name), credit("C2", -3_078, name)))
        assert outcomes(imported) == {"suspense": 1, "unexplained": 1}
        assert states() == {name: "sent"}

    @pytest.mark.usefixtures("db")
    def test_back_twice_is_unexplained(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        taken(name)
        bank = Bank()
        give(bank.writes(credit("C1", 3_078, name), credit("C2", -3_078, name)))
        assert outcomes(give(bank.writes(credit("C3", -3_078, name)))) == {"unexplained": 1}

    @pytest.mark.usefixtures("db")
    def test_a_deposit_of_the_same_payer_is_not_taken_for_it(self) -> None:
        """Ada paid in as much from the account that her direct debit is taken from."""
        [ada] = payers(1)
        [name] = ask(draft(ada, 10_000))
        send()
        taken(name)
        bank = Bank()
        theirs = "40478470872490"
        deposit = BankLine(
            "D1",
            DAY,
            10_000,
            counterparty_account=theirs,
            remittance=payment_reference(ada.pk),
        )
        give(bank.writes(deposit, credit("C1", 10_000, name, counterparty_account=theirs)))
        returned = credit("C2", -10_000, name, return_reason="AM04", counterparty_account=theirs)
        assert outcomes(give(bank.writes(returned))) == {"collection_unpaid": 1}
        assert member_balances(ada.pk).cash == 20_000

    @pytest.mark.usefixtures("committed_db")
    def test_the_same_statement_twice_at_once(self) -> None:
        members = payers(3)
        names = ask(*(draft(member, 1_000, loan=member.pk) for member in members))
        made = send()
        taken(*names)
        content = Bank().writes(credit("B1", 3_000, f"{made.message_id}-1"))
        answers = at_once(*[lambda: give(content)] * 4)
        unchanged = [answer.unchanged for answer in answers if isinstance(answer, ImportedFile)]
        assert sorted(unchanged) == [False, True, True, True], answers
        assert collecting() == 0

    @pytest.mark.usefixtures("db")
    def test_as_many_statements_for_two_as_for_two_hundred(self) -> None:
        [ada] = payers(1)
        bank = Bank()
        counts = []
        for loans in (range(1, 3), range(1_000, 1_200)):
            names = ask(*(draft(ada, loan=loan) for loan in loans))
            send(f"file-{len(names)}")
            lines = [credit(f"L{name}", 3_078, name) for name in names]
            content = bank.writes(*lines)
            with CaptureQueriesContext(connection) as queries:
                give(content)
            counts.append(len(queries))
        assert counts[0] == counts[1]
        assert StoredLine.objects.filter(outcome=LineOutcome.COLLECTED).count() == 202


class TestUnpaid:
    @pytest.mark.usefixtures("db")
    def test_said_by_hand(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        taken(name)
        unpaid = [Unpaid(name, "AC01")]
        assert collections_unpaid(unpaid=unpaid, on=DAY, actor="t", key="u") == 1
        assert collections_unpaid(unpaid=unpaid, on=DAY, actor="t", key="u") == 1
        with pytest.raises(IdempotencyConflict):
            collections_unpaid(unpaid=[Unpaid(name, "X")], on=DAY, actor="t", key="u")
        with pytest.raises(CollectionMoveRefused, match="is unpaid"):
            collections_unpaid(unpaid=unpaid, on=DAY, actor="t", key="other")
        # No money moved yet: it is in collecting until its payment is taken back.
        assert collecting() == 3_078
        back(name)
        assert collecting() == 0
        with transaction.atomic():
            assert taken_back(end_to_end_ids=[name]) == 0

    @pytest.mark.usefixtures("db")
    def test_refusals(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        for unpaid, refusal in (
            ([Unpaid("TNC000000000000")], CollectionUnknown),
            ([Unpaid(name, "x" * 36)], CollectionRefused),
            ([Unpaid(name), Unpaid(name)], CollectionRefused),
        ):
            with pytest.raises(refusal):
                collections_unpaid(unpaid=unpaid, on=DAY, actor="t", key="u")
        assert states() == {name: "asked"}

    @pytest.mark.usefixtures("db")
    def test_one_given_up_waits_in_suspense(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        give_up_collection(end_to_end_id=name, actor="t", key="g")
        give_up_collection(end_to_end_id=name, actor="t", key="g")
        with pytest.raises(CollectionMoveRefused, match="cancelled"):
            give_up_collection(end_to_end_id=name, actor="t", key="h")
        bank = Bank()
        assert outcomes(give(bank.writes(credit("C1", 3_078, name)))) == {"suspense": 1}
        returned = credit("C2", -3_078, name, return_reason="AM04")
        assert outcomes(give(bank.writes(returned))) == {"deposit_reversed": 1}
        assert collecting() == 0


class TestReceipts:
    @pytest.mark.usefixtures("db")
    def test_money_that_was_not_asked_for_is_known_too(self) -> None:
        [ada] = people(1)
        with transaction.atomic():
            names = record_receipts(
                receipts=[
                    ReceiptDraft(ada.pk, 500, "loan:1", "AGENCY-77"),
                    ReceiptDraft(ada.pk, 600, "loan:1"),
                    ReceiptDraft(ada.pk, 700, "loan:2", "AGENCY-77"),
                ],
                on=DAY,
                actor="t",
            )
            for one in Collection.objects.order_by("pk"):
                assert (one.state, one.is_recorded, one.taken_on) == ("collected", True, DAY)
            ids = load_accounts([ada.pk])
            key = "recoveries"
            leg = Leg(
                0,
                ids.id(Kind.COLLECTING, 0, key),
                ids.id(Kind.CASH, ada.pk, key),
                1_800,
                Book.CASH,
            )
            entry = EntryDraft(EntryKind.PAYMENT_RECEIVED, key, DAY, "t", "loan:1")
            post(posting([entry], [leg]))
        assert names[0] == "AGENCY-77"
        assert all(map(is_collection_reference, names[1:]))
        assert collecting() == 1_800
        lines = (credit("R1", 500, "AGENCY-77"), credit("R2", 700, names[2]))
        assert outcomes(give(Bank().writes(*lines))) == {"collected": 2}
        assert collecting() == 600

    @pytest.mark.usefixtures("db")
    def test_a_reference_that_a_direct_debit_will_get_is_left_to_it(self) -> None:
        """Whoever takes money in types what the payer wrote."""
        [ada] = payers(1)
        [probe] = next_ids("accounts_collection", 1)
        # The receipts themselves use up five or ten numbers, the direct debits the next ten.
        wanted = [collection_reference(probe + ahead) for ahead in range(11, 16)]
        with transaction.atomic():
            names = record_receipts(
                receipts=[ReceiptDraft(ada.pk, 500, "loan:1", name) for name in wanted],
                on=DAY,
                actor="t",
            )
        asked = [name for loan in range(2, 12) for name in ask(draft(ada, loan=loan))]
        assert set(wanted) <= set(asked)
        assert not set(names) & set(asked)


class TestRests:
    """A loan that was settled meanwhile can't take what was asked of the bank days ago."""

    @pytest.mark.usefixtures("db")
    def test_the_rest_is_the_members_cash(self) -> None:
        ada, ben = payers(2)
        one, other = ask(draft(ada, 1_000), draft(ben, 2_000, loan=2))
        send()
        taken(one, other, rests={one: 400, other: 2_000})
        assert move_rests(on=DAY, actor="t") == MovedRests(2_400, 0)
        assert move_rests(on=DAY, actor="t") == MovedRests(0, 0)
        # 600 were a payment of Ada's, which is her cash here, and 400 the rest.
        assert member_balances(ada.pk).cash == 1_000
        assert member_balances(ben.pk).cash == 2_000
        assert collecting() == 3_000
        bank = Bank()
        give(bank.writes(credit("C1", 1_000, one), credit("C2", 2_000, other)))
        assert collecting() == 0
        give(bank.writes(credit("C3", -2_000, other, return_reason="MD06")))
        assert move_rests(on=DAY, actor="t") == MovedRests(0, 2_000)
        assert move_rests(on=DAY, actor="t") == MovedRests(0, 0)
        back(other)
        assert member_balances(ben.pk).cash == 0
        assert collecting() == 0

    @pytest.mark.usefixtures("db")
    def test_what_was_spent_meanwhile_is_a_debt(self) -> None:
        ada, ben = payers(2)
        [name] = ask(draft(ada, 2_000))
        send()
        taken(name, rests={name: 2_000})
        move_rests(on=DAY, actor="t")
        with transaction.atomic():
            ids = load_accounts([ada.pk, ben.pk])
            entry = EntryDraft(EntryKind.DEPOSIT, "spent", DAY, "t", "t")
            giver, taker = (ids.id(Kind.CASH, member.pk, "spent") for member in (ada, ben))
            post(posting([entry], [Leg(0, giver, taker, 1_500, Book.CASH)]))
        give(Bank().writes(credit("C1", 2_000, name), credit("C2", -2_000, name)))
        # 500 are left of 2,000: they are taken, and 1,500 are owed.
        move_rests(on=DAY, actor="t")
        assert member_balances(ada.pk).cash == 0
        assert totals_by_kind()[Kind.DEBT] == 1_500
        assert totals_by_kind()[Kind.COLLECTING] == 0

    @pytest.mark.usefixtures("db")
    def test_what_came_back_before_it_moved_never_moves(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada, 2_000))
        send()
        taken(name, rests={name: 2_000})
        collections_unpaid(unpaid=[Unpaid(name)], on=DAY, actor="t", key="u")
        assert move_rests(on=DAY, actor="t") == MovedRests(0, 0)
        back(name)
        assert move_rests(on=DAY, actor="t") == MovedRests(0, 0)
        assert collecting() == 0

    @pytest.mark.usefixtures("committed_db")
    def test_at_once_it_moves_once(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada, 2_000))
        send()
        taken(name, rests={name: 2_000})
        answers = at_once(*[lambda: move_rests(on=DAY, actor="t")] * 3)
        assert sorted(answer.given for answer in answers) == [0, 0, 2_000]  # type: ignore[attr-defined]
        assert member_balances(ada.pk).cash == 2_000


class TestReconciliation:
    @pytest.mark.usefixtures("db")
    def test_money_in_collecting_without_a_direct_debit_is_found(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        taken(name)
        with transaction.atomic():
            one = Collection.objects.get()
            _move(one, Kind.COLLECTING, Kind.CASH, 5, "by mistake")
        checks, _ = internal_checks(SealMark())
        found = {check.rule: check.findings for check in checks if not check.holds}
        assert [finding.amount for finding in found.pop("collecting")] == [5]
        assert found == {}

    @pytest.mark.usefixtures("db")
    def test_money_that_the_bank_brought_and_that_is_no_payment_is_found(self) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        give(Bank().writes(credit("C1", 3_078, name)))
        give_up_collection(end_to_end_id=name, actor="t", key="g")
        checks, _ = internal_checks(SealMark())
        found = {check.rule: check.findings for check in checks if not check.holds}
        [stray] = found.pop("collection_stray")
        assert (stray.reference, stray.amount) == (f"collection:{name}", 3_078)


class TestWhatTheDatabaseKeeps:
    @pytest.mark.usefixtures("db")
    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE accounts_collection SET amount = amount + 1",
            "UPDATE accounts_collection SET member_id = member_id",
            "UPDATE accounts_collection SET state = 'asked'",
            "UPDATE accounts_collection SET state = 'bounced'",
            "UPDATE accounts_collection SET batch = 'X'",
            "UPDATE accounts_collection SET taken_on = taken_on + 1",
            "UPDATE accounts_collection SET returned_line_id = 1",
            "UPDATE accounts_collection SET rest = 1",
            "DELETE FROM accounts_collection",
            "TRUNCATE accounts_collection",
            "UPDATE accounts_collectionfilestored SET content = ''",
            "DELETE FROM accounts_collectionfilestored",
            "UPDATE accounts_mandate SET signed_on = signed_on - 1",
            "DELETE FROM accounts_mandate",
            "INSERT INTO accounts_collection (end_to_end_id, member_id, amount, subject, due_on,"
            " attempt, collect_on, state, taken_on, asked_on, actor) SELECT 'X', member_id, 1,"
            " 'loan:9', due_on, 1, collect_on, 'collected', due_on, due_on, 't'"
            " FROM accounts_collection",
        ],
    )
    def test_refuses(self, change: str) -> None:
        [ada] = payers(1)
        [name] = ask(draft(ada))
        send()
        taken(name)
        with (
            pytest.raises(DatabaseError),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(change)
