"""Bank statements in ISO 20022 camt.053.001.02 and camt.053.001.08.

Only booked entries become lines: what is pending or for information is left out, and the balances
prove that nothing else was. A batch that lists its transactions becomes one line for each, whose
amounts must make the entry's; a batch that doesn't stays one line. ``CdtDbtInd`` is the direction
of the entry itself, so a reversal keeps its sign; but in a reversal and in a returned payment the
parties keep the roles of the original payment. Source: ISO 20022 message definition reports
"Bank-to-Customer Cash Management"; names of paths are theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from accounts.core.bank_statement import (
    BankFileMalformed,
    BankFileUnsupported,
    BankLine,
    BankStatement,
    account_from_text,
    pence_moved,
    with_unique_references,
)
from accounts.core.collecting import BATCH_ID
from accounts.core.errors import AmountRefused
from accounts.core.money import CURRENCY, Pence, pence_from_text
from accounts.core.safe_xml import Record, read_records

_SCHEMA = "urn:iso:std:iso:20022:tech:xsd:"
_VERSIONS = ("camt.053.001.02", "camt.053.001.08")
_OTHERS = {
    "camt.052": "an intraday report",
    "camt.054": "a debit and credit notification",
    "pain.001": "a payment order",
    "pain.002": "a payment status report",
}
_STATEMENT = "Document/BkToCstmrStmt/Stmt"
_ENTRY = f"{_STATEMENT}/Ntry"
_BALANCE = f"{_STATEMENT}/Bal"
_TRANSACTION = f"{_ENTRY}/NtryDtls/TxDtls"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?:$|[TZ+-])", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_SORT_CODE = re.compile(r"\d{6}", re.ASCII)
_ACCOUNT_NUMBER = re.compile(r"\d{8}", re.ASCII)
# totalDigits 18, and room for a sign, a point and zeros: what is longer isn't repeated to anybody.
_LONGEST_AMOUNT = 30
_SIGNS = {"CRDT": 1, "DBIT": -1}
_TRUE = ("true", "1")
_NOT_PROVIDED = "NOTPROVIDED"


def read_camt053(data: bytes) -> tuple[BankStatement, ...]:
    """Read every statement of a file.

    Raises:
        BankFileTooLarge, BankFileHostile, BankFileMalformed: see :mod:`accounts.core.safe_xml`;
            also what the message definition demands and isn't there.
        BankFileUnsupported: another message, version or currency.
        BankStatementUnbalanced: balances and lines don't agree.
        AmountRefused: an amount that isn't pounds and pence above zero.
    """
    statements: list[BankStatement] = []
    lines: list[BankLine] = []
    entries = 0
    for record in read_records(
        data,
        at={_STATEMENT, _ENTRY, _BALANCE, _TRANSACTION},
        streamed={_STATEMENT, _ENTRY},
        check_root=_check_root,
    ):
        if record.path == _STATEMENT:
            statements.append(_statement(record, lines))
            lines, entries = [], 0
        else:
            entries += 1
            lines.extend(_lines(record, f"Entry {entries}"))
    if not statements:
        raise BankFileMalformed("There is no statement in the file.")
    return tuple(statements)


def _check_root(namespace: str, name: str) -> None:
    """Refuse any message that isn't read here, saying what it is instead."""
    message = namespace.removeprefix(_SCHEMA)
    wanted = f"Ask the bank for statements as {' or '.join(_VERSIONS)}."
    if name != "Document" or not namespace.startswith(_SCHEMA):
        raise BankFileUnsupported(f"The file is XML, but not an ISO 20022 message. {wanted}")
    if message not in _VERSIONS:
        what = _OTHERS.get(message[:8], "another message or version")
        raise BankFileUnsupported(f"This is {message[:40]}, {what}. {wanted}")


class _Fields:
    """The texts of a record, and what they mean."""

    __slots__ = ("again", "texts")

    def __init__(self, record: Record) -> None:
        self.texts = record.texts
        self.again = record.again

    def first(self, *paths: str) -> str:
        """The first text at the first of ``paths`` that has one; else empty."""
        for path in paths:
            text = self.texts.get(path)
            if text is not None:
                return text
        return ""

    def every(self, path: str) -> list[str]:
        """All texts of a path, in order."""
        return [self.texts[path], *self.again.get(path, ())] if path in self.texts else []

    def needed(self, path: str, what: str) -> str:
        """As :meth:`first`, refused where there is none."""
        text = self.texts.get(path)
        if text is None:
            raise BankFileMalformed(f"{what}: {path} is missing.", field=path)
        return text

    def day(self, path: str, what: str) -> date | None:
        """A date, or the date of an instant as the bank prints it; ``None`` where there is none."""
        text = self.first(f"{path}/Dt", f"{path}/DtTm")
        if not text:
            return None
        day = _day(text)
        if day is None:
            raise BankFileMalformed(f"{what}: {path} isn't a date.", field=path)
        return day

    def sign(self, what: str) -> int:
        """+1 for a credit, -1 for a debit."""
        sign = _SIGNS.get(self.needed("CdtDbtInd", what))
        if sign is None:
            raise BankFileMalformed(f"{what}: CdtDbtInd is CRDT or DBIT.", field="CdtDbtInd")
        return sign

    def sterling(self, path: str, what: str) -> str:
        """An amount's text, refused in another currency."""
        text = self.needed(path, what)
        if self.texts.get(f"{path}@Ccy") != CURRENCY:
            raise BankFileUnsupported(f"{what}: only amounts in {CURRENCY} are read.", field=path)
        if len(text) > _LONGEST_AMOUNT:
            raise AmountRefused(f"{what}: that isn't an amount.", field=path)
        return text

    def account(self, path: str, agent: str) -> str:
        """IBAN, or sort code (the agent's, where the number has none) and account number."""
        number = account_from_text(self.first(f"{path}/Id/IBAN", f"{path}/Id/Othr/Id"))
        sort_code = account_from_text(self.first(f"{agent}/FinInstnId/ClrSysMmbId/MmbId"))
        if _ACCOUNT_NUMBER.fullmatch(number) and _SORT_CODE.fullmatch(sort_code):
            return sort_code + number
        return number


_NOTHING = _Fields(Record(""))


@lru_cache(maxsize=1024)
def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if _DAY.match(text) else None
    except ValueError:
        return None


def _statement(record: Record, lines: list[BankLine]) -> BankStatement:
    head = _Fields(record)
    name = f"Statement {head.needed('Id', 'A statement')[:40]}"
    if head.first("Acct/Ccy") not in ("", CURRENCY):
        raise BankFileUnsupported(f"{name}: only accounts in {CURRENCY} are read.")
    balances = _balances(record.inner, name)
    opening = balances.get("OPBD") or balances.get("PRCD")
    closing = balances.get("CLBD")
    if opening is None or closing is None:
        raise BankFileMalformed(
            f"{name}: an opening (OPBD or PRCD) and a closing booked balance (CLBD) are needed; "
            "ask the bank for the whole statement instead of pages.",
            field="Bal",
        )
    sequence = head.first("ElctrncSeqNb", "LglSeqNb")
    if sequence and not _NUMBER.fullmatch(sequence):
        raise BankFileMalformed(f"{name}: its number isn't one.", field="ElctrncSeqNb")
    return BankStatement(
        statement_id=head.first("Id"),
        account=head.account("Acct", "Acct/Svcr"),
        sequence=int(sequence) if sequence else None,
        opening=opening[0],
        opened_on=opening[1],
        closing=closing[0],
        closed_on=closing[1],
        created=head.first("CreDtTm"),
        lines=with_unique_references(lines),
    ).checked()


def _balances(listed: list[Record], name: str) -> dict[str, tuple[Pence, date]]:
    """Booked balances by code: signed pence and their date. Others are not read."""
    balances: dict[str, tuple[Pence, date]] = {}
    for balance in listed:
        fields = _Fields(balance)
        code = fields.first("Tp/CdOrPrtry/Cd")
        if code not in ("OPBD", "PRCD", "CLBD"):
            continue
        what = f"{name}, balance {code}"
        pence = pence_from_text(fields.sterling("Amt", what), field="Bal/Amt")
        if pence < 0:
            raise AmountRefused(f"{what}: CdtDbtInd gives the sign, not the amount.", field="Amt")
        on = fields.day("Dt", what)
        if on is None:
            raise BankFileMalformed(f"{what}: its date is missing.", field="Bal/Dt")
        signed = (pence * fields.sign(what), on)
        if balances.setdefault(code, signed) != signed:
            raise BankFileMalformed(f"{what}: it is there twice, and differs.", field="Bal")
    return balances


def _lines(record: Record, what: str) -> Iterator[BankLine]:
    """The lines that an entry becomes: none, one, or one for each transaction of a batch."""
    entry = _Fields(record)
    status = entry.first("Sts/Cd", "Sts/Prtry", "Sts")
    if not status:
        raise BankFileMalformed(f"{what}: its status is missing.", field="Sts")
    if status != "BOOK":
        return
    amount = pence_moved(entry.sterling("Amt", what), what=what) * entry.sign(what)
    details = [_Fields(transaction) for transaction in record.inner]
    announced = [int(n) for n in entry.every("NtryDtls/Btch/NbOfTxs") if _NUMBER.fullmatch(n)]
    if details and announced and sum(announced) != len(details):
        raise BankFileMalformed(
            f"{what}: a batch of {sum(announced)} lists {len(details)} transactions.",
            field="NtryDtls/Btch/NbOfTxs",
        )
    amounts = [_transaction_amount(entry, detail, what, len(details)) for detail in details]
    if amounts and sum(own if own is not None else amount for own in amounts) != amount:
        raise BankFileMalformed(
            f"{what}: the amounts of its transactions don't make the entry's.", field="TxDtls"
        )
    if len(details) <= 1:
        yield _line(entry, details[0] if details else _NOTHING, amount, what, alone=True)
        return
    for detail, own in zip(details, amounts, strict=True):
        yield _line(entry, detail, own or 0, what, alone=False)


def _transaction_amount(entry: _Fields, detail: _Fields, what: str, of: int) -> Pence | None:
    """Signed pence of one transaction; ``None`` where an only one gives no amount in sterling."""
    path = "Amt" if detail.first("Amt") else "AmtDtls/TxAmt/Amt"
    if of == 1 and detail.first(f"{path}@Ccy") != CURRENCY:
        return None
    pence = pence_moved(detail.sterling(path, what), what=what)
    return pence * (detail if detail.first("CdtDbtInd") else entry).sign(what)


def _line(entry: _Fields, detail: _Fields, amount: Pence, what: str, *, alone: bool) -> BankLine:
    booked_on = entry.day("BookgDt", what)
    if booked_on is None:
        raise BankFileMalformed(f"{what}: its booking date is missing.", field="BookgDt")
    returned = any(path.startswith("RtrInf/") for path in detail.texts)
    reversal = entry.first("RvslInd") in _TRUE
    party, agent = (
        ("Dbtr", "DbtrAgt") if (amount > 0) != (reversal or returned) else ("Cdtr", "CdtrAgt")
    )
    # What names the entry names a line only where the entry is one line.
    own = entry if alone else _NOTHING
    end_to_end_id = detail.first("Refs/EndToEndId")
    return BankLine(
        reference=(
            detail.first("Refs/AcctSvcrRef")
            or own.first("AcctSvcrRef", "NtryRef")
            or detail.first("Refs/TxId")
            or end_to_end_id.replace(_NOT_PROVIDED, "")
        ),
        booked_on=booked_on,
        amount=amount,
        value_on=entry.day("ValDt", what),
        reversal=reversal,
        counterparty=_single_spaced(
            detail.first(f"RltdPties/{party}/Pty/Nm", f"RltdPties/{party}/Nm")
        ),
        counterparty_account=detail.account(f"RltdPties/{party}Acct", f"RltdAgts/{agent}"),
        remittance=_remittance(own, detail),
        end_to_end_id=_our_batch(own, detail)
        if end_to_end_id in ("", _NOT_PROVIDED)
        else end_to_end_id,
        return_reason=detail.first("RtrInf/Rsn/Cd", "RtrInf/Rsn/Prtry") if returned else None,
        transaction_code=_transaction_code(detail) or _transaction_code(entry),
    )


def _our_batch(own: _Fields, detail: _Fields) -> str | None:
    """The id of a batch of ours that is booked in one sum; a bank's own batches are none."""
    for fields, path in ((own, "NtryDtls/Btch"), (detail, "Refs")):
        for name in ("PmtInfId", "MsgId"):
            text = fields.first(f"{path}/{name}")
            if BATCH_ID.fullmatch(text):
                return text
    return None


def _remittance(own: _Fields, detail: _Fields) -> str:
    """What the payer wrote; where nothing came through, what the bank wrote."""
    texts = [
        text
        for path in ("RmtInf/Ustrd", "RmtInf/Strd/CdtrRefInf/Ref", "RmtInf/Strd/AddtlRmtInf")
        for text in detail.every(path)
    ]
    return _single_spaced(
        " ".join(texts) or detail.first("AddtlTxInf") or own.first("AddtlNtryInf")
    )


def _single_spaced(text: str) -> str:
    return " ".join(text.split())


def _transaction_code(fields: _Fields) -> str:
    """The bank's transaction code: domain, family and sub-family, or its own."""
    domain = "BkTxCd/Domn"
    codes = (
        fields.first(f"{domain}/Cd"),
        fields.first(f"{domain}/Fmly/Cd"),
        fields.first(f"{domain}/Fmly/SubFmlyCd"),
    )
    return "-".join(code for code in codes if code) or fields.first("BkTxCd/Prtry/Cd")
