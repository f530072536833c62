"""One at a time numbers what is registered, so that two don't take the same number."""

from __future__ import annotations

from django.db import connection

_REGISTERING = (7501, 1)


def hold_numbers() -> None:
    """Wait until nobody else registers a model or rate table, and hold that until the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", _REGISTERING)
