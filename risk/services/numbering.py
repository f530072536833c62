"""One at a time numbers what is registered, or moves it, or raises alarms."""

from __future__ import annotations

from django.db import connection

_REGISTERING = (7501, 1)
_MOVING = (7501, 2)
_ALARMING = (7501, 3)


def hold_numbers() -> None:
    """Wait until nobody else registers a model or rate table, and hold that until the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", _REGISTERING)


def hold_moves() -> None:
    """Wait until nobody else puts a model to use or out of it, and hold that until the commit.

    Locked rows are not enough: who waits for the old champion's row doesn't see the new one's.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", _MOVING)


def hold_alarms() -> None:
    """Wait until nobody else raises alarms, and hold that until the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", _ALARMING)
