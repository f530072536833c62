"""What is to be spread, worked out and not yet written: flat arrays, which can be stored away."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np

from accounts.core.chart import Kind
from accounts.selectors.ledger import account_ids
from marketplace.core.arrays import BoolArray, IntArray, offsets_of, segment_sums
from marketplace.core.distribution import Distribution, PartBook, Receipts, distribute
from marketplace.core.receipts import receipts_of_totals
from marketplace.selectors.servicing import (
    ClearedPayments,
    LoanParts,
    Periods,
    load_cleared,
    load_parts,
    load_periods,
)


@dataclass(frozen=True, eq=False)
class DistributionDraft:
    """The shares of ``P`` payments of ``L`` loans, of which ``R`` bring the lenders something.

    Attributes:
        loan: ``[L]``, sorted.
        distributions, events, version: ``[L]``, the state in which each loan was found: last
            numbers of its distributions and events, and its row's latest change.
        payment, loan_of, number: ``[P]``, by loan and number: id, place of its loan, number.
        to_fund, cost, returned: ``[P]``, pence that go to the provision fund, for the recovery,
            and back to the borrower.
        borrower: ``[P]``.
        row_payment, row_number, row_fee: ``[R]``: place of the payment, number of the
            distribution, and the servicing fee kept of it, pence.
        row_offsets: ``[R + 1]``, where each distribution's parts start.
        principal, interest, fee: ``[N]``, running totals of each part after it, pence.
        net: ``[N]``, what each part gets of it after the fee, pence.
        cash: ``[N]``, the account that gets it.
    """

    loan: IntArray
    distributions: IntArray
    events: IntArray
    version: IntArray
    payment: IntArray
    loan_of: IntArray
    number: IntArray
    to_fund: IntArray
    cost: IntArray
    returned: IntArray
    borrower: IntArray
    row_payment: IntArray
    row_number: IntArray
    row_fee: IntArray
    row_offsets: IntArray
    principal: IntArray
    interest: IntArray
    fee: IntArray
    net: IntArray
    cash: IntArray

    @property
    def last_distribution(self) -> IntArray:
        """Number of the loan's last distribution after each payment, ``[P]``."""
        rows = np.zeros(len(self.payment) + 1, dtype=np.int64)
        rows[self.row_payment + 1] = 1
        written = np.cumsum(rows)
        first = np.searchsorted(self.loan_of, self.loan_of)
        last: IntArray = self.distributions[self.loan_of] + written[1:] - written[first]
        return last

    def only(self, loans: BoolArray) -> DistributionDraft:
        """The draft of some of its loans, given by a mask ``[L]``."""
        payments = loans[self.loan_of]
        rows = payments[self.row_payment]
        counts = np.diff(self.row_offsets)
        parts = np.repeat(rows, counts)
        kept = {
            **{name: getattr(self, name)[loans] for name in _OF_LOANS},
            **{name: getattr(self, name)[payments] for name in _OF_PAYMENTS},
            **{name: getattr(self, name)[rows] for name in _OF_ROWS},
            **{name: getattr(self, name)[parts] for name in _OF_PARTS},
        }
        return DistributionDraft(
            **kept,
            loan_of=(np.cumsum(loans) - 1)[self.loan_of][payments],
            row_payment=(np.cumsum(payments) - 1)[self.row_payment][rows],
            row_offsets=offsets_of(counts[rows]),
        )

    def pack(self) -> bytes:
        """The draft as bytes; amounts that fit 32 bits take no more."""
        file = io.BytesIO()
        columns: dict[str, Any] = {
            field.name: _small(getattr(self, field.name)) for field in fields(self)
        }
        np.savez(file, **columns)
        return file.getvalue()

    @staticmethod
    def unpack(data: bytes) -> DistributionDraft:
        """The draft that :meth:`pack` made these bytes of."""
        with np.load(io.BytesIO(data), allow_pickle=False) as columns:
            return DistributionDraft(
                **{
                    field.name: columns[field.name].astype(np.int64)
                    for field in fields(DistributionDraft)
                }
            )


_OF_LOANS = ("loan", "distributions", "events", "version")
_OF_PAYMENTS = ("payment", "number", "to_fund", "cost", "returned", "borrower")
_OF_ROWS = ("row_number", "row_fee")
_OF_PARTS = ("principal", "interest", "fee", "net", "cash")


def _small(column: IntArray) -> IntArray:
    fits = not len(column) or -(2**31) <= column.min() <= column.max() < 2**31
    return column.astype(np.int32) if fits else column


def draft_distribution(on: date, loan_ids: IntArray) -> DistributionDraft:
    """Work out what the payments of the loans (sorted ids) that have cleared bring to whom.

    Several payments of a loan are spread in order of number, each on the totals that the one
    before left. Four statements.
    """
    cleared = load_cleared(on, loan_ids)
    loans, first, loan_of = np.unique(cleared.loan, return_index=True, return_inverse=True)
    parts, periods = load_parts(loans), load_periods(loans)
    rows = _rows(cleared, loan_of, first, parts, periods)
    return DistributionDraft(
        loan=loans,
        distributions=cleared.distributions[first],
        events=cleared.events[first],
        version=cleared.version[first],
        payment=cleared.payment,
        loan_of=loan_of,
        number=cleared.number,
        to_fund=cleared.to_fund,
        cost=cleared.cost,
        returned=cleared.returned,
        borrower=cleared.borrower,
        **rows,
    )


def _rows(
    cleared: ClearedPayments,
    loan_of: IntArray,
    first: IntArray,
    parts: LoanParts,
    periods: Periods,
) -> dict[str, IntArray]:
    """The draft's columns of distributions and parts, payments of one loan one after the other."""
    brings = np.flatnonzero(cleared.principal + cleared.interest)
    turn = np.arange(len(brings)) - np.searchsorted(loan_of[brings], loan_of[brings])
    cash = account_ids(Kind.CASH, parts.lender)
    if len(brings) == len(first) and not turn.any():
        # One payment of each loan, as on most days: nothing need be picked out or put in order.
        shares = _spread(cleared, brings, loan_of, parts.book, periods, cleared.interest_before)
        columns = _columns(shares)
        offsets = parts.book.offsets
    else:
        columns, offsets, cash = _in_turns(cleared, brings, turn, loan_of, parts, periods, cash)
    return {
        "row_payment": brings,
        "row_number": cleared.distributions[brings] + turn + 1,
        "row_fee": segment_sums(columns.pop("kept"), offsets),
        "row_offsets": offsets,
        "cash": cash,
        **columns,
    }


def _columns(shares: Distribution) -> dict[str, IntArray]:
    return {
        "principal": shares.principal_received,
        "interest": shares.interest_received,
        "fee": shares.fee_received,
        "net": shares.principal + shares.interest - shares.fee,
        "kept": shares.fee,
    }


def _spread(
    cleared: ClearedPayments,
    rows: IntArray,
    loan_of: IntArray,
    book: PartBook,
    periods: Periods,
    interest_before: IntArray,
) -> Distribution:
    """Spread one payment each of some loans, whose parts the book has, in their order."""
    places = loan_of[rows]
    counts = np.diff(periods.offsets)[places]
    at = _ranges(periods.offsets[places], counts)
    receipts: Receipts = receipts_of_totals(
        principal=cleared.principal[rows],
        interest=cleared.interest[rows],
        interest_before=interest_before[rows],
        interest_due=periods.interest_due[at],
        pence_months=periods.pence_months[at],
        offsets=offsets_of(counts),
    )
    return distribute(book, receipts, fee_ppm=cleared.fee_ppm[rows])


def _in_turns(
    cleared: ClearedPayments,
    brings: IntArray,
    turn: IntArray,
    loan_of: IntArray,
    parts: LoanParts,
    periods: Periods,
    cash: IntArray,
) -> tuple[dict[str, IntArray], IntArray, IntArray]:
    """Several payments of some loans: first the first of each, then the second of those..."""
    book, sizes = parts.book, np.diff(parts.book.offsets)
    counts = sizes[loan_of[brings]]
    offsets = offsets_of(counts)
    totals = [book.principal_received, book.interest_received, book.fee_received]
    totals = [column.copy() for column in totals]
    before = cleared.interest_before.copy()
    names = ("principal", "interest", "fee", "net", "kept")
    columns = {name: np.empty(int(offsets[-1]), dtype=np.int64) for name in names}
    for number in range(int(turn.max(initial=-1)) + 1):
        chosen = np.flatnonzero(turn == number)
        rows = brings[chosen]
        places = loan_of[rows]
        here = _ranges(book.offsets[places], sizes[places])
        taken = PartBook(
            part_id=book.part_id[here],
            units=book.units[here],
            size=book.size[here],
            monthly_e12=book.monthly_e12[here],
            principal_received=totals[0][here],
            interest_received=totals[1][here],
            fee_received=totals[2][here],
            offsets=offsets_of(sizes[places]),
        )
        shares = _spread(cleared, rows, loan_of, taken, periods, before)
        at = _ranges(offsets[chosen], counts[chosen])
        for name, values in _columns(shares).items():
            columns[name][at] = values
        for total, name in zip(totals, names[:3], strict=True):
            total[here] = columns[name][at]
        received = np.bincount(places, weights=cleared.interest[rows], minlength=len(sizes))
        before = before + received.astype(np.int64)[loan_of]
    return columns, offsets, cash[_ranges(book.offsets[loan_of[brings]], counts)]


def _ranges(starts: IntArray, counts: IntArray) -> IntArray:
    """Row numbers of segments that start there and have so many rows, end to end."""
    ends = np.cumsum(counts)
    rows: IntArray = np.repeat(starts - ends + counts, counts) + np.arange(int(counts.sum()))
    return rows
