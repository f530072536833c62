"""Reconciliation: what was expected, what was found, and what becomes of the difference.

A check compares; a finding is one thing that differs; a break is a finding that is kept from day to
day under its rule and reference, so that it has an age and somebody to resolve it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from accounts.core.chart import Kind
from accounts.core.journal import START
from accounts.core.money import text_from_pence


class ReconciliationKind(StrEnum):
    """Of the book with itself, or with the bank."""

    INTERNAL = "internal"
    EXTERNAL = "external"


class BreakState(StrEnum):
    """What became of a break: a person resolved it, or it was found no more."""

    OPEN = "open"
    RESOLVED = "resolved"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that differs.

    Attributes:
        reference: what it is about, as keys without personal data; one of its rule's.
        amount: pence found less pence expected; 0 where the rule isn't about an amount.
        detail: the figures, for a person; without personal data.
        since: the business date of the thing itself, where it has one.
    """

    reference: str
    amount: int = 0
    detail: str = ""
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One rule, and what was found.

    Attributes:
        rule: its name in breaks, for good.
        title: what must hold, for a person.
        expected, found: pence in all; 0 both where the rule isn't about amounts.
        checked: how many things were looked at.
        findings: what differs, each reference once.
    """

    rule: str
    title: str
    expected: int = 0
    found: int = 0
    checked: int = 1
    findings: tuple[Finding, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.findings

    @property
    def difference(self) -> int:
        """Pence found less pence expected."""
        return self.found - self.expected


@dataclass(frozen=True, slots=True)
class SealMark:
    """A place in the journal up to which it was derived again, and the hash found there."""

    number: int = 0
    hash: bytes = START


@dataclass(frozen=True, slots=True)
class Compared:
    """Two amounts of pence that should be one, of one thing."""

    reference: str
    expected: int
    found: int

    @property
    def differs(self) -> bool:
        """Whether they are two."""
        return self.expected != self.found


def compare(rule: str, title: str, rows: Iterable[Compared]) -> Check:
    """Check amounts one by one; their sums go along.

    >>> compare("r", "t", [Compared("a", 500, 500), Compared("b", 200, 201)]).findings
    (Finding(reference='b', amount=1, detail='expected 2.00, found 2.01', since=None),)
    """
    looked_at = list(rows)
    return Check(
        rule,
        title,
        expected=sum(row.expected for row in looked_at),
        found=sum(row.found for row in looked_at),
        checked=len(looked_at),
        findings=tuple(
            Finding(row.reference, row.found - row.expected, both(row.expected, row.found))
            for row in looked_at
            if row.differs
        ),
    )


def both(expected: int, found: int) -> str:
    """Two amounts of pence for a person, in pounds."""
    return f"expected {text_from_pence(expected)}, found {text_from_pence(found)}"


# What lies at the client account's bank: clients' money, money that may be a client's, and fees
# that Tenner has earned and not taken out yet.
CLIENT_MONEY = (
    Kind.CASH,
    Kind.ON_OFFER,
    Kind.MATCHED,
    Kind.ON_ITS_WAY,
    Kind.CLEARING,
    Kind.SUSPENSE,
    Kind.FEES,
)


@dataclass(frozen=True, slots=True)
class Held:
    """What the accounts of one kind hold, in pence.

    Attributes:
        net: the sum of their balances.
        owed: the same, but nothing below zero makes up for another: of each owner, or of the
            platform's stripes together.
    """

    net: int = 0
    owed: int = 0


def client_money(held: Mapping[Kind, Held]) -> Check:
    """Client money resource against client money requirement (FCA CASS 7.15, 7.16).

    Three ponds, each a bank account and what lies in it::

        client:  client_bank + collecting  =  cash + on_offer + matched + on_its_way + clearing
                                              + suspense + fees
        own:     own_bank                  =  own_funds - debt
        fund:    fund_bank                 =  provision_fund

    The cash book's sum says only that all three together balance, so the client's can be short by
    what another has too much: ::

        client_bank + collecting - requirement
            =  (own_funds - debt - own_bank) + (provision_fund - fund_bank)

    A member's **debt** is money that left the client account and was somebody else's: the member
    owes it to Tenner, and Tenner owes it to the pond. No client's debt makes another's money less
    (CASS 7.16: a negative balance counts as nothing), so it is a shortfall until Tenner's own money
    is paid in: ``advanced``, client bank from own funds. Once the member has repaid it, the same
    amount is an excess until it is taken out again. What nobody ordered (``bank_unexplained``) is
    against own funds, and likewise short until it is paid in. **Fees** lie in the client account
    until they are swept; taken out beyond what was earned they are a shortfall, so less than
    nothing counts as nothing. **Money on its way** leaves when the bank has paid it. **Money in
    suspense** counts: it may be a client's.

    **Collecting** is money of direct debits that borrowers have been given credit for and that no
    statement shows yet: it is looked at by itself, collection by collection.

    Too much is a difference as well: Tenner's own money has to be taken out (CASS 7.15.29).
    """
    resource = sum(held.get(kind, Held()).net for kind in (Kind.CLIENT_BANK, Kind.COLLECTING))
    requirement = sum(held.get(kind, Held()).owed for kind in CLIENT_MONEY)
    debts = held.get(Kind.DEBT, Held()).net
    owing = f"; members owe {text_from_pence(debts)}" if debts else ""
    finding = Finding("client", resource - requirement, both(requirement, resource) + owing)
    return Check(
        "client_money",
        "Client money at the bank is what is held for clients, and fees not yet swept",
        expected=requirement,
        found=resource,
        findings=(finding,) if finding.amount else (),
    )


def fund_money(held: Mapping[Kind, Held]) -> Check:
    """The provision fund's bank account against the fund: see :func:`client_money`.

    What is left of the cash book, Tenner's own money against its own bank account, follows from
    these two and the book's sum.
    """
    fund, bank = (held.get(kind, Held()).net for kind in (Kind.PROVISION_FUND, Kind.FUND_BANK))
    return compare(
        "fund_money", "The provision fund is at its own bank", [Compared("fund", fund, bank)]
    )


@dataclass(frozen=True, slots=True)
class BankPosition:
    """One of our bank accounts, as the bank says and as the ledger says; pence.

    Attributes:
        account: which one.
        ledger: the ledger's balance at the end of ``closed_on``, or now without a statement.
        closed_on: the closing date of the last statement, if there is one.
        closing: the bank's balance then.
        booked_later: lines up to that statement that the ledger has at a later date, since the
            bank's was closed already.
        known_later: lines of later statements that the ledger has at a date up to then.
    """

    account: str
    ledger: int
    closed_on: date | None = None
    closing: int = 0
    booked_later: int = 0
    known_later: int = 0

    @property
    def expected(self) -> int:
        """What the ledger should have: the bank's balance, put right for lines of other dates."""
        return self.closing - self.booked_later + self.known_later


def bank_balances(positions: Iterable[BankPosition]) -> Check:
    """The ledger's bank accounts against the bank's closing balances.

    Payments that the bank has not confirmed are no difference: they are on their way, and leave the
    ledger's bank account with the bank's line. Lines that nobody can explain are booked as well,
    against Tenner's own funds.
    """
    title = "The ledger has what the bank says at the end of its last statement"
    return compare(
        "bank_balance",
        title,
        [
            Compared(position.account, position.expected, position.ledger)
            for position in positions
            if position.closed_on is not None
        ],
    )


# Over Easter the bank keeps no books from Good Friday to Monday: on Tuesday, before its statement
# has come, Thursday's is the last.
LONGEST_WITHOUT_STATEMENT = 5


def statements_missing(
    positions: Sequence[BankPosition], on: date, longest: int = LONGEST_WITHOUT_STATEMENT
) -> Check:
    """Whether the bank's word on each account is recent enough to go by.

    An account that never had a statement needs one as soon as the ledger has money there.

    Args:
        positions: each of our accounts once.
        on: business date.
        longest: calendar days that the last statement may be old.
    """
    missing = []
    for position in positions:
        if position.closed_on is None:
            if position.ledger:
                missing.append(Finding(position.account, position.ledger, "no statement yet"))
        elif age_in_days(position.closed_on, on) > longest:
            detail = f"no statement since {position.closed_on.isoformat()}"
            missing.append(Finding(position.account, position.ledger, detail))
    return Check(
        "bank_statement",
        f"Every bank account has a statement of the last {longest} days",
        checked=len(positions),
        findings=tuple(missing),
    )


def age_in_days(first_seen_on: date, on: date) -> int:
    """Calendar days from one business date to another; a break of today is 0 days old."""
    return (on - first_seen_on).days


Identity = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reconciliation does to breaks.

    Attributes:
        new: findings without an open break, each with its rule.
        seen: findings by the id of their open break.
        cleared: ids of open breaks whose rule was checked and that were not found.
    """

    new: tuple[tuple[str, Finding], ...]
    seen: dict[int, Finding]
    cleared: tuple[int, ...]


def changes(open_breaks: Mapping[Identity, int], checks: Sequence[Check]) -> Changes:
    """Match findings with open breaks by rule and reference.

    Args:
        open_breaks: ids by rule and reference.
        checks: breaks of other rules are left alone.

    Raises:
        ValueError: a rule twice, or a reference twice under one rule: a mistake in a check.
    """
    found = {
        (check.rule, finding.reference): finding for check in checks for finding in check.findings
    }
    rules = {check.rule for check in checks}
    if len(found) != sum(len(check.findings) for check in checks) or len(rules) != len(checks):
        raise ValueError("a rule, or a reference under one rule, is there twice")
    return Changes(
        new=tuple((key[0], finding) for key, finding in found.items() if key not in open_breaks),
        seen={open_breaks[key]: finding for key, finding in found.items() if key in open_breaks},
        cleared=tuple(
            number for key, number in open_breaks.items() if key[0] in rules and key not in found
        ),
    )
