"""XML from strangers: read in pieces by expat, and never more of it than its texts.

The parser stops at a document type, so that no entity is ever declared: no external file, no
entity bomb, whatever the encoding. No tree is built. What is kept is the texts of the records that
were asked for, by their paths; so empty elements, however many, take no memory, and depth, parts
a record, the length of one tag and bytes are limited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from accounts.core.bank_statement import (
    LARGEST_FILE_BYTES,
    BankFileHostile,
    BankFileMalformed,
    BankFileTooLarge,
    BankFileUnsupported,
)

DEEPEST = 100
# Texts and inner records of one record, such as the transactions of a batch.
MOST_PARTS = 100_000
MOST_PATHS = 10_000
_PIECE = 1 << 18
_LONGEST_TAG = 2 * _PIECE
_SEPARATOR = " "
_UNKNOWN_ENCODING = expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING]


@dataclass(slots=True)
class Record:
    """Texts below one element, by their paths from it, white space at their ends cut off.

    Attributes:
        path: of the element, from the root: ``Document/BkToCstmrStmt/Stmt``.
        texts: the first text of each path; of an attribute ``Ccy`` at ``path@Ccy``.
        again: the second and later texts of a path.
        inner: records inside this one; their texts are theirs alone.
        count: of what it holds.
    """

    path: str
    texts: dict[str, str] = field(default_factory=dict)
    again: dict[str, list[str]] = field(default_factory=dict)
    inner: list[Record] = field(default_factory=list)
    count: int = 0


@dataclass(slots=True)
class _Place:
    """A path that the document has: made once, so that an element costs a look-up.

    Attributes:
        path: from the root; relative: from the record around it; depth: 0 is above the root.
        is_record: whether an element here becomes a record.
        inner: the places below it by tag, as expat gives tags.
    """

    path: str
    relative: str
    depth: int
    is_record: bool
    inner: dict[str, _Place] = field(default_factory=dict)


class _Collector:
    """What expat calls; ``done`` holds the streamed records that are complete."""

    def __init__(
        self, at: Collection[str], streamed: Collection[str], check_root: Callable[[str, str], None]
    ) -> None:
        self.done: list[Record] = []
        self._at = at
        self._streamed = streamed
        self._check_root = check_root
        self._namespace = ""
        self._places_left = MOST_PATHS
        self._place = _Place("", "", 0, is_record=True)
        self._outer: list[_Place] = []
        self._records: list[Record] = [Record("")]
        self._texts: list[str] = []
        self.data = self._texts.append

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        outer = self._place
        self._outer.append(outer)
        place = outer.inner.get(tag)
        if place is None:
            place = self._new_place(outer, tag)
        self._place = place
        self._texts.clear()
        if place.is_record:
            self._records.append(Record(place.path))
        elif "Ccy" in attributes:
            self._records[-1].texts.setdefault(f"{place.relative}@Ccy", attributes["Ccy"])

    def end(self, _tag: str) -> None:
        place = self._place
        self._place = self._outer.pop()
        if self._texts:
            text = "".join(self._texts).strip()
            self._texts.clear()
            if text:
                self._keep(self._records[-1], place.relative, text)
        if place.is_record:
            record = self._records.pop()
            if place.path in self._streamed:
                self.done.append(record)
            else:
                self._count(self._records[-1])
                self._records[-1].inner.append(record)

    def refuse_doctype(self, *_: object) -> None:
        raise BankFileHostile("The file declares a document type, which a bank's file never does.")

    def _new_place(self, outer: _Place, tag: str) -> _Place:
        namespace, _, name = tag.rpartition(_SEPARATOR)
        if not outer.depth:
            self._check_root(namespace, name)
            self._namespace = namespace
        self._places_left -= 1
        if outer.depth >= DEEPEST or not self._places_left:
            raise BankFileHostile(
                f"The file nests its elements more than {DEEPEST} deep, or in more than "
                f"{MOST_PATHS} ways."
            )
        # An element of another namespace gets a path that nobody asks for.
        name = name if namespace == self._namespace else f"!{name}"
        path = f"{outer.path}/{name}" if outer.depth else name
        relative = name if outer.is_record else f"{outer.relative}/{name}"
        place = _Place(path, relative, outer.depth + 1, is_record=path in self._at)
        outer.inner[tag] = place
        return place

    def _keep(self, record: Record, path: str, text: str) -> None:
        self._count(record)
        if path in record.texts:
            record.again.setdefault(path, []).append(text)
        else:
            record.texts[path] = text

    def _count(self, record: Record) -> None:
        record.count += 1
        if record.count > MOST_PARTS:
            raise BankFileHostile("The file has more parts in one entry than a bank writes.")


def read_records(
    data: bytes,
    *,
    at: Collection[str],
    streamed: Collection[str],
    check_root: Callable[[str, str], None],
) -> Iterator[Record]:
    """Records of a document, each as soon as it is complete.

    Args:
        data: the file's bytes: UTF-8, UTF-16, or an 8-bit encoding that the file declares.
        at: paths of the elements that become records, in the root's namespace.
        streamed: those of ``at`` that are handed out; others go into the record around them.
        check_root: gets namespace and name of the root; refuses by raising.

    Raises:
        BankFileTooLarge, BankFileHostile: see the module.
        BankFileMalformed: not XML, or broken, or cut off.
        BankFileUnsupported: an encoding that isn't known.
        Whatever ``check_root`` raises.
    """
    if len(data) > LARGEST_FILE_BYTES:
        raise BankFileTooLarge(
            f"The file has {len(data):,} bytes; up to {LARGEST_FILE_BYTES:,} are read. "
            "Ask the bank for a statement a day."
        )
    collector = _Collector(at, streamed, check_root)
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.data
    parser.StartDoctypeDeclHandler = collector.refuse_doctype
    for start in range(0, len(data) + 1, _PIECE):
        _parse(parser, data[start : start + _PIECE], last=start + _PIECE > len(data))
        if start + _PIECE - parser.CurrentByteIndex > _LONGEST_TAG:
            raise BankFileHostile("The file has a longer tag or comment than a bank writes.")
        yield from collector.done
        collector.done.clear()


def _parse(parser: expat.XMLParserType, piece: bytes, *, last: bool) -> None:
    try:
        parser.Parse(piece, last)
    except expat.ExpatError as error:
        if error.code == _UNKNOWN_ENCODING:
            raise BankFileUnsupported(
                "The file's encoding isn't read: save it as UTF-8."
            ) from error
        raise BankFileMalformed(
            f"The file isn't well-formed XML, or was cut off: see line {error.lineno}."
        ) from error
    except (LookupError, ValueError) as error:
        # From Python's codecs, for an encoding that expat leaves to them.
        raise BankFileUnsupported("The file's encoding isn't read: save it as UTF-8.") from error
