"""The journal's text and chain: worked by hand, and equal to what ``json`` would write."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core.chart import CHART
from accounts.core.journal import (
    START,
    Chain,
    Footer,
    Header,
    JournalEntry,
    JournalMalformed,
    JournalTransfer,
    Tally,
    account_line,
    account_name,
    canonical,
    chain,
    entry_line,
    footer_line,
    header_line,
    journal_lines,
    overdrawn,
)

DEPOSIT = JournalEntry(
    number=1,
    id=12,
    kind="deposit",
    key="deposit/7",
    effective_on=date(2016, 4, 1),
    recorded_at=datetime(2016, 4, 1, 9, 30, tzinfo=UTC),
    actor="member:7",
    reference="member:7",
    reverses=None,
    transfers=(JournalTransfer("cash", "client_bank/0/3", "cash/7", 50_000),),
)
PLACED = replace(
    DEPOSIT,
    number=2,
    id=15,
    kind="offer_placed",
    key="place/é",
    reference="offer:3",
    transfers=(JournalTransfer("cash", "cash/7", "on_offer/7", 48_000),),
)

# Written out, not made: this is the format.
DEPOSIT_TEXT = (
    b'{"actor":"member:7","effective_on":"2016-04-01","id":12,"key":"deposit/7","kind":"deposit",'
    b'"number":1,"recorded_at":"2016-04-01T09:30:00.000000Z","reference":"member:7",'
    b'"reverses":null,"transfers":[["cash","client_bank/0/3","cash/7",50000]]}'
)
PLACED_TEXT = (
    b'{"actor":"member:7","effective_on":"2016-04-01","id":15,"key":"place/\\u00e9",'
    b'"kind":"offer_placed","number":2,"recorded_at":"2016-04-01T09:30:00.000000Z",'
    b'"reference":"offer:3","reverses":null,"transfers":[["cash","cash/7","on_offer/7",48000]]}'
)


def test_two_entries_by_hand() -> None:
    first = hashlib.sha256(b"\0" * 32 + DEPOSIT_TEXT)
    second = hashlib.sha256(first.digest() + PLACED_TEXT)

    lines = list(
        journal_lines(
            Header(1, 2, START, {}), [(DEPOSIT, first.digest()), (PLACED, second.digest())]
        )
    )

    zeros, h1, h2 = b"0" * 64, first.hexdigest().encode(), second.hexdigest().encode()
    assert lines == [
        b'{"first":1,"format":"tenner-journal/1","last":2,"opening":{},"previous":"%b"}\n' % zeros,
        b'{"entry":%b,"hash":"%b"}\n' % (DEPOSIT_TEXT, h1),
        b'{"entry":%b,"hash":"%b"}\n' % (PLACED_TEXT, h2),
        b'{"closing":{"cash/7":2000,"client_bank/0/3":-50000,"on_offer/7":48000},"entries":2,'
        b'"hash":"%b","pence":{"cash":98000,"claims":0},"transfers":2}\n' % h2,
    ]


def plain(entry: JournalEntry) -> dict[str, Any]:
    """The entry as ``json`` takes it, field by field."""
    fields = {name: getattr(entry, name) for name in JournalEntry.__dataclass_fields__}
    fields["effective_on"] = entry.effective_on.isoformat()
    fields["recorded_at"] = entry.recorded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields["transfers"] = [list(transfer) for transfer in entry.transfers]
    return fields


ids = st.integers(1, 2**63 - 1)
texts = st.text(min_size=1, max_size=20)


@st.composite
def accounts(draw: st.DrawFn) -> str:
    line = draw(st.sampled_from(CHART))
    owner = 0 if line.owner == "platform" else draw(ids)
    return account_name(line.kind, owner, draw(st.integers(0, line.stripes - 1)))


transfers = st.builds(
    JournalTransfer, st.sampled_from(["cash", "claims"]), accounts(), accounts(), ids
)
entries = st.builds(
    JournalEntry,
    number=ids,
    id=ids,
    kind=texts,
    key=texts,
    effective_on=st.dates(),
    # strftime doesn't pad years of three digits.
    recorded_at=st.datetimes(datetime(1000, 1, 2), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    actor=st.text(max_size=20),
    reference=st.text(max_size=20),
    reverses=st.none(),
    transfers=st.lists(transfers, max_size=5),
)


@given(entries)
def test_the_text_is_what_json_would_write(entry: JournalEntry) -> None:
    text = json.dumps(plain(entry), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert canonical(entry) == text.encode()


def test_an_instant_is_written_in_utc() -> None:
    summer = datetime(2016, 4, 1, 10, 30, tzinfo=timezone(timedelta(hours=1)))
    assert canonical(replace(DEPOSIT, recorded_at=summer)) == DEPOSIT_TEXT


def test_every_field_is_hashed() -> None:
    others = [
        replace(DEPOSIT, number=2),
        replace(DEPOSIT, id=13),
        replace(DEPOSIT, kind="other"),
        replace(DEPOSIT, key="deposit/8"),
        replace(DEPOSIT, effective_on=date(2016, 4, 2)),
        replace(DEPOSIT, recorded_at=DEPOSIT.recorded_at + timedelta(microseconds=1)),
        replace(DEPOSIT, actor="member:8"),
        replace(DEPOSIT, reference="member:8"),
        replace(DEPOSIT, reverses=3),
        replace(DEPOSIT, transfers=()),
    ]
    hashes = {chain(START, canonical(entry)) for entry in [DEPOSIT, *others]}
    assert len(hashes) == len(others) + 1
    assert chain(b"\1" * 32, DEPOSIT_TEXT) != chain(START, DEPOSIT_TEXT)


def with_transfer(**fields: Any) -> dict[str, Any]:
    return {"transfers": [DEPOSIT.transfers[0]._replace(**fields)]}


@pytest.mark.parametrize(
    "fields",
    [
        {"number": 0},
        {"number": True},
        {"id": 2**63},
        {"id": 1.0},
        {"reverses": 12},
        {"reverses": 0},
        {"kind": ""},
        {"key": ""},
        {"key": None},
        {"actor": 7},
        {"recorded_at": datetime(2016, 4, 1)},  # noqa: DTZ001 - refused for that
        {"effective_on": datetime(2016, 4, 1, tzinfo=UTC)},
        with_transfer(pence=0),
        with_transfer(pence=-1),
        with_transfer(pence=1.5),
        with_transfer(pence=True),
        with_transfer(pence=2**63),
        with_transfer(book="gold"),
        with_transfer(book=["cash"]),
        with_transfer(debit=7),
        with_transfer(credit='cash/7"'),
    ],
)
def test_refuses_what_the_format_has_no_room_for(fields: dict[str, Any]) -> None:
    with pytest.raises(JournalMalformed) as refusal:
        canonical(replace(DEPOSIT, **fields))
    assert refusal.value.code == "JOURNAL_MALFORMED"


@pytest.mark.parametrize(
    "name",
    [
        *("", "cash", "cash/", "cash/0", "cash/07", "cash/-7", "cash/7/0", "cash/7/1", "gold/7"),
        *("fees/7", "fees/0/0", "fees/0/99999", "fees/0/1/2", "cash/7\n", "cash/７", "Cash/7"),
        "cash/9223372036854775808",
    ],
)
def test_refuses_names_that_no_account_has(name: str) -> None:
    with pytest.raises(JournalMalformed):
        account_line(name)


def test_names_accounts_in_one_way() -> None:
    assert account_name("cash", 7) == "cash/7"
    assert account_name("fees", 0, 7) == "fees/0/7"
    assert account_line("fees/0/7").kind == "fees"


def test_a_chain_takes_the_next_number_only() -> None:
    end = Chain()
    assert end.add(1, DEPOSIT_TEXT) == chain(START, DEPOSIT_TEXT) == end.hash
    for number in (1, 3):
        with pytest.raises(JournalMalformed, match="Entry 2 is expected"):
            end.add(number, PLACED_TEXT)
    with pytest.raises(JournalMalformed, match="hash of entry 2"):
        end.follow(2, PLACED_TEXT, START)


def test_a_tally_refuses_what_is_not_a_transfer_of_its_book() -> None:
    tally = Tally({"cash/7": 5, "fees/0": -5})
    with pytest.raises(JournalMalformed, match="pay itself"):
        tally.add([JournalTransfer("cash", "cash/7", "cash/7", 1)])
    with pytest.raises(JournalMalformed, match="of the claims book"):
        tally.add([JournalTransfer("claims", "claims_held/0", "cash/7", 1)])
    with pytest.raises(JournalMalformed, match="cancel out"):
        Tally({"cash/7": 5, "claims_held/0": -5})


def test_a_tally_knows_who_is_below_the_floor() -> None:
    tally = Tally({"cash/7": 5, "client_bank/0": -5, "principal_owed/2": -9, "claims_held/0": 9})
    assert overdrawn(tally.footer(START).closing) == []  # the bank's account isn't floored
    tally.add(
        [
            JournalTransfer("cash", "cash/7", "fees/0", 6),
            JournalTransfer("claims", "claims_held/0", "principal_owed/2", 10),
        ]
    )
    assert overdrawn(tally.footer(START).closing) == ["cash/7", "principal_owed/2"]


def test_an_export_refuses_what_was_not_sealed() -> None:
    sealed = chain(START, DEPOSIT_TEXT)
    altered = replace(DEPOSIT, transfers=[DEPOSIT.transfers[0]._replace(pence=50_001)])
    with pytest.raises(JournalMalformed, match="hash of entry 1"):
        list(journal_lines(Header(1, 1, START, {}), [(altered, sealed)]))
    with pytest.raises(JournalMalformed, match="ends with entry 1, not 2"):
        list(journal_lines(Header(1, 2, START, {}), [(DEPOSIT, sealed)]))


def test_refuses_headers_and_footers_that_can_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for header in (
        Header(3, 1, START, {}),
        Header(1, 1, b"\1" * 32, {}),
        Header(1, 1, START, {"cash/7": 1, "fees/0": -1}),
        Header(2, 2, b"short", {}),
        Header(2, 2, START, {"cash/7": 0}),
    ):
        with pytest.raises(JournalMalformed):
            header_line(header)
    with pytest.raises(JournalMalformed):
        footer_line(Footer(0, 0, {"cash": 0}, {}, START))
    monkeypatch.setattr("accounts.core.journal.LONGEST_LINE", 100)
    with pytest.raises(JournalMalformed, match="at most 100 bytes"):
        entry_line(DEPOSIT_TEXT, START)
