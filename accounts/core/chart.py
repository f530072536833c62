"""The chart of accounts: every kind of account that the ledger knows, and what each is for.

The same table is written into the database by a migration, where a trigger gives each new account
its book, its normal side and its floor from it, so that no writer can invent another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Book(IntEnum):
    """Two sets of accounts; no transfer crosses from one to the other."""

    CASH = 1
    CLAIMS = 2


class Side(IntEnum):
    """The side on which an account's balance grows: balance = side x (credits - debits)."""

    CREDIT = 1
    DEBIT = -1


class Owner(StrEnum):
    """Whose account it is: ``owner_id`` of an account is a member's id, a loan's id or 0."""

    MEMBER = "member"
    LOAN = "loan"
    PLATFORM = "platform"


class Kind(StrEnum):
    """What an account is for."""

    CLIENT_BANK = "client_bank"
    OWN_BANK = "own_bank"
    FUND_BANK = "fund_bank"
    CASH = "cash"
    ON_OFFER = "on_offer"
    MATCHED = "matched"
    ON_ITS_WAY = "on_its_way"
    DEBT = "debt"
    CLEARING = "clearing"
    SUSPENSE = "suspense"
    COLLECTING = "collecting"
    FEES = "fees"
    OWN_FUNDS = "own_funds"
    PROVISION_FUND = "provision_fund"
    PRINCIPAL_OWED = "principal_owed"
    INTEREST_DUE = "interest_due"
    WRITTEN_OFF = "written_off"
    CLAIMS_HELD = "claims_held"


@dataclass(frozen=True)
class ChartLine:
    """One kind of account.

    ``floored`` accounts can't go below zero; ``stripes`` says over how many rows a platform
    account is spread, so that unrelated members don't wait for each other on one hot row. A
    floored account of several stripes is floored as their sum: a stripe may be below zero.
    """

    kind: Kind
    book: Book
    side: Side
    owner: Owner
    floored: bool
    stripes: int
    meaning: str


# Each stripe is one row that one posting at a time may move. With eight people paying at once, 64
# let nine in ten go ahead unhindered; a balance is a sum of so many rows, which costs nothing.
STRIPES = 64

CHART: tuple[ChartLine, ...] = (
    ChartLine(
        Kind.CLIENT_BANK,
        Book.CASH,
        Side.DEBIT,
        Owner.PLATFORM,
        floored=False,
        stripes=STRIPES,
        meaning="Client money held at the bank.",
    ),
    ChartLine(
        Kind.OWN_BANK,
        Book.CASH,
        Side.DEBIT,
        Owner.PLATFORM,
        floored=False,
        stripes=STRIPES,
        meaning="Tenner's own money at its own bank account.",
    ),
    ChartLine(
        Kind.FUND_BANK,
        Book.CASH,
        Side.DEBIT,
        Owner.PLATFORM,
        floored=False,
        stripes=STRIPES,
        meaning="The provision fund's money at its own bank account.",
    ),
    ChartLine(
        Kind.CASH,
        Book.CASH,
        Side.CREDIT,
        Owner.MEMBER,
        floored=True,
        stripes=1,
        meaning="A member's cash, free to offer, to repay with or to withdraw.",
    ),
    ChartLine(
        Kind.ON_OFFER,
        Book.CASH,
        Side.CREDIT,
        Owner.MEMBER,
        floored=True,
        stripes=1,
        meaning="A lender's money on offer in the order book, not yet matched.",
    ),
    ChartLine(
        Kind.MATCHED,
        Book.CASH,
        Side.CREDIT,
        Owner.MEMBER,
        floored=True,
        stripes=1,
        meaning="A lender's money matched to loans that are not yet paid out.",
    ),
    ChartLine(
        Kind.ON_ITS_WAY,
        Book.CASH,
        Side.CREDIT,
        Owner.MEMBER,
        floored=True,
        stripes=1,
        meaning="A member's withdrawal, sent to the bank and not yet confirmed.",
    ),
    ChartLine(
        Kind.DEBT,
        Book.CASH,
        Side.DEBIT,
        Owner.MEMBER,
        floored=True,
        stripes=1,
        meaning="What a member owes Tenner for money that came back from them.",
    ),
    ChartLine(
        Kind.CLEARING,
        Book.CASH,
        Side.CREDIT,
        Owner.LOAN,
        floored=True,
        stripes=1,
        meaning="Money passing through a loan between borrower and lenders.",
    ),
    ChartLine(
        Kind.SUSPENSE,
        Book.CASH,
        Side.CREDIT,
        Owner.PLATFORM,
        floored=True,
        stripes=STRIPES,
        meaning="Money that arrived and is not yet known to be anyone's.",
    ),
    ChartLine(
        Kind.COLLECTING,
        Book.CASH,
        Side.DEBIT,
        Owner.PLATFORM,
        floored=False,
        stripes=STRIPES,
        meaning="Direct debits collected, and not yet on a statement of the bank.",
    ),
    ChartLine(
        Kind.FEES,
        Book.CASH,
        Side.CREDIT,
        Owner.PLATFORM,
        floored=False,
        stripes=STRIPES,
        meaning="Fees earned by Tenner and not yet swept out of client money.",
    ),
    ChartLine(
        Kind.OWN_FUNDS,
        Book.CASH,
        Side.CREDIT,
        Owner.PLATFORM,
        floored=False,
        stripes=STRIPES,
        meaning="Tenner's own money: fees swept, less what it has paid out.",
    ),
    ChartLine(
        Kind.PROVISION_FUND,
        Book.CASH,
        Side.CREDIT,
        Owner.PLATFORM,
        floored=True,
        stripes=STRIPES,
        meaning="The provision fund, which makes good what borrowers don't pay.",
    ),
    ChartLine(
        Kind.PRINCIPAL_OWED,
        Book.CLAIMS,
        Side.DEBIT,
        Owner.LOAN,
        floored=True,
        stripes=1,
        meaning="Principal that a loan's borrower still owes.",
    ),
    ChartLine(
        Kind.INTEREST_DUE,
        Book.CLAIMS,
        Side.DEBIT,
        Owner.LOAN,
        floored=True,
        stripes=1,
        meaning="Interest fallen due on a loan and not yet paid.",
    ),
    ChartLine(
        Kind.WRITTEN_OFF,
        Book.CLAIMS,
        Side.DEBIT,
        Owner.PLATFORM,
        floored=False,
        stripes=STRIPES,
        meaning="Claims that nobody expects to be paid any more.",
    ),
    ChartLine(
        Kind.CLAIMS_HELD,
        Book.CLAIMS,
        Side.CREDIT,
        Owner.PLATFORM,
        floored=False,
        stripes=STRIPES,
        meaning="What all borrowers owe, held for the lenders: the claims book's other side.",
    ),
)

LINES: dict[Kind, ChartLine] = {line.kind: line for line in CHART}
MEMBER_KINDS: tuple[Kind, ...] = tuple(line.kind for line in CHART if line.owner is Owner.MEMBER)
LOAN_KINDS: tuple[Kind, ...] = tuple(line.kind for line in CHART if line.owner is Owner.LOAN)
