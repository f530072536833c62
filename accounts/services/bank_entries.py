"""The ledger's entries for booked bank lines: one entry a line, whatever the line is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from accounts.core.bank_booking import OF_A_BANK_LINE, BookedLine
from accounts.core.bank_states import LineOutcome, OurAccount
from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, Posting, posting
from accounts.selectors.bank_accounts import AccountTable, load_accounts
from accounts.services.holding import hold_accounts

# Entry, debit and credit of each outcome on the client account, where the line alone decides.
_CLIENT: dict[LineOutcome, tuple[EntryKind, Kind, Kind]] = {
    LineOutcome.DEPOSIT: (EntryKind.DEPOSIT, Kind.CLIENT_BANK, Kind.CASH),
    LineOutcome.SUSPENSE: (EntryKind.DEPOSIT_UNKNOWN, Kind.CLIENT_BANK, Kind.SUSPENSE),
    LineOutcome.RETURN_BOUNCED: (EntryKind.DEPOSIT_UNKNOWN, Kind.CLIENT_BANK, Kind.SUSPENSE),
    LineOutcome.WITHDRAWAL_CONFIRMED: (
        EntryKind.WITHDRAWAL_CONFIRMED,
        Kind.ON_ITS_WAY,
        Kind.CLIENT_BANK,
    ),
    LineOutcome.WITHDRAWAL_RETURNED: (EntryKind.WITHDRAWAL_RETURNED, Kind.CLIENT_BANK, Kind.CASH),
    LineOutcome.RETURN_CONFIRMED: (EntryKind.SUSPENSE_RETURNED, Kind.SUSPENSE, Kind.CLIENT_BANK),
    LineOutcome.SWEEP_CONFIRMED: (EntryKind.FEES_SWEPT, Kind.FEES, Kind.CLIENT_BANK),
    LineOutcome.SWEEP_RETURNED: (EntryKind.FEES_SWEPT, Kind.CLIENT_BANK, Kind.FEES),
    LineOutcome.MOVED: (EntryKind.ADVANCED, Kind.CLIENT_BANK, Kind.OWN_FUNDS),
    LineOutcome.DEPOSIT_REVERSED: (EntryKind.DEPOSIT_REVERSED, Kind.SUSPENSE, Kind.CLIENT_BANK),
    LineOutcome.COLLECTED: (EntryKind.COLLECTED, Kind.CLIENT_BANK, Kind.COLLECTING),
    LineOutcome.COLLECTION_UNPAID: (
        EntryKind.COLLECTION_UNPAID,
        Kind.COLLECTING,
        Kind.CLIENT_BANK,
    ),
}
# The bank's account of each of ours, and whose money an unordered movement on it is.
_BANK: dict[OurAccount, tuple[Kind, Kind]] = {
    OurAccount.CLIENT: (Kind.CLIENT_BANK, Kind.OWN_FUNDS),
    OurAccount.OWN: (Kind.OWN_BANK, Kind.OWN_FUNDS),
    OurAccount.FUND: (Kind.FUND_BANK, Kind.PROVISION_FUND),
}
_TO_CASH = (LineOutcome.DEPOSIT, LineOutcome.WITHDRAWAL_RETURNED)

# A transfer before its accounts' ids are known: entry's place, debit, credit, member, pence.
_Move = tuple[int, Kind, Kind, int, int]


def posting_of_lines(booked: Sequence[BookedLine], *, actor: str) -> Posting:
    """What is to be posted for booked lines; two statements at most. Call it right before posting.

    Where a deposit is taken back, the members' accounts are held: cash is taken as far as it goes,
    and the rest is the member's debt.
    """
    accounts = load_accounts(one.member_id for one in booked if one.member_id)
    held: dict[int, int] = {}
    if any(_takes_from_member(one) for one in booked):
        held = hold_accounts(ids=accounts.all_ids)
    moves = _moves(booked, accounts, held)
    drafts = [_draft(one, actor) for one in booked]
    place, debit, credit, amount = (
        np.array(
            [
                (
                    number,
                    accounts.id(giver, member, drafts[number].key),
                    accounts.id(taker, member, drafts[number].key),
                    pence,
                )
                for number, giver, taker, member, pence in moves
            ],
            dtype=np.int64,
        )
        .reshape(-1, 4)
        .T
    )
    return posting(drafts, [Leg(place, debit, credit, amount, Book.CASH)])


def _takes_from_member(one: BookedLine) -> bool:
    return one.outcome is LineOutcome.DEPOSIT_REVERSED and one.member_id != 0


def _moves(
    booked: Sequence[BookedLine], accounts: AccountTable, held: dict[int, int]
) -> list[_Move]:
    available = Counter(
        {
            owner: held[ids[0]]
            for (kind, owner), ids in accounts.ids.items()
            if kind is Kind.CASH and ids[0] in held
        }
    )
    for one in booked:
        if one.outcome in _TO_CASH:
            available[one.member_id] += one.new.line.amount
    moves: list[_Move] = []
    for place, one in enumerate(booked):
        amount = abs(one.new.line.amount)
        if _takes_from_member(one):
            taken = min(available[one.member_id], amount)
            available[one.member_id] -= taken
            moves += [
                (place, Kind.CASH, Kind.CLIENT_BANK, one.member_id, taken),
                (place, Kind.DEBT, Kind.CLIENT_BANK, one.member_id, amount - taken),
            ]
        else:
            _, debit, credit = _rule(one)
            moves.append((place, debit, credit, one.member_id, amount))
    return moves


def _rule(one: BookedLine) -> tuple[EntryKind, Kind, Kind]:
    """Kind of entry, debit and credit of a line."""
    account = one.new.account
    if account is OurAccount.CLIENT and one.outcome in _CLIENT:
        return _CLIENT[one.outcome]
    bank, counterpart = _BANK[account]
    if one.outcome is LineOutcome.UNEXPLAINED:
        # Whoever's account it left: nobody ordered it, so it is Tenner's to make good.
        kind, counterpart = EntryKind.BANK_UNEXPLAINED, Kind.OWN_FUNDS
    elif one.outcome is LineOutcome.SWEEP_CONFIRMED:
        kind = EntryKind.FEES_SWEPT
    else:
        kind = EntryKind.BANK_MOVED
    return (kind, bank, counterpart) if one.new.line.amount > 0 else (kind, counterpart, bank)


def _draft(one: BookedLine, actor: str) -> EntryDraft:
    if one.member_id:
        reference = f"member:{one.member_id}"
    elif len(one.collections) == 1:
        reference = f"collection:{one.collections[0]}"
    elif one.payment_id:
        reference = f"payment:{one.payment_id}"
    else:
        reference = f"bank-line:{one.new.id}"
    return EntryDraft(
        _rule(one)[0], f"{OF_A_BANK_LINE}{one.new.id}", one.new.effective_on, actor, reference
    )
