"""What the database keeps about banking, whoever writes."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError, IntegrityError

from accounts.core.bank_states import (
    DETAILS_MOVES,
    PAYMENT_MOVES,
    SUSPENSE_MOVES,
    BankMoveRefused,
    DetailsState,
    PaymentState,
    SuspenseState,
    check_details_move,
    check_payment_move,
    check_suspense_move,
)
from accounts.models import BankDetails, Member, SuspenseItem
from accounts.services.suspense import assign_suspense
from accounts.services.withdrawals import request_withdrawal
from tests.accounts.services.bank_desk import (
    DAY,
    OPERATIONS,
    Bank,
    give,
    payable,
    pays_in,
    people,
    send_file,
)
from tests.bank_files import money_in

TABLES = (
    "bankfile",
    "bankstatement",
    "bankline",
    "suspenseitem",
    "bankdetails",
    "outgoingpayment",
    "paymentfilestored",
)


@pytest.fixture
def ada(db: None) -> Member:
    """Somebody with one row in each of the tables."""
    [member] = people(1)
    give(Bank().writes(pays_in("A1", member, 10_000), money_in("A2", 700)))
    payable(member)
    request_withdrawal(member_id=member.pk, amount=4_000, key="w", on=DAY)
    send_file()
    return member


def refused(statement: str) -> str:
    """The SQLSTATE with which the application's role is refused a statement."""
    with pytest.raises(DatabaseError) as error, transaction.atomic():
        connection.cursor().execute(statement)
    return str(getattr(error.value.__cause__, "sqlstate", None))


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_deleted(table: str) -> None:
    assert refused(f"DELETE FROM accounts_{table}") == "42501"
    assert refused(f"TRUNCATE accounts_{table} CASCADE") == "42501"


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "change",
    [
        "bankfile SET content = ''",
        "bankstatement SET closing = 0",
        "bankline SET amount = 1",
        "bankline SET outcome = 'moved'",
        "suspenseitem SET amount = 1",
        "bankdetails SET identification = '20000012345678'",
        "outgoingpayment SET identification = '20000012345678'",
        "outgoingpayment SET amount = 1",
        "paymentfilestored SET content = ''",
    ],
)
def test_what_was_said_stays(change: str) -> None:
    assert refused(f"UPDATE accounts_{change}") == "42501"


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "move",
    [
        "outgoingpayment SET state = 'requested', file_id = NULL",
        "outgoingpayment SET state = 'returned'",
        "bankdetails SET state = 'pending'",
        "bankfile SET state = 'unchanged'",
        # What a state brings with it changes with the state only.
        "bankdetails SET usable_from = verified_on",
        "bankdetails SET state = 'replaced', verified_by = 'member:1'",
        "outgoingpayment SET file_id = file_id + 1",
    ],
)
def test_states_move_along_their_tables_only(move: str) -> None:
    assert refused(f"UPDATE accounts_{move}") == "TN009"


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "row",
    [
        "bankdetails (member_id, holder, identification, state, registered_on, verified_on,"
        " verified_by, usable_from) SELECT max(id), 'x', '20000012345678', 'verified',"
        " '2016-04-01', '2016-04-01', 'member:1', '2016-04-01' FROM accounts_member",
        "outgoingpayment (public_id, kind, member_id, amount, holder, identification,"
        " end_to_end_id, state, file_id, requested_on, actor) SELECT gen_random_uuid(), kind,"
        " member_id, 1, 'x', '20000012345678', 'TNR-W-9', 'sent', file_id, requested_on, 'x'"
        " FROM accounts_outgoingpayment",
        # A1 is a member's deposit.
        "suspenseitem (line_id, amount, state, actor, arrived_on, changed_on) SELECT id, amount,"
        " 'open', 'x', booked_on, booked_on FROM accounts_bankline WHERE reference = 'A1'",
    ],
)
def test_what_begins_begins_at_the_beginning(row: str) -> None:
    people(1)  # somebody without bank details
    assert refused(f"INSERT INTO accounts_{row}") == "TN009"


def test_who_was_assigned_stays(ada: Member) -> None:
    [other] = people(1)
    item = SuspenseItem.objects.get()
    assign_suspense(item_id=item.pk, member_id=ada.pk, key="a", on=DAY, actor=OPERATIONS)
    assert refused(f"UPDATE accounts_suspenseitem SET member_id = {other.pk}") == "TN009"


def test_one_current_account_a_member(ada: Member) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        BankDetails.objects.create(
            member=ada, holder="A", identification="1", state="pending", registered_on=DAY
        )


@pytest.mark.usefixtures("ada")
def test_an_assigned_item_has_a_member() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        SuspenseItem.objects.update(state="assigned")


@pytest.mark.usefixtures("db")
def test_the_owner_is_refused_too() -> None:
    """Triggers don't ask who writes, as rights do."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid"
            " WHERE right(t.tgname, 11) = 'append_only' AND c.relname = ANY (%s)"
            " AND t.tgenabled = 'O'",
            [[f"accounts_{table}" for table in TABLES]],
        )
        assert {row[0] for row in cursor.fetchall()} == {f"accounts_{table}" for table in TABLES}


def test_the_tables_of_moves() -> None:
    for old, allowed in PAYMENT_MOVES.items():
        for new in PaymentState:
            if new in allowed:
                check_payment_move(old, new)
                continue
            with pytest.raises(BankMoveRefused):
                check_payment_move(old, new)
    with pytest.raises(BankMoveRefused):
        check_suspense_move(SuspenseState.ASSIGNED, SuspenseState.OPEN)
    with pytest.raises(BankMoveRefused):
        check_details_move(DetailsState.REFUSED, DetailsState.VERIFIED)
    assert set(SUSPENSE_MOVES) == set(SuspenseState)
    assert set(DETAILS_MOVES) == set(DetailsState)
