"""What a statement is made of, apart from where it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple


class Position(NamedTuple):
    """A line's place in a statement, from which a page can go on without adding up history.

    Attributes:
        effective_on, transfer_id: lines are in order of these two.
        balance: pence after the line.
        change: pence of the line itself.
    """

    effective_on: date
    transfer_id: int
    balance: int
    change: int


@dataclass(frozen=True)
class Line:
    """One transfer as an account sees it; pence in the account's own sign.

    Attributes:
        number: the entry's place in the journal; none while it isn't sealed.
        transfer_id: of the transfer.
        entry_id, kind, key, reference: of its entry.
        effective_on: business date.
        recorded_at: when it was stored.
        change: pence.
        balance: pence after this line; none while the entry isn't sealed, since others may come
            before it.
        counterparty: the other account, as the journal names it.
    """

    number: int | None
    transfer_id: int
    entry_id: int
    kind: str
    key: str
    reference: str
    effective_on: date
    recorded_at: datetime
    change: int
    balance: int | None
    counterparty: str

    @property
    def position(self) -> Position:
        """Where a page goes on from here.

        Raises:
            ValueError: a line that isn't sealed has no place yet.
        """
        if self.balance is None:
            raise ValueError("a line that isn't sealed has no place in a statement yet")
        return Position(self.effective_on, self.transfer_id, self.balance, self.change)


@dataclass(frozen=True)
class Provisional:
    """What is stored and not sealed yet; it may come with other dates and numbers before it.

    Attributes:
        lines: the first of them, in order of business date.
        net: pence of all.
        count: how many there are.
    """

    lines: tuple[Line, ...] = ()
    net: int = 0
    count: int = 0

    @property
    def has_more(self) -> bool:
        """Whether there are more than are shown."""
        return self.count > len(self.lines)


def running_forwards(lines: Sequence[Line], balance: int) -> list[Line]:
    """Lines from the earliest on, each with its balance; ``balance`` is that before them."""
    done: list[Line] = []
    for line in lines:
        balance += line.change
        done.append(replace(line, balance=balance))
    return done


def running_backwards(lines: Sequence[Line], balance: int) -> list[Line]:
    """Lines from the latest back, each with its balance; ``balance`` is that after the first."""
    done: list[Line] = []
    for line in lines:
        done.append(replace(line, balance=balance))
        balance -= line.change
    return done
