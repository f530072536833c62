"""What a change of loans' figures moves in the ledger: one balanced entry a loan.

Whoever must give back what they were given gives it from their cash as far as it goes; Tenner
advances the rest, which is their debt and set off from what they receive next. What the provision
fund lacks is Tenner's loss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from accounts.core.chart import LINES, Kind, Owner
from accounts.core.posting import EntryDraft, Leg, posting
from accounts.models import Account
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.holding import hold_accounts
from accounts.services.posting import post
from accounts.services.transactions import require_transaction

# Whose account: a member's id, a loan's id, or 0 for the platform's.
Holder = tuple[Kind, int]
# The same with the platform's stripes told apart: by the place of the entry that moves them.
_Place = tuple[Kind, int]


@dataclass
class EntryMoves:
    """The transfers of one entry as they are gathered; amounts are signed pence.

    Attributes:
        draft: the entry.
        loan_id: whose clearing the members' money passes through.
        transfers: (from, to, pence), pence above zero.
        gives, takes: pence that members get from the loan's clearing, and must give back to it.
        fund_gives_back: pence that the provision fund must give back to it, or pay once more.
    """

    draft: EntryDraft
    loan_id: int
    transfers: list[tuple[Holder, Holder, int]] = field(default_factory=list)
    gives: dict[int, int] = field(default_factory=dict)
    takes: dict[int, int] = field(default_factory=dict)
    fund_gives_back: int = 0

    def move(self, giver: Holder, taker: Holder, amount: int) -> None:
        """Move pence, the other way where they are below nothing."""
        if amount > 0:
            self.transfers.append((giver, taker, amount))
        elif amount < 0:
            self.transfers.append((taker, giver, -amount))

    def settle(self, member_id: int, amount: int) -> None:
        """Give a member pence out of the loan's clearing, or have them give pence back to it."""
        if amount > 0:
            self.gives[member_id] = self.gives.get(member_id, 0) + amount
        elif amount < 0:
            self.takes[member_id] = self.takes.get(member_id, 0) - amount

    @property
    def clearing(self) -> Holder:
        """The loan's own account."""
        return (Kind.CLEARING, self.loan_id)

    @property
    def moves_money(self) -> bool:
        """Whether there is anything to post."""
        return bool(self.transfers or self.gives or self.takes or self.fund_gives_back)

    @property
    def takes_back(self) -> bool:
        """Whether somebody must give back what may be spent."""
        return bool(self.takes or self.fund_gives_back)


@dataclass(frozen=True)
class Advanced:
    """Pence that Tenner advanced, by loan: what members could not give back."""

    by_loan: dict[int, int]


def post_moves(entries: Sequence[EntryMoves]) -> Advanced:
    """Post the entries that move anything, in one posting; a fixed number of statements.

    What must be given back is taken from the member's cash, counting what they get in the same
    posting, in the order of the entries. Where the provision fund can't give back what it got,
    Tenner's own money does. Post last: accounts stay locked from here.

    Raises:
        NotEnoughMoney: a payment from the borrower's cash that is not there.
        AccountsRefusal: see :func:`accounts.services.posting.post`.
    """
    require_transaction()
    moving = [entry for entry in entries if entry.moves_money]
    if not moving:
        return Advanced({})
    accounts = _accounts(moving)
    held = _held(moving, accounts)
    free, in_fund = _free(moving, accounts, held), _in_fund(moving, held)
    advanced: dict[int, int] = defaultdict(int)
    for entry in moving:
        for member, amount in entry.gives.items():
            entry.move(entry.clearing, (Kind.CASH, member), amount)
        for member, amount in entry.takes.items():
            taken = max(min(free[member], amount), 0)
            free[member] -= taken
            advanced[entry.loan_id] += amount - taken
            entry.move((Kind.CASH, member), entry.clearing, taken)
            entry.move((Kind.DEBT, member), entry.clearing, amount - taken)
        taken = max(min(in_fund, entry.fund_gives_back), 0)
        in_fund -= taken
        entry.move((Kind.PROVISION_FUND, 0), entry.clearing, taken)
        entry.move((Kind.OWN_FUNDS, 0), entry.clearing, entry.fund_gives_back - taken)
    _post(moving, accounts)
    return Advanced(dict(advanced))


def _held(moving: Sequence[EntryMoves], accounts: dict[_Place, int]) -> dict[int, int]:
    """Balances of all accounts, held still, where somebody must give back; else nothing."""
    if not any(entry.takes_back for entry in moving):
        return {}
    ids = set(accounts.values())
    if any(entry.fund_gives_back for entry in moving):
        ids |= set(_fund_stripes())
    return hold_accounts(ids=sorted(ids))


def _fund_stripes() -> list[int]:
    found = Account.objects.filter(kind=Kind.PROVISION_FUND.value)
    return list(found.values_list("pk", flat=True))


def _in_fund(moving: Sequence[EntryMoves], held: dict[int, int]) -> int:
    """What the provision fund can give back, after all else is done, pence."""
    if not any(entry.fund_gives_back for entry in moving):
        return 0
    left = sum(held[account] for account in _fund_stripes())
    for entry in moving:
        for (giver, _), (taker, _), amount in entry.transfers:
            left -= amount if giver is Kind.PROVISION_FUND else 0
            left += amount if taker is Kind.PROVISION_FUND else 0
    return left


def _free(
    moving: Sequence[EntryMoves], accounts: dict[_Place, int], held: dict[int, int]
) -> dict[int, int]:
    """What each member who must give something back can: their cash after all else is done."""
    free: dict[int, int] = defaultdict(int)
    for entry in moving:
        for member in entry.takes:
            free[member] = held[accounts[Kind.CASH, member]]
    for entry in moving:
        for member, amount in entry.gives.items():
            free[member] += amount
        for (giver, owner), (taker, other), amount in entry.transfers:
            free[owner] -= amount if giver is Kind.CASH else 0
            free[other] += amount if taker is Kind.CASH else 0
    return free


def _place(holder: Holder, entry: int) -> _Place:
    """Which account a holder's is: the platform's stripe goes by the entry."""
    kind, owner = holder
    return (kind, entry if LINES[kind].owner is Owner.PLATFORM else owner)


def _accounts(moving: Sequence[EntryMoves]) -> dict[_Place, int]:
    """Ids of all accounts that the entries may move; one statement a kind."""
    wanted: dict[Kind, set[int]] = defaultdict(set)
    for number, entry in enumerate(moving):
        holders = [holder for transfer in entry.transfers for holder in transfer[:2]]
        holders += [(Kind.CASH, member) for member in (*entry.gives, *entry.takes)]
        holders += [(Kind.DEBT, member) for member in entry.takes]
        if entry.fund_gives_back:
            holders += [(Kind.PROVISION_FUND, 0), (Kind.OWN_FUNDS, 0)]
        for holder in (entry.clearing, *holders):
            kind, place = _place(holder, number)
            wanted[kind].add(place)
    keys = [entry.draft.key for entry in moving]
    found: dict[_Place, int] = {}
    for kind in sorted(wanted):
        places = sorted(wanted[kind])
        if LINES[kind].owner is Owner.PLATFORM:
            ids = platform_accounts(kind, [keys[place] for place in places])
        else:
            ids = account_ids(kind, np.array(places, dtype=np.int64))
        found |= {
            (kind, place): account for place, account in zip(places, ids.tolist(), strict=True)
        }
    return found


def _post(moving: Sequence[EntryMoves], accounts: dict[_Place, int]) -> None:
    rows = [
        (
            number,
            accounts[_place(giver, number)],
            accounts[_place(taker, number)],
            amount,
            LINES[giver[0]].book,
        )
        for number, entry in enumerate(moving)
        for giver, taker, amount in entry.transfers
    ]
    legs = []
    for book in sorted({row[4] for row in rows}):
        entry, debit, credit, amount = np.array(
            [row[:4] for row in rows if row[4] is book], dtype=np.int64
        ).T
        legs.append(Leg(entry, debit, credit, amount, book))
    post(posting([entry.draft for entry in moving], legs))
