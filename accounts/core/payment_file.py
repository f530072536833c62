"""Payment orders to the bank, as ISO 20022 pain.001.001.09: withdrawals, and money sent back.

The same file gives the same bytes. Each payment is booked singly (``BtchBookg`` false), so that the
statement names it by its end-to-end id. UK accounts are addressed by sort code (clearing system
``GBDSC``) and account number. Source: ISO 20022 message definition report "Payments Initiation",
pain.001.001.09; UK usage of clearing codes: ISO 20022 External Code Sets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from xml.etree import ElementTree as ET

from stdnum import bic as bic_numbers

from accounts.core.bank_details import LONGEST_HOLDER, BankDetails
from accounts.core.bank_text import bank_text
from accounts.core.errors import AccountsRefusal, AmountRefused
from accounts.core.money import CURRENCY, LARGEST_PENCE, Pence, text_from_pence

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
LONGEST_ID = 35
LONGEST_REMITTANCE = 140
MOST_ORDERS = 100_000
_CLEARING = "GBDSC"
_ID = re.compile(r"[A-Za-z0-9?:().,'+-](?:[A-Za-z0-9/?:().,'+ -]{0,33}[A-Za-z0-9?:().,'+-])?")
_NOT_PROVIDED = "NOTPROVIDED"


class PaymentFileRefused(AccountsRefusal):
    """A payment file that a bank would send back."""

    code = "PAYMENT_FILE_REFUSED"


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """One payment out.

    Attributes:
        end_to_end_id: ours, unique for ever: the statement confirms or returns it by this.
        amount: pence, above zero.
        creditor: who is paid.
        remittance: what the creditor reads; Faster Payments carries its first 18 characters.
    """

    end_to_end_id: str
    amount: Pence
    creditor: BankDetails
    remittance: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PaymentFile:
    """Orders from one account of ours, for one day.

    Attributes:
        message_id: unique for ever; also the id of its one batch.
        created_at: an instant with a time zone; written in UTC to the second.
        debtor: our account.
        requested_on: the day on which the bank is to pay.
        orders: at least one.
        debtor_bic: our bank's BIC; needed where the account has no sort code.
    """

    message_id: str
    created_at: datetime
    debtor: BankDetails
    requested_on: date
    orders: tuple[PaymentOrder, ...]
    debtor_bic: str = ""

    @property
    def total(self) -> Pence:
        """Pence of all orders: the control sum."""
        return sum(order.amount for order in self.orders)


def write_payment_file(file: PaymentFile) -> bytes:
    """Write a file as pain.001.001.09 in UTF-8.

    Raises:
        PaymentFileRefused: no orders, too many, an id that is unfit or there twice, a time without
            zone, an agent that can't be named.
        BankTextRefused: a name or remittance that banks can't carry.
        AmountRefused: an amount that isn't above zero, or a total beyond the largest handled.
    """
    _check(file)
    root = ET.Element("Document", {"xmlns": NAMESPACE})
    message = _add(root, "CstmrCdtTrfInitn")
    holder = bank_text(file.debtor.holder, longest=LONGEST_HOLDER, field="debtor")
    header = _add(message, "GrpHdr")
    _add(header, "MsgId", file.message_id)
    _add(header, "CreDtTm", f"{file.created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    _totals(header, file)
    _add(_add(header, "InitgPty"), "Nm", holder)
    batch = _add(message, "PmtInf")
    _add(batch, "PmtInfId", file.message_id)
    _add(batch, "PmtMtd", "TRF")
    _add(batch, "BtchBookg", "false")
    _totals(batch, file)
    _add(_add(batch, "ReqdExctnDt"), "Dt", file.requested_on.isoformat())
    _add(_add(batch, "Dbtr"), "Nm", holder)
    _account(_add(batch, "DbtrAcct"), file.debtor)
    _agent(_add(batch, "DbtrAgt"), file.debtor, file.debtor_bic)
    for order in file.orders:
        _order(_add(batch, "CdtTrfTxInf"), order)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written


def _check(file: PaymentFile) -> None:
    if not 0 < len(file.orders) <= MOST_ORDERS:
        raise PaymentFileRefused(f"A file has 1 to {MOST_ORDERS} orders.", field="orders")
    if file.created_at.tzinfo is None:
        raise PaymentFileRefused("The time of creation needs a time zone.", field="created_at")
    if file.debtor_bic and not bic_numbers.is_valid(file.debtor_bic):
        raise PaymentFileRefused("This isn't a BIC.", field="debtor_bic")
    if not file.debtor_bic and file.debtor.sort_code is None:
        raise PaymentFileRefused(
            "An account without a sort code needs its bank's BIC.", field="debtor_bic"
        )
    _check_id(file.message_id, "message_id")
    for order in file.orders:
        _check_id(order.end_to_end_id, "end_to_end_id")
        if order.amount <= 0:
            raise AmountRefused("A payment is a whole number of pence above zero.", field="amount")
    if file.total > LARGEST_PENCE:
        raise AmountRefused("The payments' total is beyond the largest handled.", field="amount")
    _check_once([order.end_to_end_id for order in file.orders])


def _check_id(text: str, name: str) -> None:
    if not _ID.fullmatch(text) or "//" in text or text == _NOT_PROVIDED:
        raise PaymentFileRefused(
            f"An id has 1 to {LONGEST_ID} characters that banks carry, without a space or slash at "
            "an end or two slashes together.",
            field=name,
        )


def _check_once(ids: Sequence[str]) -> None:
    if len(set(ids)) != len(ids):
        raise PaymentFileRefused("Two orders have one end-to-end id.", field="end_to_end_id")


def _add(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    child = ET.SubElement(parent, name)
    child.text = text
    return child


def _totals(parent: ET.Element, file: PaymentFile) -> None:
    _add(parent, "NbOfTxs", str(len(file.orders)))
    _add(parent, "CtrlSum", text_from_pence(file.total))


def _account(parent: ET.Element, details: BankDetails) -> None:
    identification = _add(parent, "Id")
    if details.iban is not None:
        _add(identification, "IBAN", details.iban)
    else:
        _add(_add(identification, "Othr"), "Id", details.account_number)


def _agent(parent: ET.Element, details: BankDetails, bic: str = "") -> None:
    institution = _add(parent, "FinInstnId")
    if bic:
        _add(institution, "BICFI", bic_numbers.compact(bic))
    if details.sort_code is not None:
        member = _add(institution, "ClrSysMmbId")
        _add(_add(member, "ClrSysId"), "Cd", _CLEARING)
        _add(member, "MmbId", details.sort_code)


def _order(parent: ET.Element, order: PaymentOrder) -> None:
    _add(_add(parent, "PmtId"), "EndToEndId", order.end_to_end_id)
    amount = _add(_add(parent, "Amt"), "InstdAmt", text_from_pence(order.amount))
    amount.set("Ccy", CURRENCY)
    if order.creditor.sort_code is not None:
        _agent(_add(parent, "CdtrAgt"), order.creditor)
    creditor = bank_text(order.creditor.holder, longest=LONGEST_HOLDER, field="creditor")
    _add(_add(parent, "Cdtr"), "Nm", creditor)
    _account(_add(parent, "CdtrAcct"), order.creditor)
    remittance = bank_text(order.remittance, longest=LONGEST_REMITTANCE, field="remittance")
    _add(_add(parent, "RmtInf"), "Ustrd", remittance)
