"""Short ways to say what tests of money in and out say often."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from django.db import transaction

from accounts.core.bank_statement import BankLine
from accounts.core.bank_states import FileFormat
from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.core.references import payment_reference
from accounts.models import BankStatement, Member, PaymentFileStored, SuspenseItem
from accounts.selectors.bank_accounts import load_accounts
from accounts.selectors.ledger import check_book, totals_by_kind
from accounts.services.bank_details import register_bank_details, verify_bank_details
from accounts.services.bank_import import ImportedFile, import_bank_file
from accounts.services.members import enrol_members
from accounts.services.payment_files import make_payment_file
from accounts.services.posting import post
from tests.bank_files import camt053, money_in, statement
from tests.factories import MemberFactory

DAY = date(2016, 4, 1)
NOON = datetime(2016, 4, 1, 12, tzinfo=UTC)
OPERATIONS = "member:900"


def people(count: int) -> list[Member]:
    """Members with empty accounts."""
    return enrol_members(members=MemberFactory.build_batch(count))


def pays_in(reference: str, member: Member, amount: int, *, on: date = DAY) -> BankLine:
    """A deposit under the member's own payment reference; ``amount`` in pence."""
    return money_in(reference, amount, payment_reference(member.pk), on=on)


def give(content: bytes, *, on: date = DAY, name: str = "bank.xml") -> ImportedFile:
    """Import a camt.053 file."""
    return import_bank_file(
        content=content, name=name, format=FileFormat.CAMT053, on=on, actor=OPERATIONS
    )


def csv_file(*rows: str) -> bytes:
    """A CSV statement of one day; each row is ``description,reference,amount,balance``."""
    lines = ["date,description,reference,amount,balance", *(f"{DAY},{row}" for row in rows)]
    return "\n".join([*lines, ""]).encode()


def give_csv(content: bytes, account: str = "client") -> ImportedFile:
    """Import a CSV file."""
    return import_bank_file(
        content=content,
        name="a.csv",
        format=FileFormat.CSV,
        on=DAY,
        actor=OPERATIONS,
        account=account,
    )


def payable(member: Member, *, on: date = DAY) -> None:
    """Give a member a verified account that can be paid on a day."""
    verified = on - timedelta(days=3)
    details = register_bank_details(
        member_id=member.pk,
        holder="Ann Payer",
        sort_code="40-47-84",
        account_number="70872490",
        key="details",
        on=verified,
        actor=member.reference,
    )
    verify_bank_details(details_id=details, key=f"v{details}", on=verified, actor=OPERATIONS)


def earn_fees(bank: Bank, amount: int) -> None:
    """Let the house earn fees out of a new member's cash."""
    [member] = people(1)
    give(bank.writes(pays_in(f"F{bank.sequence}", member, amount)))
    accounts = load_accounts([member.pk], kinds=[Kind.FEES])
    with transaction.atomic():
        entry = EntryDraft(EntryKind.PAYMENT_DISTRIBUTED, f"fees/{member.pk}", DAY, "t", "t")
        cash, fees = (accounts.id(kind, member.pk, entry.key) for kind in (Kind.CASH, Kind.FEES))
        post(posting([entry], [Leg(0, cash, fees, amount, Book.CASH)]))


def send_file(key: str = "file-1", *, on: date = DAY) -> PaymentFileStored:
    """Everything that was asked for, in a file for the bank."""
    return make_payment_file(on=on, key=key, actor=OPERATIONS, created_at=NOON)


class Bank:
    """A bank that writes one statement after another of one of our accounts."""

    def __init__(self, account: str = "20000055779911", *, version: str = "08") -> None:
        self.account = account
        self.version = version
        self.balance = 0
        self.sequence = 0

    def writes(self, *lines: BankLine, on: date = DAY) -> bytes:
        """The next statement, as a file."""
        self.sequence += 1
        made = statement(
            *lines, opening=self.balance, sequence=self.sequence, on=on, account=self.account
        )
        self.balance = made.closing
        return camt053(made, version=self.version)


def fits() -> None:
    """The ledger holds what the bank says, and suspense what its items say."""
    totals = totals_by_kind()
    last = BankStatement.objects.filter(account="client").order_by("id").last()
    assert totals[Kind.CLIENT_BANK] == (last.closing if last else 0)
    waiting = SuspenseItem.objects.filter(state__in=["open", "returning"])
    assert totals[Kind.SUSPENSE] == sum(waiting.values_list("amount", flat=True))
    assert check_book().holds
