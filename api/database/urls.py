"""Which database: the urls of the application's and the owner's connection, and Django's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from api.database import embedded

SCHEMES = ("postgresql://", "postgres://")


class DatabaseUrlRefused(ValueError):
    """A database url cannot be used. The message says why and never holds the password."""


@dataclass(frozen=True)
class DatabaseUrls:
    """The two ways into one database.

    ``application`` may do what the running application needs; ``owner`` owns the tables and
    migrates them. Both may hold passwords, so they are left out when this is printed.
    """

    application: str = field(repr=False)
    owner: str = field(repr=False)


def database_urls(environ: Mapping[str, str]) -> DatabaseUrls:
    """The urls from ``DATABASE_URL`` and ``DATABASE_OWNER_URL``, or of the embedded server.

    An empty variable counts as not set. Without ``DATABASE_OWNER_URL`` the application's url is
    the owner's too. Without both, the embedded server is started and used by this process.

    Raises:
        DatabaseUrlRefused: when a url is malformed, or only the owner's is set.
        EmbeddedPostgresFailed: when the embedded server does not start.
    """
    application = environ.get("DATABASE_URL", "")
    owner = environ.get("DATABASE_OWNER_URL", "")
    if owner and not application:
        raise DatabaseUrlRefused("DATABASE_OWNER_URL is set, but DATABASE_URL is not.")
    if not application:
        server = embedded.start(environ)
        return DatabaseUrls(
            application=embedded.role_url(server, embedded.APPLICATION),
            owner=embedded.role_url(server, embedded.OWNER),
        )
    for name, url in (("DATABASE_URL", application), ("DATABASE_OWNER_URL", owner)):
        if url:
            _parse(url, name)
    return DatabaseUrls(application=application, owner=owner or application)


def django_database(url: str) -> dict[str, Any]:
    """One entry of Django's ``DATABASES``; parameters of the query string become ``OPTIONS``.

    The url is read by libpq itself, so it means here what it means to every other client: several
    hosts, a socket's folder as ``?host=``, percent-encoding.

    Raises:
        DatabaseUrlRefused: when the url is malformed.
    """
    options = _parse(url, "The database url")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options.pop("dbname"),
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": options.pop("host", ""),
        "PORT": options.pop("port", ""),
        "OPTIONS": options,
    }


def _parse(url: str, name: str) -> dict[str, str]:
    """The url's parts by libpq's names. ``name`` says in messages which url it is."""
    if not url.startswith(SCHEMES):
        raise DatabaseUrlRefused(f"{name} must begin with postgresql:// (or postgres://).")
    _check_parameters(url, name)
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    except psycopg.Error:
        # libpq's message quotes the url, so it is not passed on.
        raise DatabaseUrlRefused(
            f"{name} cannot be read; it should look like postgresql://user:password@host:5432/name,"
            " with special characters percent-encoded (@ is %40, / is %2F, % is %25)."
        ) from None
    if not parts.get("dbname"):
        raise DatabaseUrlRefused(f"{name} names no database: it should end in /name.")
    hosts = parts.get("host", "").split(",")
    if any("@" in host and not host.startswith(("/", "@")) for host in hosts):
        raise DatabaseUrlRefused(f"{name} has an @ too many; inside a password it is written %40.")
    for port in filter(None, parts.get("port", "").split(",")):
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise DatabaseUrlRefused(
                f"{name} has a port that is no number from 1 to 65535; : and / inside a password"
                " are written %3A and %2F."
            )
    return parts


def _check_parameters(url: str, name: str) -> None:
    known = {default.keyword.decode() for default in pq.Conninfo.get_defaults()}
    # JDBC's spelling, which libpq takes too.
    known.add("ssl")
    for parameter, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        if parameter not in known:
            raise DatabaseUrlRefused(f"{name} has a parameter that libpq does not know.")
