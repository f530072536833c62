"""What can happen to a loan that is paid out: payments, and events beside them.

A loan's life is a pure function of its contract, its payments and its events
(:mod:`marketplace.core.life`): that is how what came too late, or bounced, is put right.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class LoanEventKind(StrEnum):
    """An event that changes what a loan owes, from when, or what state it is in.

    Falling due, arrears and catching up are no events: they follow from the rest.
    """

    SETTLEMENT = "settlement"
    DUE_DAY = "due_day"
    HOLIDAY = "holiday"
    ARRANGEMENT = "arrangement"
    ARRANGEMENT_ENDED = "arrangement_ended"
    HARDSHIP = "hardship"
    HARDSHIP_ENDED = "hardship_ended"
    DEFAULT = "default"
    FUND_PAYMENT = "fund_payment"
    SETTLED_SHORT = "settled_short"
    WRITTEN_OFF = "written_off"
    RESCISSION = "rescission"


class Excess(StrEnum):
    """What becomes of what a payment brings beyond what is due.

    It goes to the borrower's cash once cleared, or repays principal before its time: then the loan
    ends earlier at the same instalment, or keeps its end at a smaller one.
    """

    KEEP = "keep"
    SHORTER = "shorter"
    SMALLER = "smaller"


class PaymentKind(StrEnum):
    """How a payment came: by direct debit, from the borrower's cash, or through recovery."""

    COLLECTION = "collection"
    CASH = "cash"
    RECOVERY = "recovery"


class InstalmentKind(StrEnum):
    """Why something is due: by the contract, repaid before its time, or to settle all of it."""

    REGULAR = "regular"
    PREPAYMENT = "prepayment"
    SETTLEMENT = "settlement"


class DistributionKind(StrEnum):
    """What was spread: a payment, the provision fund's money, or what a correction changed."""

    PAYMENT = "payment"
    FUND = "fund"
    CORRECTION = "correction"


class DefaultCause(StrEnum):
    """Why a loan is in default."""

    OVERDUE = "overdue"
    DEATH = "death"
    INSOLVENCY = "insolvency"


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """A payment that arrived and did not bounce.

    Attributes:
        number: its place in the loan's list of payments and events, from 1.
        received_on: the day from which it counts for the borrower.
        clears_on: the day on which it may be spread over the parts.
        amount: pence.
        excess: what becomes of what is beyond what is due.
        cost: pence of it that its recovery cost, borne by who owns the claim.
    """

    number: int
    received_on: date
    clears_on: date
    amount: int
    excess: Excess = Excess.KEEP
    cost: int = 0


@dataclass(frozen=True, slots=True)
class LoanEvent:
    """An event that was not taken back.

    Attributes:
        number: its place in the loan's list of payments and events, from 1.
        kind: what happened.
        on: the business date from which it counts.
        amount: pence: the monthly amount of an arrangement, principal that the fund pays.
        interest: pence of interest that the fund pays.
        months: of a holiday or an arrangement.
        day: day of the month on which instalments fall due from now on.
        until: last day of hardship.
        cause: of a default.
    """

    number: int
    kind: LoanEventKind
    on: date
    amount: int = 0
    interest: int = 0
    months: int = 0
    day: int = 0
    until: date | None = None
    cause: DefaultCause | None = None
