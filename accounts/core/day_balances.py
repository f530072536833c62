"""Balances at the ends of business dates, carried on from what was known by what is new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

# A business date is a count of days since 1970-01-01; all dates of the calendar fit in 22 bits.
_DAY_BITS = 22
_DAY_ORIGIN = 719_163


@dataclass(frozen=True)
class AccountDays:
    """A figure for each of some accounts' business dates, in order of account and date.

    Attributes:
        account: account ids, shape ``(n,)``.
        day: business dates as days since 1970-01-01, shape ``(n,)``.
        pence: in the account's own sign: changes on those dates, or balances at their ends.
    """

    account: IntArray
    day: IntArray
    pence: IntArray

    def firsts(self) -> npt.NDArray[np.intp]:
        """Place of each account's first row, shape ``(accounts,)``."""
        begins = np.ones(len(self.account), dtype=np.bool_)
        begins[1:] = self.account[1:] != self.account[:-1]
        return np.flatnonzero(begins)


def added_up(account: IntArray, day: IntArray, pence: IntArray) -> AccountDays:
    """The sum of ``pence`` for each account and date, of columns in any order; shape ``(n,)``."""
    keys = account << _DAY_BITS | (day + _DAY_ORIGIN)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    begins = np.ones(len(keys), dtype=np.bool_)
    begins[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(begins)
    sums = np.add.reduceat(pence[order], starts) if len(starts) else pence[:0]
    keys = keys[starts]
    return AccountDays(
        keys >> _DAY_BITS, (keys & ((1 << _DAY_BITS) - 1)) - _DAY_ORIGIN, sums.astype(np.int64)
    )


def carried_on(known: AccountDays, changes: AccountDays) -> tuple[AccountDays, IntArray]:
    """The balances that changes make new: from each account's first changed date on.

    Args:
        known: balances known before, of the accounts that change: at the latest date on or before
            the first change, and at every later one.
        changes: what is new by date; several changes of a date are added up.

    Returns:
        the new balances, at dates that changed and at known later ones; and for each of these rows
        the account's latest date, shape ``(n,)``.
    """
    before = np.zeros_like(known.pence)
    before[1:] = known.pence[:-1]
    before[known.firsts()] = 0
    both = added_up(
        np.concatenate([known.account, changes.account]),
        np.concatenate([known.day, changes.day]),
        np.concatenate([known.pence - before, changes.pence]),
    )
    starts = both.firsts()
    sizes = np.diff(np.append(starts, len(both.account)))
    totals = np.cumsum(both.pence)
    totals -= np.repeat(totals[starts] - both.pence[starts], sizes)
    latest = np.repeat(both.day[starts + sizes - 1], sizes)
    # Both are in order of account, and each account of the one is in the other.
    since = np.repeat(changes.day[changes.firsts()], sizes)
    new = both.day >= since
    return AccountDays(both.account[new], both.day[new], totals[new]), latest[new]
