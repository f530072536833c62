"""Files that are built to harm, or are broken: refused by type, quickly, and never half read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core import safe_xml
from accounts.core.bank_csv import read_bank_csv
from accounts.core.bank_statement import (
    LARGEST_FILE_BYTES,
    BankFileHostile,
    BankFileMalformed,
    BankFileTooLarge,
    BankFileUnsupported,
)
from accounts.core.camt053 import read_camt053
from accounts.core.errors import AccountsRefusal
from tests.bank_files import camt053, money_in, statement

GOOD = camt053(statement(money_in("A", 1_050, "rent"), opening=200), prefix="n")
HEAD = '<?xml version="1.0" encoding="{}"?>'
LAUGHS = (
    "<!DOCTYPE d [<!ENTITY a 'ha'>"
    + "".join(
        f"<!ENTITY {name} '{f'&{before};' * 10}'>"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><d>&i;</d>"
)
EXTERNAL = "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><d>&x;</d>"
PARAMETER = "<!DOCTYPE d [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]><d/>"
BARE = "<!DOCTYPE d SYSTEM 'http://localhost/d.dtd'><d/>"


@pytest.mark.parametrize("body", [LAUGHS, EXTERNAL, PARAMETER, BARE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_refuses_a_document_type_in_any_encoding(body: str, encoding: str) -> None:
    with pytest.raises(BankFileHostile) as refusal:
        read_camt053((HEAD.format(encoding) + body).encode(encoding))
    assert refusal.value.code == "BANK_FILE_HOSTILE"


def test_refuses_a_document_type_before_a_good_statement() -> None:
    with pytest.raises(BankFileHostile):
        read_camt053(GOOD.replace(b"?>", b"?><!DOCTYPE Document>", 1))


def test_refuses_what_is_too_large() -> None:
    for read in (read_camt053, lambda data: read_bank_csv(data, account="1")):
        with pytest.raises(BankFileTooLarge):
            read(b" " * (LARGEST_FILE_BYTES + 1))


def _with(extra: bytes) -> bytes:
    return GOOD.replace(b"<n:NtryDtls>", extra + b"<n:NtryDtls>")


def test_refuses_endless_nesting_texts_and_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BankFileHostile, match="deep"):
        read_camt053(_with(b"<n:a>" * 200 + b"</n:a>" * 200))
    with pytest.raises(BankFileHostile, match="ways"):
        read_camt053(_with(b"".join(b"<n:a%d/>" % number for number in range(10_000))))
    with pytest.raises(BankFileHostile, match="longer tag"):
        read_camt053(_with(b"<!--" + b"-x" * 2_000_000 + b"-->"))
    with pytest.raises(BankFileHostile, match="longer tag"):
        read_camt053(_with(b'<n:a b="' + b"x" * 4_000_000 + b'"/>'))
    monkeypatch.setattr(safe_xml, "MOST_PARTS", 1_000)
    with pytest.raises(BankFileHostile, match="parts"):
        read_camt053(GOOD.replace(b"<n:Bal>", b"<n:Bal/>" * 1_001 + b"<n:Bal>", 1))
    with pytest.raises(BankFileHostile, match="parts"):
        read_camt053(_with(b"<n:a>x</n:a>" * 1_001))


def test_a_million_empty_elements_change_nothing() -> None:
    assert read_camt053(_with(b"<n:a/>" * 1_000_000)) == read_camt053(GOOD)


def test_elements_of_other_namespaces_are_not_read() -> None:
    assert read_camt053(_with(b'<Amt xmlns="urn:x" Ccy="EUR">1</Amt>')) == read_camt053(GOOD)


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"not XML", b"\x00" * 50, b"PK\x03\x04", b"\xff\xfe<", GOOD + b"<more/>"],
)
def test_refuses_what_is_not_xml(data: bytes) -> None:
    with pytest.raises(BankFileMalformed):
        read_camt053(data)


def test_refuses_every_cut() -> None:
    for length in range(0, len(GOOD.rstrip()), 7):
        with pytest.raises(BankFileMalformed):
            read_camt053(GOOD[:length])


@pytest.mark.parametrize("encoding", ["utf-7", "no-such", "cp037", "shift_jis", "rot13", "hex"])
def test_refuses_encodings_that_could_hide_markup(encoding: str) -> None:
    with pytest.raises(BankFileUnsupported):
        read_camt053(GOOD.replace(b"UTF-8", encoding.encode()))


def _read_both(data: bytes) -> None:
    for read in (read_camt053, lambda data: read_bank_csv(data, account="20000055779911")):
        with contextlib.suppress(AccountsRefusal):
            read(data)


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_by_type(data: bytes) -> None:
    _read_both(data)


CSV = (
    b"date,description,reference,amount,balance\n2016-04-01,In,R,1.50,1.50\n2016-04-02,O,,-1,0.5\n"
)


@given(
    st.sampled_from([GOOD, camt053(statement(money_in("A", 5)), version="02"), CSV]),
    st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 3), st.binary(max_size=6))),
)
def test_changed_files_are_read_or_refused_by_type(
    data: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for place, length, new in changes:
        at = place % len(data) if data else 0
        data = data[:at] + new + data[at + length :]
    _read_both(data)
