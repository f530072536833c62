"""Direct debits: their states, their references, and the mandates that allow them.

A collection is asked for, sent to the bank in a file, and counts as collected on its day, as long
as the bank doesn't say that it wasn't paid. One that comes back after it counted is unpaid until
what was done with its money is undone, and has bounced then. Nothing is presented twice by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from stdnum.iso7064 import mod_97_10

from accounts.core.errors import AccountsRefusal

LARGEST_NUMBER = 9_999_999_999
COLLECTION, MANDATE = "TNC", "TNM"
COLLECTION_ID = re.compile(rf"\b{COLLECTION}\d{{12}}\b", re.ASCII)
# A batch of a file, or the file itself, as statements may name it.
BATCH_ID = re.compile(rf"\b{COLLECTION}-\d{{8}}-\d{{10}}(?:-\d{{1,4}})?\b", re.ASCII)
LONGEST_REASON = 35


class CollectionRefused(AccountsRefusal):
    """A direct debit, or something about one, that can't be."""

    code = "COLLECTION_REFUSED"


class CollectionMoveRefused(AccountsRefusal):
    """A direct debit that isn't in a state in which this can be done."""

    code = "COLLECTION_MOVE_REFUSED"


class CollectionUnknown(AccountsRefusal):
    """A direct debit that doesn't exist."""

    code = "COLLECTION_UNKNOWN"


class CollectionState(StrEnum):
    """A direct debit's life."""

    ASKED = "asked"
    SENT = "sent"
    COLLECTED = "collected"
    UNPAID = "unpaid"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"


COLLECTION_MOVES: Mapping[CollectionState, frozenset[CollectionState]] = {
    # Not sent at all: the sandbox answers at once.
    CollectionState.ASKED: frozenset(
        {
            CollectionState.SENT,
            CollectionState.COLLECTED,
            CollectionState.UNPAID,
            CollectionState.CANCELLED,
        }
    ),
    # Cancelled though sent: it is for nothing any more, and its money will wait in suspense.
    CollectionState.SENT: frozenset(
        {CollectionState.COLLECTED, CollectionState.UNPAID, CollectionState.CANCELLED}
    ),
    CollectionState.COLLECTED: frozenset({CollectionState.UNPAID}),
    # Only what had counted as collected has something to undo.
    CollectionState.UNPAID: frozenset({CollectionState.BOUNCED}),
    CollectionState.BOUNCED: frozenset(),
    CollectionState.CANCELLED: frozenset(),
}
# What may come on a statement still.
EXPECTED = (CollectionState.SENT, CollectionState.COLLECTED)

# What the bank brought of these, and has not taken back, is for no payment.
STRAY = (CollectionState.UNPAID, CollectionState.BOUNCED, CollectionState.CANCELLED)


def check_collection_move(old: CollectionState, new: CollectionState) -> None:
    """Check a collection's move.

    Raises:
        CollectionMoveRefused: a move that isn't in the table.
    """
    if new not in COLLECTION_MOVES[old]:
        allowed = ", ".join(sorted(COLLECTION_MOVES[old])) or "nothing more"
        raise CollectionMoveRefused(
            f"This direct debit is {old}: it can't be {new}; it can become {allowed}."
        )


def collection_reference(number: int) -> str:
    """The end-to-end id of a collection: ``TNC``, its number, two check digits; 15 characters.

    The check digits are those of payment references (ISO 7064 mod 97-10), at the end.

    Raises:
        CollectionRefused: a number below 1 or with more than ten digits.
    """
    return _reference(COLLECTION, number)


def mandate_reference(number: int) -> str:
    """The reference of a mandate, made like a collection's, with ``TNM``; fits Bacs's 18.

    Raises:
        CollectionRefused: a number below 1 or with more than ten digits.
    """
    return _reference(MANDATE, number)


def _reference(prefix: str, number: int) -> str:
    if not 0 < number <= LARGEST_NUMBER:
        raise CollectionRefused(f"A number is 1 to {LARGEST_NUMBER}.", field="number")
    body = f"{prefix}{number:010d}"
    return body + mod_97_10.calc_check_digits(body)


def is_collection_reference(text: str) -> bool:
    """Whether a text is the end-to-end id of a collection, with the right check digits."""
    return COLLECTION_ID.fullmatch(text) is not None and mod_97_10.is_valid(text)


def collection_in(text: str) -> str | None:
    """The one collection or batch of collections that a statement's text names.

    Returns:
        An end-to-end id or a batch's id; ``None`` without one, or with several.
    """
    found = {name for name in COLLECTION_ID.findall(text) if mod_97_10.is_valid(name)}
    found |= set(BATCH_ID.findall(text))
    return found.pop() if len(found) == 1 else None
