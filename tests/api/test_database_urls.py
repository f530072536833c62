"""Database urls: what they mean to Django, and what is refused without telling the password."""

from __future__ import annotations

import pytest

from api.database.urls import DatabaseUrlRefused, DatabaseUrls, database_urls, django_database

APPLICATION = "postgresql://app:hidden@db.example:5433/tenner"
OWNER = "postgresql://owner:hidden@db.example:5433/tenner"


def test_both_urls_are_passed_on_as_they_are() -> None:
    urls = database_urls({"DATABASE_URL": APPLICATION, "DATABASE_OWNER_URL": OWNER})
    assert urls == DatabaseUrls(application=APPLICATION, owner=OWNER)


@pytest.mark.parametrize("environ", [{}, {"DATABASE_OWNER_URL": ""}])
def test_the_application_is_the_owner_unless_told_otherwise(environ: dict[str, str]) -> None:
    assert database_urls({"DATABASE_URL": APPLICATION} | environ).owner == APPLICATION


def test_an_owner_without_an_application_is_refused() -> None:
    with pytest.raises(DatabaseUrlRefused, match="DATABASE_URL is not"):
        database_urls({"DATABASE_OWNER_URL": OWNER})


def test_urls_are_not_printed_with_their_passwords() -> None:
    assert "hidden" not in repr(database_urls({"DATABASE_URL": APPLICATION}))


def test_django_gets_every_part() -> None:
    assert django_database(APPLICATION) == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "tenner",
        "USER": "app",
        "PASSWORD": "hidden",
        "HOST": "db.example",
        "PORT": "5433",
        "OPTIONS": {},
    }


def test_what_is_left_out_is_left_to_libpq() -> None:
    settings = django_database("postgres:///tenner")
    assert [settings[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")] == [
        "tenner",
        "",
        "",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://a%40b:p%2Fw%3A%25@h/d%20b", ("a@b", "p/w:%", "h", "", "d b")),
        ("postgresql://u@/d?host=/run/pg&port=5433", ("u", "", "/run/pg", "5433", "d")),
        ("postgresql://u@/d?host=/a%20b/c%40d", ("u", "", "/a b/c@d", "", "d")),
        ("postgresql://u@%2Frun%2Fpg/d", ("u", "", "/run/pg", "", "d")),
        ("postgresql://u@[2001:db8::1]:6000/d", ("u", "", "2001:db8::1", "6000", "d")),
        ("postgresql://u@one:1,two:2/d", ("u", "", "one,two", "1,2", "d")),
        ("postgresql://h/d?user=u&password=p", ("u", "p", "h", "", "d")),
    ],
)
def test_spellings_of_libpq(url: str, expected: tuple[str, ...]) -> None:
    settings = django_database(url)
    parts = tuple(settings[key] for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME"))
    assert parts == expected


def test_parameters_become_options() -> None:
    url = f"{APPLICATION}?sslmode=verify-full&sslrootcert=%2Fca%20s.pem&connect_timeout=5"
    assert django_database(url)["OPTIONS"] == {
        "sslmode": "verify-full",
        "sslrootcert": "/ca s.pem",
        "connect_timeout": "5",
    }


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("hidden", "must begin"),
        ("mysql://u:hidden@h/d", "must begin"),
        ("host=h password=hidden dbname=d", "must begin"),
        ("postgresql://u:hidden@h", "names no database"),
        ("postgresql://u:hidden@h/", "names no database"),
        ("postgresql://u:hidden@h:notaport/d", "port"),
        ("postgresql://u:hidden@h:0/d", "port"),
        ("postgresql://u:hidden@h:65536/d", "port"),
        ("postgresql://u:hid/den@h/d", "%2F"),
        ("postgresql://u:hid@den@h/d", "%40"),
        ("postgresql://u:hid?den@h/d", "parameter"),
        ("postgresql://u:hidden%zz@h/d", "percent-encoded"),
        ("postgresql://u:hidden@[::1/d", "cannot be read"),
        ("postgresql://u:hidden@h/d?sslmod=require", "parameter"),
        ("postgresql://u:hidden@h/d?sslmode", "cannot be read"),
    ],
)
def test_malformed_urls_are_refused_in_a_sentence_without_the_password(url: str, why: str) -> None:
    with pytest.raises(DatabaseUrlRefused, match=why) as refused:
        database_urls({"DATABASE_URL": url})
    said = str(refused.value)
    assert said.startswith("DATABASE_URL ")
    assert said.endswith(".")
    assert not any(secret in said for secret in ("hid", "den"))
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_the_message_names_the_variable() -> None:
    with pytest.raises(DatabaseUrlRefused, match=r"^DATABASE_OWNER_URL "):
        database_urls({"DATABASE_URL": APPLICATION, "DATABASE_OWNER_URL": "nonsense"})
