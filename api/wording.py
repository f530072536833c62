"""How figures are written for people and for the wire."""

from __future__ import annotations

from decimal import Decimal

from accounts.core.chart import Kind
from accounts.core.posting import EntryKind
from marketplace.core import wording
from marketplace.core.match_answers import MatchAnswer

PPM_IN_PERCENT = 10_000

# Notices and agreements write amounts in the same way.
pounds = wording.pounds


def percent(ppm: int) -> str:
    """A rate in per cent with two to four decimals, exact (71250 is ``"7.125"``)."""
    whole, rest = divmod(abs(ppm), PPM_IN_PERCENT)
    decimals = f"{rest:04d}"
    shown = decimals[:2] + decimals[2:].rstrip("0")
    return f"{'-' if ppm < 0 else ''}{whole}.{shown}"


def short_percent(ppm: int) -> str:
    """A rate in per cent rounded to two decimals, halves to even (71251 is ``"7.13"``)."""
    return f"{Decimal(ppm) / PPM_IN_PERCENT:.2f}"


def printable(text: str) -> str:
    """Somebody else's text on one line of a terminal, which it can't command."""
    return "".join(c if c.isprintable() else " " for c in text)


# What happened, as a statement tells a member.
HAPPENED: dict[str, str] = {
    EntryKind.DEPOSIT: "Paid in",
    EntryKind.WITHDRAWAL_SENT: "Withdrawal to your bank",
    EntryKind.WITHDRAWAL_CONFIRMED: "Withdrawal arrived at your bank",
    EntryKind.OFFER_PLACED: "Put on offer",
    EntryKind.OFFER_CANCELLED: "Offer cancelled",
    EntryKind.MATCHED: "Matched with a loan",
    EntryKind.PAID_OUT: "Loan paid out",
    EntryKind.INTEREST_FELL_DUE: "Interest fell due",
    EntryKind.PAYMENT_RECEIVED: "Loan payment received",
    EntryKind.PAYMENT_DISTRIBUTED: "Loan payment passed on",
    EntryKind.DEPOSIT_UNKNOWN: "Paid in, owner unknown",
    EntryKind.DEPOSIT_REVERSED: "Payment in taken back by the bank",
    EntryKind.SUSPENSE_ASSIGNED: "Paid in, found to be yours",
    EntryKind.SUSPENSE_RETURNED: "Sent back to where it came from",
    EntryKind.WITHDRAWAL_CANCELLED: "Withdrawal cancelled",
    EntryKind.WITHDRAWAL_REJECTED: "Withdrawal refused by the bank",
    EntryKind.WITHDRAWAL_RETURNED: "Withdrawal came back",
    EntryKind.DEBT_REPAID: "Debt to Tenner repaid",
    EntryKind.ADVANCED: "Advanced by Tenner",
    EntryKind.FEES_SWEPT: "Fees swept",
    EntryKind.BANK_MOVED: "Moved at the bank",
    EntryKind.BANK_UNEXPLAINED: "Not explained yet",
    EntryKind.REVERSED: "Earlier entry taken back",
    EntryKind.PAYMENT_BOUNCED: "Loan payment bounced",
    EntryKind.LOAN_CORRECTED: "Loan put right",
    EntryKind.LOAN_CHANGED: "Loan changed",
    EntryKind.CLAIM_WRITTEN_OFF: "Claim written off",
    EntryKind.FUND_PAID: "Paid by the provision fund",
    EntryKind.FEE_REFUNDED: "Arrangement fee refunded",
    EntryKind.COLLECTED: "Direct debits arrived at the bank",
    EntryKind.COLLECTION_UNPAID: "Direct debit returned by the bank",
    EntryKind.MATCH_CANCELLED: "Match cancelled",
}


# The other account of a line, as a statement tells a member.
OTHER_SIDE: dict[str, str] = {
    Kind.CLIENT_BANK: "Bank",
    Kind.OWN_BANK: "Tenner's bank",
    Kind.FUND_BANK: "Provision fund's bank",
    Kind.CASH: "Cash",
    Kind.ON_OFFER: "On offer",
    Kind.MATCHED: "Matched",
    Kind.ON_ITS_WAY: "On its way to your bank",
    Kind.DEBT: "Debt to Tenner",
    Kind.CLEARING: "Loan",
    Kind.SUSPENSE: "Not yet known to be anyone's",
    Kind.COLLECTING: "Direct debits",
    Kind.FEES: "Fees",
    Kind.OWN_FUNDS: "Tenner",
    Kind.PROVISION_FUND: "Provision fund",
}


# What became of an offer in one market at the last cycle, as its lender is told.
ANSWERED: dict[MatchAnswer, str] = {
    MatchAnswer.MATCHED: "Some of it was lent.",
    MatchAnswer.RATE_TOO_HIGH: "Only money that asks less was needed.",
    MatchAnswer.BEHIND_OTHERS: "Others at the same rate stood before it and were enough.",
    MatchAnswer.EXPOSURE_REACHED: (
        "Your limit is reached with the borrowers whose loans still needed money."
    ),
    MatchAnswer.NO_LISTING: "Nobody looked for a loan here.",
    MatchAnswer.LISTINGS_WAITED: (
        "Loans were wanted, but none could be funded whole at a rate that its borrower takes."
    ),
    MatchAnswer.LENT_ELSEWHERE: "Its money had been lent in another market by then.",
    MatchAnswer.MIX_REACHED: "As much of it lies here already as its mix allows.",
    MatchAnswer.OUT_OF_BOUNDS: "Its rate lay outside what this market accepts.",
    MatchAnswer.NO_CASH: "It has less than £10 left to lend.",
    MatchAnswer.PAUSED: "It is paused.",
    MatchAnswer.AFTER_CUT_OFF: "It did not stand here yet when the last cycle ran.",
}


def answered(answer: MatchAnswer) -> str:
    """What became of an offer, for a person."""
    return ANSWERED[answer]


def happened(kind: str) -> str:
    """What happened, for a person (``deposit`` is ``Paid in``)."""
    return HAPPENED.get(kind) or kind.replace("_", " ").capitalize()


def other_side(account: str) -> str:
    """Another account by the journal's name, for a person (``client_bank/0/3`` is ``Bank``)."""
    return OTHER_SIDE.get(account.partition("/")[0], "Tenner")
