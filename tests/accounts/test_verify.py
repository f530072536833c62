"""The offline check: valid journals pass, and whatever is changed in one is named by its line."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.core.journal import (
    START,
    Chain,
    Header,
    JournalEntry,
    JournalTransfer,
    Tally,
    account_line,
    canonical,
    journal_lines,
    overdrawn,
)
from accounts.verify import main, read_footer, read_header

ROOT = Path(__file__).parents[2]
CASH = ["client_bank/0", "client_bank/0/3", "cash/1", "cash/2", "on_offer/1", "fees/0/2"]
CLAIMS = ["principal_owed/5", "interest_due/5", "claims_held/0"]
# Where the difference comes from when a draw would leave an account below nothing.
SOURCE = {"cash": "client_bank/0", "claims": "claims_held/0"}

Moves = list[JournalTransfer]
Check = Callable[..., tuple[int, str]]


def move(debit: str, credit: str, pence: int, book: str = "cash") -> JournalTransfer:
    return JournalTransfer(book, debit, credit, pence)


STORY = [
    [move("client_bank/0", "cash/1", 50_000), move("client_bank/0/3", "cash/2", 60_000)],
    [move("cash/1", "on_offer/1", 48_000)],
    [move("principal_owed/5", "claims_held/0", 100_000, "claims")],
    [move("on_offer/1", "cash/1", 8_000)],
]


def journal(moves: Iterable[Moves], chain: Chain | None = None, **opening: int) -> list[bytes]:
    """The lines of a journal of one entry for each list of transfers, after ``chain``."""
    end = chain or Chain()
    first, previous = end.number + 1, end.hash
    sealed = []
    for number, transfers in enumerate(moves, start=first):
        entry = JournalEntry(
            number, number + 100, "deposit", f"test/{number}", date(2016, 4, 1),
            datetime(2016, 4, 1, 9, tzinfo=UTC), "test", "test", None, transfers,
        )  # fmt: skip
        sealed.append((entry, end.add(number, canonical(entry))))
    return list(journal_lines(Header(first, end.number, previous, opening), sealed))


def two_files() -> tuple[list[bytes], list[bytes]]:
    chain = Chain()
    before = journal(STORY[:2], chain)
    return before, journal(STORY[2:], chain, **read_footer(before[-1]).closing)


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs the command over files of the given contents, named 1, 2, ...; status and output."""

    def _check(*contents: list[bytes] | bytes, options: Iterable[str] = ()) -> tuple[int, str]:
        names = []
        for place, content in enumerate(contents, start=1):
            path = tmp_path / str(place)
            path.write_bytes(content if isinstance(content, bytes) else b"".join(content))
            names.append(str(path))
        status = main([*names, *options])
        caught = capsys.readouterr()
        assert bool(caught.err) == (status == 1)
        return status, (caught.err or caught.out).replace(f"{tmp_path}{os.sep}", "")

    return _check


def changed(line: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    record = json.loads(line)
    change(record)
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_says_what_a_file_holds(check: Check) -> None:
    lines = journal(STORY)
    last = json.loads(lines[-1])["hash"]
    said = f"entries 1..4, 5 transfers, £1,660.00 cash, £1,000.00 claims, hash {last}\n"
    assert check(lines, options=["--expect", last.upper()]) == (0, f"1: ok: {said}")
    assert check(gzip.compress(b"".join(lines))) == (0, f"1: ok: {said}")


def test_files_join(check: Check) -> None:
    first, second = two_files()
    status, output = check(first, second)
    assert (status, output.count("ok: entries")) == (0, 2)
    status, output = check(second, options=["--previous", json.loads(first[-1])["hash"]])
    assert (status, "entries 3..4" in output) == (0, True)


def test_a_period_without_entries_joins(check: Check) -> None:
    chain = Chain()
    first = journal(STORY, chain)
    quiet = journal([], chain, **read_footer(first[-1]).closing)
    status, output = check(first, quiet, quiet)
    assert (status, output.count("ok: no entries")) == (0, 2)


def amount(record: dict[str, Any]) -> None:
    record["entry"]["transfers"][0][3] += 1


def balance(record: dict[str, Any]) -> None:
    record["opening"]["cash/1"] += 1


def balances(record: dict[str, Any]) -> None:
    record["opening"]["cash/1"] += 1
    record["opening"]["cash/2"] -= 1


def rehashed(place: int) -> list[bytes]:
    """The story with one entry altered and its own hash made right again, and no other."""
    altered = [list(transfers) for transfers in STORY]
    altered[place][0] = altered[place][0]._replace(pence=7)
    return [*journal(STORY)[: place + 1], journal(altered)[place + 1], *journal(STORY)[place + 2 :]]


GOOD = journal(STORY)
LATER = two_files()[1]
TAMPERED: dict[str, tuple[list[bytes], int, str]] = {
    "amount": ([*GOOD[:2], changed(GOOD[2], amount), *GOOD[3:]], 3, "hash of entry 2"),
    "deleted": ([*GOOD[:2], *GOOD[3:]], 3, "Entry 2 is expected here, not 3"),
    "last deleted": ([*GOOD[:4], GOOD[5]], 5, "Entry 4 is missing"),
    "swapped": ([*GOOD[:2], GOOD[3], GOOD[2], *GOOD[4:]], 3, "Entry 2 is expected here, not 3"),
    "inserted": ([*GOOD[:3], GOOD[2], *GOOD[3:]], 4, "Entry 3 is expected here, not 2"),
    "added": ([*GOOD[:5], GOOD[4], GOOD[5]], 6, "Another entry"),
    "one line rehashed": (rehashed(1), 4, "hash of entry 3"),
    "opening": ([changed(LATER[0], balance), *LATER[1:]], 1, "cancel out"),
    "openings": ([changed(LATER[0], balances), *LATER[1:]], 4, "closing balance of cash/1"),
    "closing": (
        [*GOOD[:5], changed(GOOD[5], lambda f: f["closing"].update({"cash/1": 1}))],
        6,
        "closing balance of cash/1",
    ),
    "total": ([*GOOD[:5], changed(GOOD[5], lambda f: f["pence"].update(cash=1))], 6, "totals"),
    "footer's hash": ([*GOOD[:5], changed(GOOD[5], lambda f: f.update(hash="0" * 64))], 6, "hash"),
    "format": ([GOOD[0].replace(b"journal/1", b"journal/2"), *GOOD[1:]], 1, "format"),
    "cut at a line": (GOOD[:4], 5, "cut off: it has no footer"),
    "cut within a line": ([*GOOD[:3], GOOD[3][:50]], 4, "cut off"),
    "empty": ([], 1, "cut off: it has no header"),
    "concatenated": ([*two_files()[0], *LATER], 5, "after the footer"),
    "spaces": ([*GOOD[:2], GOOD[2].replace(b":", b": ", 1), *GOOD[3:]], 3, "canonical"),
    "windows": ([line.replace(b"\n", b"\r\n") for line in GOOD], 1, "canonical"),
    "field more": ([*GOOD[:2], changed(GOOD[2], lambda r: r.update(x=1)), *GOOD[3:]], 3, "fields"),
    "float": ([*GOOD[:2], GOOD[2].replace(b"48000", b"48000.0"), *GOOD[3:]], 3, "whole number"),
    "NaN": ([*GOOD[:2], GOOD[2].replace(b"48000", b"NaN"), *GOOD[3:]], 3, "whole number"),
    "long number": ([GOOD[0].replace(b'"last":4', b'"last":' + b"4" * 5000)], 1, "64 bits"),
    "name twice": ([GOOD[0].replace(b'"last":4', b'"last":4,"last":4')], 1, "twice"),
    "not ASCII": ([GOOD[0].replace(b"t", "é".encode())], 1, "ASCII"),
    "deep": ([b"[" * 1_000_000 + b"\n"], 1, "nested"),
    "garbage": ([bytes(range(256)) * 9], 1, ""),
    "not an object": ([b"[]\n"], 1, "object"),
    "row of three": ([*GOOD[:2], changed(GOOD[2], lambda r: r["entry"]["transfers"][0].pop())], 3,
                     "A transfer is a list"),
    "bad day": ([*GOOD[:2], GOOD[2].replace(b"2016-04-01", b"2016-02-30", 1)], 3, "date"),
    "summer time": ([*GOOD[:2], GOOD[2].replace(b"000Z", b"000+01:00")], 3, "canonical"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_names_the_line_that_was_tampered_with(check: Check, what: str) -> None:
    lines, number, wrong = TAMPERED[what]
    status, said = check(lines)
    assert (status, said[: said.index(": ")]) == (1, f"1:{number}")
    assert wrong in said


def test_the_last_hash_finds_a_tail_that_was_hashed_again(check: Check) -> None:
    expected = json.loads(GOOD[-1])["hash"]
    altered = journal([*STORY[:3], [move("on_offer/1", "cash/2", 8_000)]])
    assert check(altered)[0] == 0
    status, said = check(altered, options=["--expect", expected])
    assert (status, said.startswith("1:6: The last hash is")) == (1, True)
    status, said = check(GOOD, options=["--previous", expected])
    assert (status, said.startswith("1:1: The journal doesn't begin")) == (1, True)


def test_files_that_do_not_join(check: Check) -> None:
    first, second = two_files()
    assert "2:1: The file doesn't join the one before: it begins with" in check(first, first)[1]
    for change, wrong in (
        (balances, "another balance of cash/1"),
        (lambda header: header.update(previous="1" * 64), "another hash"),
    ):
        status, said = check(first, [changed(second[0], change), *second[1:]])
        assert (status, said[:4], wrong in said) == (1, "2:1:", True)


def test_a_key_and_an_id_are_used_once(check: Check) -> None:
    for field, value in (("key", "test/1"), ("id", 101)):
        again = json.loads(GOOD[2])["entry"] | {field: value}
        again |= {"effective_on": date(2016, 4, 1), "transfers": STORY[1]}
        again["recorded_at"] = datetime(2016, 4, 1, 9, tzinfo=UTC)
        entry, chain = JournalEntry(**again), Chain(1, bytes.fromhex(json.loads(GOOD[1])["hash"]))
        hashed = chain.add(2, canonical(entry)).hex()
        line = b'{"entry":%b,"hash":"%b"}\n' % (canonical(entry), hashed.encode())
        status, said = check([*GOOD[:2], line])
        assert (status, said[:4], "was there before" in said) == (1, "1:3:", True)


def test_an_account_below_its_floor_at_the_end_is_noted(check: Check) -> None:
    """What covered it may have been sealed after the file's last entry."""
    status, said = check(journal([[move("cash/1", "fees/0", 1)]]))
    assert (status, said.splitlines()[1:]) == (0, ["1: note: cash/1 is below nothing at the end."])
    covered = journal([[move("cash/1", "fees/0", 1)], [move("fees/0", "cash/1", 1)]])
    assert "note" not in check(covered)[1]


def test_lines_have_an_end(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.verify.LONGEST_LINE", 300)
    status, said = check(GOOD)
    assert (status, said.startswith("1:2: The line has more than 300 bytes")) == (1, True)


def test_files_that_can_not_be_read(check: Check, tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(GOOD))
    for broken in (packed[:-20], packed[:-8] + b"12345678", packed + b"x", b"\x1f\x8b"):
        status, said = check(broken)
        assert (status, "can't be read" in said) == (1, True)
    for name in (tmp_path, tmp_path / "none"):
        assert check(options=[str(name)])[0] == 1


@pytest.mark.parametrize("arguments", [[], ["--expect", "12", "x"], ["--what"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


@st.composite
def stories(draw: st.DrawFn) -> list[Moves]:
    """Entries of random transfers, each topped up so that nobody is below nothing after it."""
    tally, story = Tally({}), []
    for _ in range(draw(st.integers(0, 5))):
        moves = []
        for book, accounts in (("cash", CASH), ("claims", CLAIMS)):
            for _ in range(draw(st.integers(0, 3))):
                debit, credit = draw(st.permutations(accounts))[:2]
                moves.append(move(debit, credit, draw(st.integers(1, 10**11)), book))
        tally.add(moves)
        nets = tally.footer(START).closing
        repairs = []
        for account in overdrawn(nets):
            book = account_line(account).book.name.lower()
            pair = (SOURCE[book], account) if nets[account] < 0 else (account, SOURCE[book])
            repairs.append(move(*pair, abs(nets[account]), book))
        tally.add(repairs)
        story.append(moves + repairs)
    return story


reuse = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@reuse
@given(stories(), st.integers(0, 5))
def test_whatever_is_written_verifies_in_one_file_or_two(
    check: Check, story: list[Moves], cut: int
) -> None:
    whole = journal(story)
    assert check(whole)[0] == 0
    chain = Chain()
    first = journal(story[:cut], chain)
    second = journal(story[cut:], chain, **read_footer(first[-1]).closing)
    assert check(first, second)[0] == 0
    assert read_footer(second[-1]).closing == read_footer(whole[-1]).closing


@reuse
@given(stories(), st.data())
def test_any_byte_changed_is_found(check: Check, story: list[Moves], data: st.DataObject) -> None:
    chain = Chain()
    first = journal(STORY, chain)
    lines = data.draw(st.sampled_from([journal(story), first, LATER]))
    good = b"".join(lines)
    place = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good[place]))
    status, said = check(good[:place] + bytes([byte]) + good[place + 1 :])
    assert status == 1
    # No line before the changed one is blamed.
    assert int(said.split(":")[1]) >= good[:place].count(b"\n") + 1


def isolated(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Python without site-packages and without what the environment adds."""
    return subprocess.run(
        [sys.executable, "-E", "-s", "-S", *arguments],
        cwd=ROOT, input=given, capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def test_runs_by_the_standard_library_alone() -> None:
    for library in ("django", "numpy"):
        assert b"ModuleNotFoundError" in isolated("-c", f"import {library}").stderr
    done = isolated("-m", "accounts.verify", "-", given=gzip.compress(b"".join(GOOD)))
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"-: ok: entries 1..4, 5 transfers" in done.stdout
    done = isolated("-m", "accounts.verify", "-", given=b"".join(TAMPERED["amount"][0]))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"-:3: The hash of entry 2")
    assert read_header(GOOD[0]).last == 4


def test_no_traceback_when_nobody_listens() -> None:
    command = f"{sys.executable} -m accounts.verify -"
    for output, status in ((">&-", 0), ("> /dev/full", 1), ("<&-", 1)):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{command} {output}"],  # the shell closes what Python can't
            cwd=ROOT, input=b"".join(GOOD), capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, b"Traceback" in done.stderr) == (status, False)
