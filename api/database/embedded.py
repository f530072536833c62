"""The embedded PostgreSQL, used when ``DATABASE_URL`` is not set.

It starts by itself on first use, is shared by all processes that use the same folder, and stops
about a second after the last of them has ended, however it ended. ``docs/decisions/0002`` says
why it is done this way. Settings import this module, so it does not import Django.

The server listens on a Unix socket only, in a folder that only its own user (and root) may enter;
that folder is the whole access control, so there are no passwords.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

import psycopg

from api.database.embedded_keeper import USE_LOCK
from api.database.embedded_place import PORT, EmbeddedPostgresFailed, Place, find_place
from api.database.embedded_server import (
    EmbeddedServer,
    Starter,
    find_server,
    is_kept,
    open_locked,
    start_lock,
)
from api.database.embedded_settings import SUPERUSER

__all__ = [
    "APPLICATION",
    "DATABASE",
    "OWNER",
    "EmbeddedPostgresFailed",
    "ensure_running",
    "reset_database",
    "role_url",
    "start",
]

DATABASE = "tenner"
OWNER = "tenner_owner"
APPLICATION = "tenner_app"

# The use lock of each server that this process uses, held until the process ends. A forked child
# shares it: it counts as a user for as long as it lives.
_in_use: dict[Place, int] = {}


def start(environ: Mapping[str, str]) -> EmbeddedServer:
    """Start the server of ``$TENNER_DATA``, or join it, and use it until this process ends.

    Takes milliseconds when it runs, about half a second to start it, and a few seconds to make it
    the first time.

    Raises:
        EmbeddedPostgresFailed: when it cannot be started; the message holds the end of its log.
    """
    return _ensure(find_place(environ))


def ensure_running() -> None:
    """Start the server that this process uses again, if it has died since.

    Costs a millisecond or two when it runs, and does nothing in a process that does not
    use an embedded server. The urls stay the same.

    Raises:
        EmbeddedPostgresFailed: when it cannot be started again.
    """
    for place in list(_in_use):
        _ensure(place)


def reset_database(environ: Mapping[str, str]) -> None:
    """Drop the embedded server's database, whoever is connected to it, and make it anew, empty.

    Raises:
        EmbeddedPostgresFailed: when ``DATABASE_URL`` is set, because then the database in use is
            not the embedded one, or when the server cannot be started.
    """
    if environ.get("DATABASE_URL"):
        raise EmbeddedPostgresFailed("DATABASE_URL is set; only the embedded database is reset.")
    place = find_place(environ)
    server = _ensure(place)
    with _explained(place), start_lock(place), _superuser(server) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        _prepare(connection)


def role_url(server: EmbeddedServer, role: str) -> str:
    """The url of Tenner's database for one role, as libpq and our settings take it."""
    return f"postgresql://{role}@/{DATABASE}?host={quote(str(server.socket_folder))}&port={PORT}"


def _ensure(place: Place) -> EmbeddedServer:
    if _is_user(place):
        server = find_server(place)
        if server is not None and server.is_ready and is_kept(place):
            return server
    with _explained(place), start_lock(place):
        is_new = not _is_user(place)
        if is_new:
            # Waits while a keeper stops the server.
            _in_use[place] = open_locked(place, USE_LOCK, fcntl.LOCK_SH)
        try:
            server = Starter(place).run()
            with _superuser(server) as connection:
                _prepare(connection)
        except BaseException:
            if is_new:
                os.close(_in_use.pop(place))
            raise
        return server


def _is_user(place: Place) -> bool:
    """Whether this process holds the use lock, of the file that is there now."""
    descriptor = _in_use.get(place)
    if descriptor is None:
        return False
    try:
        if os.path.samestat(os.fstat(descriptor), (place.home / USE_LOCK).stat()):
            return True
    except OSError:
        pass  # the folder is gone, or something closed all files of this process
    del _in_use[place]
    return False


@contextmanager
def _explained(place: Place) -> Iterator[None]:
    """Say in one sentence what the system or the server refused."""
    try:
        yield
    except (OSError, subprocess.SubprocessError, psycopg.Error) as error:
        said = str(error).strip().rstrip(".")
        raise EmbeddedPostgresFailed(
            f"The embedded PostgreSQL in {place.home} cannot be used: {said}."
        ) from error


@contextmanager
def _superuser(server: EmbeddedServer) -> Iterator[psycopg.Connection]:
    connection = psycopg.connect(
        host=str(server.socket_folder),
        port=PORT,
        user=SUPERUSER,
        dbname="postgres",
        autocommit=True,
        connect_timeout=30,
    )
    with connection:
        yield connection


def _prepare(connection: psycopg.Connection) -> None:
    """Make the two roles and the database, whichever are missing.

    The owner is a member of the application's role so that it may end the application's sessions
    when it drops a test's database. In ``public`` only the database's owner may create.
    """
    roles = {str(name) for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    if not {OWNER, APPLICATION} <= roles:
        with connection.transaction():
            if OWNER not in roles:
                connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEDB")
            if APPLICATION not in roles:
                connection.execute(f"CREATE ROLE {APPLICATION} LOGIN")
            connection.execute(f"GRANT {APPLICATION} TO {OWNER}")
    found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
    if found.fetchone() is None:
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
