"""What was known when: the seal up to which a statement looks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from accounts.core.errors import AccountsRefusal

# The sealers' lock: of one sealer alone, or shared by who must know that none is at work.
SEALING_LOCK = (7401, 2)


class KnownAtRefused(AccountsRefusal):
    """An instant or a number of the journal that is still to come."""

    code = "KNOWN_AT_FUTURE"


@dataclass(frozen=True)
class Known:
    """What a statement may know: all that is sealed, or what was by a number or an instant.

    Attributes:
        number: of the journal; what counts is the last seal up to it.
        at: an instant with its time zone.
    """

    number: int | None = None
    at: datetime | None = None


LATEST = Known()


@dataclass(frozen=True)
class KnownSeal:
    """The last seal that counts; ``horizon`` is the transaction id below which all is sealed."""

    number: int = 0
    at: datetime | None = None
    horizon: int = 0


def known_seal(known: Known) -> KnownSeal:
    """The seal up to which is known; one statement, three for a recent instant.

    Raises:
        KnownAtRefused: an instant or a number to come, whose answer could still change.
    """
    if known.at is not None:
        return _seal_at(known.at)
    if known.number is None:
        return _seal("", [])
    if known.number < 0:
        raise KnownAtRefused("Numbers of the journal begin with 1.", field="knownAt")
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(last_number), 0) FROM accounts_seal")
        (last,) = cursor.fetchone()
    if known.number > last:
        raise KnownAtRefused(f"The journal ends with entry {last} so far.", field="knownAt")
    return _seal("WHERE last_number <= %s", [known.number])


def _seal_at(instant: datetime) -> KnownSeal:
    """The last seal up to an instant.

    One made by then may not be committed yet, unless a later one is: seals are made one at a time,
    each later than the one before. So whoever asks for a recent instant waits for the sealer.
    """
    if instant.tzinfo is None:
        raise KnownAtRefused("An instant has a time zone, such as Z.", field="knownAt")
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(sealed_at) FROM accounts_seal")
        (newest,) = cursor.fetchone()
    if newest is None or instant >= newest:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", SEALING_LOCK)
            cursor.execute("SELECT clock_timestamp()")
            (now,) = cursor.fetchone()
        if instant > now:
            raise KnownAtRefused(
                f"Nobody knows yet what will be known then; it is {now:%Y-%m-%dT%H:%M:%SZ} now.",
                field="knownAt",
            )
    return _seal("WHERE sealed_at <= %s", [instant])


def _seal(condition: str, parameters: list[Any]) -> KnownSeal:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT last_number, sealed_at, horizon FROM accounts_seal {condition}"
            " ORDER BY last_number DESC LIMIT 1",
            parameters,
        )
        row = cursor.fetchone()
    return KnownSeal(*row) if row else KnownSeal()
