"""Direct debits for the bank, as ISO 20022 pain.008.001.08: a batch for each sequence and day.

The same file gives the same bytes. Each direct debit is asked to be booked singly (``BtchBookg``
false), so that the statement names it by its end-to-end id; banks that book a batch as one line
name it by the batch's id, which is the file's and a number. A mandate's first direct debit is
``FRST``, the later ones ``RCUR``. Source: ISO 20022 message definition report "Payments
Initiation", pain.008.001.08; the creditor's id is a Bacs service user number, or the Identifier of
the Creditor of the European Payments Council (EPC262-08), each with its scheme's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import groupby
from xml.etree import ElementTree as ET

from stdnum.eu import at_02

from accounts.core.bank_details import LONGEST_HOLDER, BankDetails
from accounts.core.bank_text import bank_text
from accounts.core.errors import AccountsRefusal, AmountRefused
from accounts.core.money import CURRENCY, LARGEST_PENCE, Pence, text_from_pence

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.008.001.08"
LONGEST_ID = 35
LONGEST_REMITTANCE = 140
MOST_COLLECTIONS = 100_000
# A batch's id is the file's and "-1234".
LONGEST_MESSAGE_ID = 30
_CLEARING = "GBDSC"
_ID = re.compile(r"[A-Za-z0-9?:().,'+-](?:[A-Za-z0-9/?:().,'+ -]{0,33}[A-Za-z0-9?:().,'+-])?")
_SERVICE_USER = re.compile(r"\d{6}", re.ASCII)
_NOT_PROVIDED = "NOTPROVIDED"


class CollectionFileRefused(AccountsRefusal):
    """A file of direct debits that a bank would send back."""

    code = "COLLECTION_FILE_REFUSED"


class SequenceType(StrEnum):
    """Whether a direct debit is the first one of its mandate."""

    FIRST = "FRST"
    RECURRENT = "RCUR"


@dataclass(frozen=True, slots=True)
class DirectDebit:
    """One direct debit.

    Attributes:
        end_to_end_id: ours, unique for ever: the statement names it by this.
        amount: pence, above zero.
        debtor: who pays.
        mandate: reference of the mandate that allows it.
        signed_on: when the mandate was given.
        sequence: first of its mandate, or a later one.
        collect_on: the day on which the bank is to collect it.
        remittance: what the debtor reads.
    """

    end_to_end_id: str
    amount: Pence
    debtor: BankDetails
    mandate: str
    signed_on: date
    sequence: SequenceType
    collect_on: date
    remittance: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CollectionFile:
    """Direct debits to one account of ours.

    Attributes:
        message_id: unique for ever, up to 30 characters; batches are numbered behind it.
        created_at: an instant with a time zone; written in UTC to the second.
        creditor: our account.
        creditor_id: a Bacs service user number (six digits) or a SEPA creditor identifier.
        debits: at least one.
    """

    message_id: str
    created_at: datetime
    creditor: BankDetails
    creditor_id: str
    debits: tuple[DirectDebit, ...]

    @property
    def total(self) -> Pence:
        """Pence of all direct debits: the control sum."""
        return sum(debit.amount for debit in self.debits)

    @property
    def batches(self) -> tuple[Batch, ...]:
        """The direct debits by day and sequence, in this order, each batch's as they were given."""
        ordered = sorted(self.debits, key=_batch_key)
        return tuple(
            Batch(f"{self.message_id}-{number}", day, SequenceType(sequence), tuple(debits))
            for number, ((day, sequence), debits) in enumerate(groupby(ordered, _batch_key), 1)
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Direct debits of one day and sequence; ``batch_id`` is how a statement may name them all."""

    batch_id: str
    collect_on: date
    sequence: SequenceType
    debits: tuple[DirectDebit, ...]


def _batch_key(debit: DirectDebit) -> tuple[date, str]:
    return debit.collect_on, debit.sequence.value


def write_collection_file(file: CollectionFile) -> bytes:
    """Write a file as pain.008.001.08 in UTF-8.

    Raises:
        CollectionFileRefused: no direct debits, too many, an id that is unfit or there twice, a
            time without zone, no creditor id, our account without a sort code, a mandate that was
            given after the day of collection.
        BankTextRefused: a name or remittance that banks can't carry.
        AmountRefused: an amount that isn't above zero, or a total beyond the largest handled.
    """
    scheme = _check(file)
    root = ET.Element("Document", {"xmlns": NAMESPACE})
    message = _add(root, "CstmrDrctDbtInitn")
    holder = bank_text(file.creditor.holder, longest=LONGEST_HOLDER, field="creditor")
    header = _add(message, "GrpHdr")
    _add(header, "MsgId", file.message_id)
    _add(header, "CreDtTm", f"{file.created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    _totals(header, file.debits)
    _add(_add(header, "InitgPty"), "Nm", holder)
    for batch in file.batches:
        _batch(_add(message, "PmtInf"), batch, file, holder, scheme)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written


def _check(file: CollectionFile) -> str:
    """Refuse what a bank would; returns the name of the creditor id's scheme."""
    if not 0 < len(file.debits) <= MOST_COLLECTIONS:
        raise CollectionFileRefused(
            f"A file has 1 to {MOST_COLLECTIONS} direct debits.", field="debits"
        )
    if file.created_at.tzinfo is None:
        raise CollectionFileRefused("The time of creation needs a time zone.", field="created_at")
    if file.creditor.sort_code is None:
        raise CollectionFileRefused("Our account needs a sort code.", field="creditor")
    scheme = scheme_of(file.creditor_id)
    _check_id(file.message_id, "message_id", LONGEST_MESSAGE_ID)
    for debit in file.debits:
        _check_id(debit.end_to_end_id, "end_to_end_id")
        _check_id(debit.mandate, "mandate")
        if debit.amount <= 0:
            raise AmountRefused(
                "A direct debit is a whole number of pence above zero.", field="amount"
            )
        if debit.signed_on > debit.collect_on:
            raise CollectionFileRefused(
                "A mandate allows what is collected after it was given.", field="signed_on"
            )
    if file.total > LARGEST_PENCE:
        raise AmountRefused("The total is beyond the largest handled.", field="amount")
    if len({debit.end_to_end_id for debit in file.debits}) != len(file.debits):
        raise CollectionFileRefused(
            "Two direct debits have one end-to-end id.", field="end_to_end_id"
        )
    return scheme


def scheme_of(creditor_id: str) -> str:
    """The scheme that a creditor's id is of: ``BACS`` or ``SEPA``.

    Raises:
        CollectionFileRefused: neither a service user number nor a creditor identifier.
    """
    if _SERVICE_USER.fullmatch(creditor_id):
        return "BACS"
    if at_02.is_valid(creditor_id):
        return "SEPA"
    raise CollectionFileRefused(
        "A creditor id is a Bacs service user number of six digits, or a SEPA creditor identifier.",
        field="creditor_id",
    )


def _check_id(text: str, name: str, longest: int = LONGEST_ID) -> None:
    if (
        len(text) > longest
        or not _ID.fullmatch(text)
        or "//" in text
        or text.upper() == _NOT_PROVIDED
    ):
        raise CollectionFileRefused(
            f"An id has 1 to {longest} characters that banks carry, without a space or slash at "
            "an end or two slashes together.",
            field=name,
        )


def _batch(
    parent: ET.Element, batch: Batch, file: CollectionFile, holder: str, scheme: str
) -> None:
    _add(parent, "PmtInfId", batch.batch_id)
    _add(parent, "PmtMtd", "DD")
    _add(parent, "BtchBookg", "false")
    _totals(parent, batch.debits)
    _add(_add(parent, "PmtTpInf"), "SeqTp", batch.sequence.value)
    _add(parent, "ReqdColltnDt", batch.collect_on.isoformat())
    _add(_add(parent, "Cdtr"), "Nm", holder)
    _account(_add(parent, "CdtrAcct"), file.creditor)
    _agent(_add(parent, "CdtrAgt"), file.creditor)
    private = _add(_add(_add(parent, "CdtrSchmeId"), "Id"), "PrvtId")
    other = _add(private, "Othr")
    _add(other, "Id", file.creditor_id)
    _add(_add(other, "SchmeNm"), "Prtry", scheme)
    for debit in batch.debits:
        _debit(_add(parent, "DrctDbtTxInf"), debit)


def _debit(parent: ET.Element, debit: DirectDebit) -> None:
    _add(_add(parent, "PmtId"), "EndToEndId", debit.end_to_end_id)
    amount = _add(parent, "InstdAmt", text_from_pence(debit.amount))
    amount.set("Ccy", CURRENCY)
    mandate = _add(_add(parent, "DrctDbtTx"), "MndtRltdInf")
    _add(mandate, "MndtId", debit.mandate)
    _add(mandate, "DtOfSgntr", debit.signed_on.isoformat())
    _agent(_add(parent, "DbtrAgt"), debit.debtor)
    debtor = bank_text(debit.debtor.holder, longest=LONGEST_HOLDER, field="debtor")
    _add(_add(parent, "Dbtr"), "Nm", debtor)
    _account(_add(parent, "DbtrAcct"), debit.debtor)
    remittance = bank_text(debit.remittance, longest=LONGEST_REMITTANCE, field="remittance")
    _add(_add(parent, "RmtInf"), "Ustrd", remittance)


def _add(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    child = ET.SubElement(parent, name)
    child.text = text
    return child


def _totals(parent: ET.Element, debits: Iterable[DirectDebit]) -> None:
    amounts = [debit.amount for debit in debits]
    _add(parent, "NbOfTxs", str(len(amounts)))
    _add(parent, "CtrlSum", text_from_pence(sum(amounts)))


def _account(parent: ET.Element, details: BankDetails) -> None:
    identification = _add(parent, "Id")
    if details.iban is not None:
        _add(identification, "IBAN", details.iban)
    else:
        _add(_add(identification, "Othr"), "Id", details.account_number)


def _agent(parent: ET.Element, details: BankDetails) -> None:
    """A bank, by its sort code; the message wants one even where an IBAN says it."""
    institution = _add(parent, "FinInstnId")
    if details.sort_code is None:
        _add(_add(institution, "Othr"), "Id", _NOT_PROVIDED)
        return
    member = _add(institution, "ClrSysMmbId")
    _add(_add(member, "ClrSysId"), "Cd", _CLEARING)
    _add(member, "MmbId", details.sort_code)
