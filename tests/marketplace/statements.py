"""Counting what is sent to the database, whoever sends it: Django's cursors, psycopg's, COPY."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from django.db import connection
from psycopg.pq import Trace


def statements(work: Callable[[], object]) -> int:
    """How many statements ``work`` sends, by libpq's own trace of the wire.

    Each statement is one ``Query`` or one ``Execute`` message, savepoints included; a ``BEGIN``,
    which the driver sends with whatever comes first, is not counted.
    """
    connection.ensure_connection()
    wire = connection.connection.pgconn
    with tempfile.TemporaryFile("w+") as trace:
        wire.trace(trace.fileno())
        wire.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            work()
        finally:
            wire.untrace()
        trace.seek(0)
        sent = [line.split("\t") for line in trace if line.startswith("F\t")]
    return sum(
        message[2] == "Execute" or (message[2] == "Query" and "BEGIN" not in message[3])
        for message in sent
    )
