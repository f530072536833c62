"""Checks an exported journal without a database, by the standard library alone.

    python -m accounts.verify FILE...

Says what each file holds, or names the first line that is wrong. Several files must join: give them
in order. A file may be compressed by gzip; ``-`` is the standard input. Exit status 0 when all
holds, 1 when something is wrong, 2 for wrong arguments.

A chain proves that nothing within it was changed since its last hash was known, so get that hash by
another way and give it as ``--expect``. Opening balances of a file that doesn't begin with entry 1
are no part of the chain: give the files before it too to have them checked.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import io
import json
import os
import re
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn, TextIO

from accounts.core.journal import (
    FORMAT,
    LONGEST_LINE,
    Chain,
    Footer,
    Header,
    JournalEntry,
    JournalMalformed,
    JournalTransfer,
    Tally,
    canonical,
    entry_line,
    footer_line,
    header_line,
    overdrawn,
    whole,
)

_HASH = re.compile(r"[0-9a-f]{64}")
_HEADER = {"first", "format", "last", "opening", "previous"}
_ENTRY = set(JournalEntry.__dataclass_fields__)
_FOOTER = {"closing", "entries", "hash", "pence", "transfers"}
_GZIP = b"\x1f\x8b"


def read_header(line: bytes) -> Header:
    """Read a file's first line.

    Raises:
        JournalMalformed: it isn't one, or not in canonical form.
    """
    record = _object(line)
    if record.get("format") != FORMAT:
        raise JournalMalformed(f"A journal begins with a header of the format {FORMAT}.")
    _exactly(record, _HEADER, "A header")
    header = Header(
        whole(record["first"], 1),
        whole(record["last"], 0),
        _bytes(record["previous"]),
        _mapping(record["opening"]),
    )
    _same(line, header_line(header))
    return header


def read_entry(line: bytes) -> tuple[JournalEntry, bytes, bytes]:
    """Read an entry's line: the entry, its canonical text, and the hash given.

    Raises:
        JournalMalformed: it isn't one, or not in canonical form.
    """
    record = _object(line)
    _exactly(record, {"entry", "hash"}, "An entry's line")
    fields, given = _mapping(record["entry"]), _bytes(record["hash"])
    _exactly(fields, _ENTRY, "An entry")
    try:
        fields["transfers"] = tuple(map(JournalTransfer._make, fields["transfers"]))
    except TypeError as error:
        raise JournalMalformed("A transfer is a list of book, debit, credit and pence.") from error
    try:
        fields["effective_on"] = date.fromisoformat(fields["effective_on"])
        # Should it have another zone, it isn't what is written below.
        instant = datetime.fromisoformat(fields["recorded_at"].removesuffix("Z"))
        fields["recorded_at"] = instant.replace(tzinfo=UTC)
    except (AttributeError, TypeError, ValueError) as error:
        raise JournalMalformed("An entry's date, or its instant in UTC, isn't one.") from error
    entry = JournalEntry(**fields)
    content = canonical(entry)
    _same(line, entry_line(content, given))
    return entry, content, given


def read_footer(line: bytes) -> Footer:
    """Read a file's last line.

    Raises:
        JournalMalformed: it isn't one, or not in canonical form.
    """
    record = _object(line)
    if "entry" in record:
        raise JournalMalformed("Another entry stands after the last one that the header names.")
    _exactly(record, _FOOTER, "A footer")
    footer = Footer(
        whole(record["entries"], 0),
        whole(record["transfers"], 0),
        _mapping(record["pence"]),
        _mapping(record["closing"]),
        _bytes(record["hash"]),
    )
    _same(line, footer_line(footer))
    return footer


@dataclass
class Verification:
    """What is known from file to file.

    Attributes:
        previous: the hash that the first file must begin with, if it is known otherwise.
        end: the chain's end after the last file, once there is one.
        closing: balances then, in pence, credits less debits.
        keys: SHA-256 of the entries' keys, cut to 16 bytes.
        ids: the entries' ids.
    """

    previous: bytes | None = None
    end: Chain | None = None
    closing: Mapping[str, int] = field(default_factory=dict)
    keys: set[bytes] = field(default_factory=set)
    ids: set[int] = field(default_factory=set)

    def file(self, lines: Iterator[bytes], expected: bytes | None) -> tuple[Header, Footer]:
        """Check one file, which must join the one before; returns its first and last line.

        Its last hash must be the one expected, if there is one.

        Raises:
            JournalMalformed: about the line taken last.
        """
        header = read_header(_next(lines, "header"))
        self._check_join(header)
        tally, chain = Tally(header.opening), Chain(header.first - 1, header.previous)
        while chain.number < header.last:
            self._entry(_next(lines, "footer"), chain, tally)
        footer = read_footer(_next(lines, "footer"))
        _check_footer(footer, tally, chain)
        if expected is not None and footer.hash != expected:
            raise JournalMalformed(f"The last hash is {footer.hash.hex()}, not the one expected.")
        if next(lines, b""):
            raise JournalMalformed("Something stands after the footer.")
        self.end, self.closing = chain, footer.closing
        return header, footer

    def _check_join(self, header: Header) -> None:
        if self.end is None:
            if self.previous is not None and header.previous != self.previous:
                raise JournalMalformed("The journal doesn't begin after the hash given.")
        elif header.first != self.end.number + 1:
            raise JournalMalformed(
                f"The file doesn't join the one before: it begins with entry {header.first},"
                f" not {self.end.number + 1}."
            )
        elif header.previous != self.end.hash:
            raise JournalMalformed("The file doesn't join the one before: another hash.")
        elif header.opening != self.closing:
            raise JournalMalformed(
                "The file doesn't join the one before: another balance of"
                f" {_differing(header.opening, self.closing)}."
            )

    def _entry(self, line: bytes, chain: Chain, tally: Tally) -> None:
        if line.startswith(b'{"closing"'):
            raise JournalMalformed(f"Entry {chain.number + 1} is missing: the footer stands here.")
        entry, content, given = read_entry(line)
        chain.follow(entry.number, content, given)
        key = sha256(entry.key.encode("utf-8", "surrogatepass")).digest()[:16]
        if key in self.keys or entry.id in self.ids:
            raise JournalMalformed(f"The key or the id of entry {entry.number} was there before.")
        self.keys.add(key)
        self.ids.add(entry.id)
        tally.add(entry.transfers)


def _next(lines: Iterator[bytes], what: str) -> bytes:
    line = next(lines, b"")
    if not line:
        raise JournalMalformed(f"The file is cut off: it has no {what}.")
    return line


def _check_footer(footer: Footer, tally: Tally, chain: Chain) -> None:
    """Refuse totals and balances that aren't those of the entries."""
    own = tally.footer(chain.hash)
    if footer.hash != own.hash:
        raise JournalMalformed("The footer's hash isn't that of the last entry.")
    if footer.closing != own.closing:
        raise JournalMalformed(
            "Opening balances and transfers don't make up the closing balance of"
            f" {_differing(footer.closing, own.closing)}."
        )
    if footer != own:
        raise JournalMalformed(
            f"The footer's totals are wrong: there are {own.entries} entries,"
            f" {own.transfers} transfers and {dict(own.pence)} pence."
        )


def _differing(given: Mapping[str, int], own: Mapping[str, int]) -> str:
    """The first account whose balance isn't the same in both."""
    return min(account for account, _ in given.items() ^ own.items())


def _refuse(found: str) -> NoReturn:
    raise JournalMalformed(f"{found[:20]} stands where only a whole number can.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no name comes twice: parsers don't agree which one counts."""
    record = dict(pairs)
    if len(record) != len(pairs):
        raise JournalMalformed("A name comes twice in one object.")
    return record


_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_once)


def _object(line: bytes) -> dict[str, Any]:
    """The object in a line, whatever is in it."""
    if not line.endswith(b"\n"):
        raise JournalMalformed("The line is cut off: it doesn't end with a newline.")
    try:
        return _mapping(_DECODER.decode(line.decode("ascii")))
    except UnicodeDecodeError as error:
        raise JournalMalformed("The line isn't ASCII text.") from error
    except json.JSONDecodeError as error:
        raise JournalMalformed(f"Not JSON at column {error.colno}: {error.msg}.") from error
    except ValueError as error:  # a number of thousands of digits
        raise JournalMalformed("A number is beyond 64 bits.") from error
    except RecursionError as error:
        raise JournalMalformed("The line is nested too deeply.") from error


def _exactly(record: Mapping[str, Any], names: set[str], what: str) -> None:
    if record.keys() != names:
        raise JournalMalformed(f"{what} has exactly the fields {', '.join(sorted(names))}.")


def _mapping(found: Any) -> dict[str, Any]:
    if type(found) is not dict:
        raise JournalMalformed("An object is missing.")
    return found


def _bytes(found: Any) -> bytes:
    if type(found) is not str or not _HASH.fullmatch(found):
        raise JournalMalformed("A hash is 64 hexadecimal digits in small letters.")
    return bytes.fromhex(found)


def _same(line: bytes, written: bytes) -> None:
    if line != written:
        raise JournalMalformed("The line isn't in canonical form.")


class _Lines(Iterator[bytes]):
    """A file's lines, with the number of the one asked for last, and progress on a terminal."""

    def __init__(self, name: str, stream: io.BufferedReader) -> None:
        packed = stream.peek(2)[:2] == _GZIP
        self._stream = gzip.GzipFile(fileobj=stream) if packed else stream
        self._name = name
        self._shown = time.monotonic()
        self.number = 0

    def __next__(self) -> bytes:
        self.number += 1
        if time.monotonic() - self._shown > 1 and sys.stderr and sys.stderr.isatty():
            self._shown = time.monotonic()
            sys.stderr.write(f"\r{self._name}: line {self.number:,}\r")
            sys.stderr.flush()
        line = self._stream.readline(LONGEST_LINE + 1)
        if len(line) > LONGEST_LINE:
            raise JournalMalformed(f"The line has more than {LONGEST_LINE:,} bytes.")
        if not line:
            raise StopIteration
        return line


def verify(names: Sequence[str], previous: bytes | None, expected: bytes | None) -> int:
    """Check files that join, and say what they hold; returns the exit status, 0 or 1.

    Args:
        names: paths, or ``-`` for the standard input.
        previous: the hash that must stand before the first file's entries, if it is known.
        expected: the hash of the last file's last entry, if it is known.
    """
    verification = Verification(previous)
    for place, name in enumerate(names, start=1):
        lines: _Lines | None = None
        try:
            with _opened(name) as stream:
                lines = _Lines(name, stream)
                last = expected if place == len(names) else None
                header, footer = verification.file(lines, last)
        except JournalMalformed as refusal:
            wrong = refusal.message
        except (OSError, EOFError, zlib.error) as error:
            wrong = f"The file can't be read: {getattr(error, 'strerror', None) or error}."
        except MemoryError:
            wrong = "There is not enough memory for this line."
        else:
            _say(sys.stdout, f"{name}: ok: {_summary(header, footer)}")
            # No fault of the file: what covered it may have been sealed after its last entry.
            for account in overdrawn(footer.closing):
                _say(sys.stdout, f"{name}: note: {account} is below nothing at the end.")
            continue
        where = f"{name}:{lines.number}" if lines else name
        _say(sys.stderr, f"{where}: {wrong}")
        return 1
    return 0


def _say(output: TextIO | None, text: str) -> None:
    if output is not None:  # as it is when it was closed before the start
        output.write(f"{text}\n")
        output.flush()


def _opened(name: str) -> io.BufferedReader:
    return open(0, "rb", closefd=False) if name == "-" else Path(name).open("rb")


def _summary(header: Header, footer: Footer) -> str:
    numbers = f"entries {header.first:,}..{header.last:,}" if footer.entries else "no entries"
    moved = ", ".join(
        f"£{pence // 100:,}.{pence % 100:02d} {book}"
        for book, pence in sorted(footer.pence.items())
    )
    return f"{numbers}, {footer.transfers:,} transfers, {moved}, hash {footer.hash.hex()}"


def _hash_argument(text: str) -> bytes:
    if not _HASH.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError("a hash is 64 hexadecimal digits")
    return bytes.fromhex(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m accounts.verify", description="Check an exported journal offline."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="in order; - is standard input")
    parser.add_argument(
        "--expect", type=_hash_argument, metavar="HASH", help="what the last hash must be"
    )
    parser.add_argument(
        "--previous", type=_hash_argument, metavar="HASH", help="the hash before the first entry"
    )
    options = parser.parse_args(arguments)
    return verify(options.files, options.previous, options.expect)


if __name__ == "__main__":
    gc.disable()  # what is read has no cycles, and looking for them takes a third of the time
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError:  # nobody reads what was said, or there is no room for it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains at its end
        sys.exit(1)
