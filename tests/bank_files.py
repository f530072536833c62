"""Bank files as a bank would write them, for whoever tests what reads them.

``statement`` makes one whose balances fit its lines; ``camt053`` writes statements. What
``tests.bank_files.camt053`` writes, ``accounts.core.camt053`` reads back equal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import date
from xml.sax.saxutils import escape

from accounts.core.bank_statement import BankLine, BankStatement
from accounts.core.money import text_from_pence

OUR_ACCOUNT = "20000055779911"
DAY = date(2016, 4, 1)


def money_in(
    reference: str, amount: int, remittance: str = "", *, payer: str = "Ann Payer", on: date = DAY
) -> BankLine:
    """A payment that arrived; ``amount`` in pence."""
    return BankLine(
        reference=reference,
        booked_on=on,
        value_on=on,
        amount=amount,
        counterparty=payer,
        counterparty_account="40478470872490",
        remittance=remittance,
        transaction_code="PMNT-RCDT-ESCT",
    )


def withdrawal_paid(reference: str, amount: int, end_to_end_id: str, *, on: date = DAY) -> BankLine:
    """A payment order of ours that the bank has carried out; ``amount`` in pence, above zero."""
    return BankLine(
        reference=reference,
        booked_on=on,
        value_on=on,
        amount=-amount,
        counterparty="Ann Payer",
        counterparty_account="40478470872490",
        end_to_end_id=end_to_end_id,
        transaction_code="PMNT-ICDT-ESCT",
    )


def withdrawal_returned(
    reference: str, amount: int, end_to_end_id: str, *, reason: str = "AC04", on: date = DAY
) -> BankLine:
    """A payment order of ours whose money came back; ``amount`` in pence, above zero."""
    return BankLine(
        reference=reference,
        booked_on=on,
        value_on=on,
        amount=amount,
        counterparty="Ann Payer",
        counterparty_account="40478470872490",
        end_to_end_id=end_to_end_id,
        return_reason=reason,
        transaction_code="PMNT-ICDT-RRTN",
    )


def statement(
    *lines: BankLine,
    opening: int = 0,
    sequence: int | None = 1,
    on: date = DAY,
    account: str = OUR_ACCOUNT,
    statement_id: str | None = None,
) -> BankStatement:
    """A statement whose closing balance is what its lines make; amounts in pence."""
    return BankStatement(
        statement_id=statement_id or f"STMT-{on.isoformat()}-{sequence or 0}",
        account=account,
        sequence=sequence,
        opening=opening,
        opened_on=on,
        closing=opening + sum(line.amount for line in lines),
        closed_on=on,
        created=f"{on.isoformat()}T22:15:00",
        lines=lines,
    )


def camt053(
    *statements: BankStatement, version: str = "08", prefix: str = "", batched: bool = False
) -> bytes:
    """Write statements as camt.053.001.02 or .08.

    Args:
        statements: any number.
        version: ``"02"`` or ``"08"``.
        prefix: of the namespace, ``""`` for the default namespace.
        batched: one entry for all lines of a statement, with a transaction for each; in version 02
            its lines have one sign, since its transactions have none of their own.
    """
    body = "".join(_statement(each, version, batched=batched) for each in statements)
    namespace = f"urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"
    header = _tag("GrpHdr", _tag("MsgId", "MSG1") + _tag("CreDtTm", "2016-04-01T22:15:00"))
    text = _tag("Document", _tag("BkToCstmrStmt", header + body))
    if prefix:
        text = text.replace("</", "\0").replace("<", f"<{prefix}:").replace("\0", f"</{prefix}:")
    name, binding = (f"{prefix}:Document", f"xmlns:{prefix}") if prefix else ("Document", "xmlns")
    text = text.replace(f"<{name}>", f'<{name} {binding}="{namespace}">', 1)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _tag(name: str, content: str, attributes: str = "") -> str:
    return f"<{name}{attributes}>{content}</{name}>" if content else ""


def _text(name: str, text: str | None) -> str:
    return _tag(name, escape(text or ""))


def _amount(pence: int) -> str:
    return _tag("Amt", text_from_pence(abs(pence)), ' Ccy="GBP"')


def _sign(pence: int) -> str:
    return _tag("CdtDbtInd", "CRDT" if pence >= 0 else "DBIT")


def _balance(code: str, pence: int, on: date) -> str:
    kind = _tag("Tp", _tag("CdOrPrtry", _tag("Cd", code)))
    day = _tag("Dt", _tag("Dt", on.isoformat()))
    return _tag("Bal", kind + _amount(pence) + _sign(pence) + day)


def _account(identification: str) -> str:
    if identification[:2].isalpha():
        return _tag("Id", _tag("IBAN", identification))
    number = identification[-8:] if len(identification) == 14 else identification
    return _tag("Id", _tag("Othr", _text("Id", number)))


def _agent(identification: str) -> str:
    if identification[:2].isalpha() or len(identification) != 14:
        return ""
    member = _tag("ClrSysId", _tag("Cd", "GBDSC")) + _tag("MmbId", identification[:6])
    return _tag("FinInstnId", _tag("ClrSysMmbId", member))


def _statement(statement: BankStatement, version: str, *, batched: bool) -> str:
    sequence = "" if statement.sequence is None else str(statement.sequence)
    account = _account(statement.account) + _tag("Svcr", _agent(statement.account))
    entries = (
        [_entry(statement.lines, version)]
        if batched
        else [_entry([line], version) for line in statement.lines]
    )
    return _tag(
        "Stmt",
        _text("Id", statement.statement_id)
        + _tag("ElctrncSeqNb", sequence)
        + _text("CreDtTm", statement.created)
        + _tag("Acct", account)
        + _balance("OPBD", statement.opening, statement.opened_on)
        + _balance("CLBD", statement.closing, statement.closed_on)
        + "".join(entries),
    )


def _entry(lines: Sequence[BankLine], version: str) -> str:
    total = sum(line.amount for line in lines)
    first = lines[0]
    alone = len(lines) == 1
    status = _tag("Sts", "BOOK" if version == "02" else _tag("Cd", "BOOK"))
    batch = "" if alone else _tag("Btch", _tag("NbOfTxs", str(len(lines))))
    details = "".join(_transaction(line, version, alone=alone) for line in lines)
    return _tag(
        "Ntry",
        _amount(total)
        + _sign(total)
        + _tag("RvslInd", "true" if first.reversal else "")
        + status
        + _tag("BookgDt", _tag("Dt", first.booked_on.isoformat()))
        + _tag("ValDt", _tag("Dt", first.value_on.isoformat() if first.value_on else ""))
        + (_text("AcctSvcrRef", first.reference) if alone else "")
        + _transaction_code(first.transaction_code)
        + _tag("NtryDtls", batch + details),
    )


def _transaction_code(code: str) -> str:
    domain, _, rest = code.partition("-")
    family, _, sub_family = rest.partition("-")
    if not sub_family:
        return _tag("BkTxCd", _tag("Prtry", _text("Cd", code or "NONE")))
    names = _tag("Cd", family) + _tag("SubFmlyCd", sub_family)
    return _tag("BkTxCd", _tag("Domn", _tag("Cd", domain) + _tag("Fmly", names)))


def _transaction(line: BankLine, version: str, *, alone: bool) -> str:
    reversed_roles = line.reversal or line.return_reason is not None
    side = "Dbtr" if (line.amount > 0) != reversed_roles else "Cdtr"
    references = ("" if alone else _text("AcctSvcrRef", line.reference)) + _text(
        "EndToEndId", line.end_to_end_id
    )
    name = _text("Nm", line.counterparty)
    party = _tag(side, name if version == "02" else _tag("Pty", name))
    account = _tag(f"{side}Acct", _account(line.counterparty_account))
    amount = _amount(line.amount)
    if version == "02":
        amount = _tag("AmtDtls", _tag("TxAmt", amount))
    else:
        amount += _sign(line.amount)
    texts = "".join(_text("Ustrd", text) for text in textwrap.wrap(line.remittance, 140))
    reason = line.return_reason
    returned = _tag("RtrInf", _tag("Rsn", _text("Cd", reason)) or _text("AddtlInf", "returned"))
    return _tag(
        "TxDtls",
        _tag("Refs", references)
        + amount
        + ("" if alone else _transaction_code(line.transaction_code))
        + _tag("RltdPties", party + (account if line.counterparty_account else ""))
        + _tag("RltdAgts", _tag(f"{side}Agt", _agent(line.counterparty_account)))
        + _tag("RmtInf", texts)
        + ("" if reason is None else returned),
    )
