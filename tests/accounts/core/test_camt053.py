"""camt.053 in both versions: what a bank writes, read to the penny or refused with a reason."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core.bank_statement import (
    BankFileMalformed,
    BankFileUnsupported,
    BankLine,
    BankStatement,
    BankStatementUnbalanced,
)
from accounts.core.camt053 import read_camt053
from accounts.core.errors import AccountsRefusal, AmountRefused
from tests.bank_files import (
    DAY,
    camt053,
    money_in,
    statement,
    withdrawal_paid,
    withdrawal_returned,
)

BOTH = pytest.mark.parametrize("version", ["02", "08"])

# As a bank prints it: 1,000.00 + 250.00 - 75.50 = 1,174.50; the third entry is pending.
PRINTED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02">
 <BkToCstmrStmt>
  <GrpHdr><MsgId>M1</MsgId><CreDtTm>2016-04-01T22:15:00</CreDtTm></GrpHdr>
  <Stmt>
   <Id>2016-066</Id><LglSeqNb>66</LglSeqNb><CreDtTm>2016-04-01T22:15:00</CreDtTm>
   <Acct><Id><IBAN>GB82 WEST 1234 5698 7654 32</IBAN></Id><Ccy>GBP</Ccy></Acct>
   <Bal><Tp><CdOrPrtry><Cd>PRCD</Cd></CdOrPrtry></Tp><Amt Ccy="GBP">1000.00</Amt>
    <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2016-03-31</Dt></Dt></Bal>
   <Bal><Tp><CdOrPrtry><Cd>ITBD</Cd></CdOrPrtry></Tp><Amt Ccy="GBP">5.00</Amt>
    <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2016-04-01</Dt></Dt></Bal>
   <Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="GBP">1174.5</Amt>
    <CdtDbtInd>CRDT</CdtDbtInd><Dt><DtTm>2016-04-01T23:59:59+01:00</DtTm></Dt></Bal>
   <Ntry>
    <NtryRef>1</NtryRef><Amt Ccy="GBP">250.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>
    <BookgDt><DtTm>2016-04-01T09:30:00</DtTm></BookgDt>
    <BkTxCd><Prtry><Cd>FPI</Cd></Prtry></BkTxCd>
    <NtryDtls><TxDtls>
     <Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>
     <RltdPties><Dbtr><Nm>Zo\xc3\xab
        Payer</Nm></Dbtr>
      <DbtrAcct><Id><Othr><Id>40-47-84 70872490</Id></Othr></Id></DbtrAcct></RltdPties>
     <RmtInf><Ustrd>April</Ustrd><Ustrd>rent</Ustrd>
      <Strd><CdtrRefInf><Ref>RF03TNR00000007</Ref></CdtrRefInf></Strd></RmtInf>
    </TxDtls></NtryDtls>
   </Ntry>
   <Ntry>
    <Amt Ccy="GBP">75.50</Amt><CdtDbtInd>DBIT</CdtDbtInd><RvslInd>true</RvslInd><Sts>BOOK</Sts>
    <BookgDt><Dt>2016-04-01</Dt></BookgDt><ValDt><Dt>2016-03-31</Dt></ValDt>
    <AcctSvcrRef>REV-1</AcctSvcrRef><BkTxCd><Prtry><Cd>REV</Cd></Prtry></BkTxCd>
    <AddtlNtryInf>Posted in error</AddtlNtryInf>
   </Ntry>
   <Ntry>
    <Amt Ccy="GBP">9.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>PDNG</Sts>
    <BkTxCd><Prtry><Cd>FPI</Cd></Prtry></BkTxCd>
   </Ntry>
  </Stmt>
 </BkToCstmrStmt>
</Document>"""


def test_reads_a_printed_statement() -> None:
    (read,) = read_camt053(PRINTED)
    assert (read.statement_id, read.sequence, read.account) == (
        "2016-066",
        66,
        "GB82WEST12345698765432",
    )
    assert (read.opening, read.opened_on) == (100_000, date(2016, 3, 31))
    assert (read.closing, read.closed_on) == (117_450, DAY)
    assert read.lines == (
        BankLine(
            reference="1",
            booked_on=DAY,
            amount=25_000,
            counterparty="Zoë Payer",
            counterparty_account="40478470872490",
            remittance="April rent RF03TNR00000007",
            transaction_code="FPI",
        ),
        BankLine(
            reference="REV-1",
            booked_on=DAY,
            value_on=date(2016, 3, 31),
            amount=-7_550,
            reversal=True,
            remittance="Posted in error",
            transaction_code="REV",
        ),
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "windows-1252"])
def test_reads_other_encodings_the_same(encoding: str) -> None:
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    text = PRINTED.decode().replace('encoding="UTF-8"', f'encoding="{declared}"')
    assert read_camt053(text.encode(encoding)) == read_camt053(PRINTED)


@BOTH
@pytest.mark.parametrize("prefix", ["", "ns2"])
def test_reads_several_statements_with_and_without_prefix(version: str, prefix: str) -> None:
    first = statement(
        money_in("A", 50_000, "RF03TNR00000007"),
        withdrawal_paid("B", 1_234, "W-1"),
        withdrawal_returned("C", 1_234, "W-1", reason="AC04"),
        opening=-100,
    )
    second = statement(money_in("D", 1), account="GB82WEST12345698765432", sequence=None)
    read = read_camt053(camt053(first, second, version=version, prefix=prefix))
    assert read == (first, second)
    assert [line.return_reason for line in read[0].lines] == [None, None, "AC04"]
    assert {line.counterparty for line in read[0].lines} == {"Ann Payer"}


@BOTH
def test_a_batch_becomes_a_line_for_each_transaction(version: str) -> None:
    batch = statement(money_in("A", 700), money_in("B", 300), money_in("C", 5))
    file = camt053(batch, version=version, batched=True)
    assert read_camt053(file) == (batch,)
    changed = file.replace(b">3.00<", b">3.01<")
    with pytest.raises(BankFileMalformed, match="don't make the entry's"):
        read_camt053(changed)
    with pytest.raises(BankFileMalformed, match="a batch of 4 lists 3"):
        read_camt053(file.replace(b"<NbOfTxs>3<", b"<NbOfTxs>4<"))


def test_a_batch_in_version_08_may_hold_both_signs() -> None:
    batch = statement(money_in("A", 700), withdrawal_paid("B", 300, "W-1"))
    assert read_camt053(camt053(batch, batched=True)) == (batch,)


@BOTH
def test_a_batch_without_details_stays_one_line(version: str) -> None:
    file = camt053(statement(money_in("A", 700), money_in("B", 300)), version=version, batched=True)
    head, _, rest = file.partition(b"<TxDtls>")
    file = head + rest.rpartition(b"</TxDtls>")[2]
    (read,) = read_camt053(file)
    assert [(line.reference, line.amount) for line in read.lines] == [("line#1", 1_000)]


@BOTH
def test_an_only_transaction_may_leave_its_amount_out_or_be_foreign(version: str) -> None:
    (line,) = (money_in("A", 700),)
    file = camt053(statement(line), version=version)
    opened = file.index(b"<TxDtls>")
    amount = b'<Amt Ccy="GBP">7.00</Amt>'
    for other in (b"", b'<Amt Ccy="EUR">8.15</Amt>'):
        changed = file[:opened] + file[opened:].replace(amount, other)
        assert read_camt053(changed)[0].lines == (line,)
    with pytest.raises(BankFileMalformed):
        read_camt053(file[:opened] + file[opened:].replace(b">7.00<", b">6.99<"))


def test_a_return_without_reason_and_a_reversal_keep_the_parties_of_the_original() -> None:
    back = withdrawal_returned("A", 100, "W-1", reason="")
    assert read_camt053(camt053(statement(back)))[0].lines == (back,)
    assert back.return_reason is not None


def test_entries_without_references_get_their_place() -> None:
    file = camt053(statement(money_in("A", 1), money_in("B", 2)))
    bare = file.replace(b"<AcctSvcrRef>A</AcctSvcrRef>", b"").replace(
        b"<AcctSvcrRef>B</AcctSvcrRef>", b""
    )
    references = [line.reference for line in read_camt053(bare)[0].lines]
    assert references == ["line#1", "line#2"]
    assert references == [line.reference for line in read_camt053(bare)[0].lines]


GOOD = camt053(statement(money_in("A", 1_050, "rent"), opening=200))


@pytest.mark.parametrize(
    ("old", "new", "refusal", "says"),
    [
        (b">12.50<", b">12.51<", BankStatementUnbalanced, "make 12.50"),
        (b'Ccy="GBP">10.50', b'Ccy="EUR">10.50', BankFileUnsupported, "GBP"),
        (b'Amt Ccy="GBP">10.50', b"Amt>10.50", BankFileUnsupported, "GBP"),
        (b">10.50<", b">10.500<", AmountRefused, "two decimals"),
        (b">10.50<", b">0.00<", AmountRefused, "above zero"),
        (b">10.50<", b">-10.50<", AmountRefused, "above zero"),
        (b">10.50<", b">1e1<", AmountRefused, "Entry 1"),
        (b">10.50<", b">99999999999<", AmountRefused, "Entry 1"),
        (b">10.50<", b">" + b"1" * 31 + b"<", AmountRefused, "isn't an amount"),
        (b'<Amt Ccy="GBP">12.50</Amt>', b"", BankFileMalformed, "Amt is missing"),
        (b"<Dt><Dt>2016-04-01</Dt></Dt></Bal>", b"</Bal>", BankFileMalformed, "date is missing"),
        (
            b">2016-04-01T22:15:00</CreDtTm><Acct>",
            b">" + b"2" * 36 + b"</CreDtTm><Acct>",
            BankFileMalformed,
            "creation",
        ),
        (b">2.00<", b">-2.00<", AmountRefused, "sign"),
        (b"<Cd>OPBD</Cd>", b"<Cd>OPAV</Cd>", BankFileMalformed, "OPBD or PRCD"),
        (b"<Cd>CLBD</Cd>", b"<Cd>CLAV</Cd>", BankFileMalformed, "CLBD"),
        (b"<Cd>CLBD</Cd>", b"<Cd>OPBD</Cd>", BankFileMalformed, "twice"),
        (b"CRDT", b"CREDIT", BankFileMalformed, "CRDT or DBIT"),
        (b"<Sts><Cd>BOOK</Cd></Sts>", b"", BankFileMalformed, "status"),
        (b"<Sts><Cd>BOOK</Cd></Sts>", b"<Sts><Cd>INFO</Cd></Sts>", BankStatementUnbalanced, "make"),
        (b"<BookgDt><Dt>2016-04-01", b"<BookgDt><Dt>2016-02-30", BankFileMalformed, "date"),
        (b"<BookgDt><Dt>2016-04-01", b"<BookgDt><Dt>2016-W13-5", BankFileMalformed, "date"),
        (b"<BookgDt><Dt>2016-04-01</Dt></BookgDt>", b"", BankFileMalformed, "booking date"),
        (b"<ElctrncSeqNb>1<", b"<ElctrncSeqNb>one<", BankFileMalformed, "number"),
        (b"camt.053.001.08", b"camt.053.001.04", BankFileUnsupported, "camt.053.001.02 or"),
        (b"camt.053.001.08", b"camt.052.001.08", BankFileUnsupported, "intraday"),
        (b"camt.053.001.08", b"camt.054.001.08", BankFileUnsupported, "notification"),
        (b"urn:iso:std:iso:20022:tech:xsd:", b"urn:other:", BankFileUnsupported, "not an ISO"),
        (b"Stmt>", b"Rpt>", BankFileMalformed, "no statement"),
    ],
)
def test_refuses_with_a_reason(
    old: bytes, new: bytes, refusal: type[AccountsRefusal], says: str
) -> None:
    assert old in GOOD
    with pytest.raises(refusal, match=says):
        read_camt053(GOOD.replace(old, new))


def test_refuses_an_account_in_another_currency() -> None:
    with pytest.raises(BankFileUnsupported, match="accounts in GBP"):
        read_camt053(PRINTED.replace(b"<Ccy>GBP</Ccy>", b"<Ccy>USD</Ccy>"))


WORDS = st.text(st.sampled_from("ABCxyz059 /-&<>'\"éł"), max_size=200).map(
    lambda text: " ".join(text.split())
)
IDS = st.text(st.sampled_from("ABCxyz059/-"), min_size=1, max_size=35)
DATES = st.dates(date(2000, 1, 1), date(2099, 12, 31))
ACCOUNTS = st.sampled_from(["", "20000055779911", "GB82WEST12345698765432", "12345"])
LINES = st.builds(
    BankLine,
    reference=IDS,
    booked_on=DATES,
    value_on=st.none() | DATES,
    amount=st.integers(1, 10**9) | st.integers(-(10**9), -1),
    reversal=st.booleans(),
    counterparty=WORDS.map(lambda text: text[:70].strip()),
    counterparty_account=ACCOUNTS,
    remittance=WORDS,
    end_to_end_id=st.none() | IDS,
    return_reason=st.none() | st.sampled_from(["", "AC04", "MS03"]),
    transaction_code=st.sampled_from(["PMNT-RCDT-ESCT", "FPI"]),
)


@st.composite
def statements(draw: st.DrawFn) -> BankStatement:
    lines = draw(st.lists(LINES, max_size=6, unique_by=lambda line: line.reference))
    return statement(
        *lines,
        opening=draw(st.integers(-(10**9), 10**9)),
        sequence=draw(st.none() | st.integers(0, 99_999)),
        on=draw(DATES),
    )


@given(
    st.lists(statements(), min_size=1, max_size=3),
    st.sampled_from(["02", "08"]),
    st.sampled_from(["", "camt"]),
)
def test_what_is_written_is_read_back(
    written: list[BankStatement], version: str, prefix: str
) -> None:
    assert read_camt053(camt053(*written, version=version, prefix=prefix)) == tuple(written)
