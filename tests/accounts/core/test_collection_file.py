"""Files of direct debits, held against the official schema of pain.008.001.08 that sepaxml ships.

What they say is read back by a reader of the test's own, and summed up again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from importlib.resources import files
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.core.bank_details import details_from_iban, details_from_uk
from accounts.core.bank_text import BankTextRefused
from accounts.core.collecting import (
    COLLECTION_MOVES,
    CollectionMoveRefused,
    CollectionRefused,
    CollectionState,
    check_collection_move,
    collection_in,
    collection_reference,
    is_collection_reference,
    mandate_reference,
)
from accounts.core.collection_file import (
    NAMESPACE,
    CollectionFile,
    CollectionFileRefused,
    DirectDebit,
    SequenceType,
    scheme_of,
    write_collection_file,
)
from accounts.core.errors import AccountsRefusal, AmountRefused

SCHEMA = xmlschema.XMLSchema(str(files("sepaxml") / "schemas" / "pain.008.001.08.xsd"))
US = details_from_uk("Tenner Client Money", "20-00-00", "55779911")
ANN = details_from_uk("Ann Payer", "40-47-84", "70872490")
ZOE = details_from_iban("Zoë Payer", "GB82WEST12345698765432")
DUE = date(2016, 4, 6)
FIRST = DirectDebit(
    "TNC-1", 3_078, ANN, "TNM-1", date(2016, 3, 1), SequenceType.FIRST, DUE, "TNC-1 TENNER LOAN"
)
LATER = replace(FIRST, end_to_end_id="TNC-2", mandate="TNM-2", sequence=SequenceType.RECURRENT)
FILE = CollectionFile(
    message_id="TNC-20160401-0000000001",
    created_at=datetime(2016, 4, 1, 9, 30, tzinfo=UTC),
    creditor=US,
    creditor_id="123456",
    debits=(
        FIRST,
        replace(LATER, amount=5, debtor=ZOE),
        replace(LATER, end_to_end_id="TNC-3", amount=10_000),
    ),
)


def read(written: bytes) -> list[dict[str, Any]]:
    """The batches of a file, as another program would take them in; amounts in pounds."""
    root = ET.fromstring(written)  # noqa: S314 - written a line above
    at = {"": NAMESPACE}

    def text(node: ET.Element, path: str) -> str:
        return node.findtext(path, "", at)

    header = root.find("CstmrDrctDbtInitn/GrpHdr", at)
    assert header is not None
    batches = root.findall("CstmrDrctDbtInitn/PmtInf", at)
    read_: list[dict[str, Any]] = []
    for batch in batches:
        debits = batch.findall("DrctDbtTxInf", at)
        amounts = [Decimal(text(debit, "InstdAmt")) for debit in debits]
        assert int(text(batch, "NbOfTxs")) == len(debits)
        assert Decimal(text(batch, "CtrlSum")) == sum(amounts)
        read_.append(
            {
                "id": text(batch, "PmtInfId"),
                "sequence": text(batch, "PmtTpInf/SeqTp"),
                "day": text(batch, "ReqdColltnDt"),
                "creditor": text(batch, "CdtrSchmeId/Id/PrvtId/Othr/Id"),
                "scheme": text(batch, "CdtrSchmeId/Id/PrvtId/Othr/SchmeNm/Prtry"),
                "ours": text(batch, "CdtrAcct/Id/Othr/Id"),
                "amounts": amounts,
                "names": [text(debit, "PmtId/EndToEndId") for debit in debits],
                "mandates": [text(debit, "DrctDbtTx/MndtRltdInf/MndtId") for debit in debits],
                "signed": [text(debit, "DrctDbtTx/MndtRltdInf/DtOfSgntr") for debit in debits],
                "payers": [text(debit, "Dbtr/Nm") for debit in debits],
            }
        )
    # The header counts and sums what the batches do.
    assert int(text(header, "NbOfTxs")) == sum(len(batch["names"]) for batch in read_)
    total = sum((sum(batch["amounts"]) for batch in read_), Decimal(0))
    assert Decimal(text(header, "CtrlSum")) == total
    return read_


def test_writes_a_batch_for_first_ones_and_one_for_later_ones() -> None:
    written = write_collection_file(FILE)
    SCHEMA.validate(written.decode())
    first, later = read(written)
    assert first == {
        "id": "TNC-20160401-0000000001-1",
        "sequence": "FRST",
        "day": "2016-04-06",
        "creditor": "123456",
        "scheme": "BACS",
        "ours": "55779911",
        "amounts": [Decimal("30.78")],
        "names": ["TNC-1"],
        "mandates": ["TNM-1"],
        "signed": ["2016-03-01"],
        "payers": ["Ann Payer"],
    }
    assert (later["id"], later["sequence"]) == ("TNC-20160401-0000000001-2", "RCUR")
    # 0.05 + 100.00, to a payer whose name loses its mark.
    assert later["amounts"] == [Decimal("0.05"), Decimal("100.00")]
    assert later["payers"] == ["Zoe Payer", "Ann Payer"]


def test_days_are_batches_of_their_own_and_the_earliest_comes_first() -> None:
    later = replace(FILE.debits[1], collect_on=DUE + timedelta(days=1))
    file = replace(FILE, debits=(later, FIRST, FILE.debits[2]))
    found = [
        (batch["day"], batch["sequence"], batch["names"])
        for batch in read(write_collection_file(file))
    ]
    assert found == [
        ("2016-04-06", "FRST", ["TNC-1"]),
        ("2016-04-06", "RCUR", ["TNC-3"]),
        ("2016-04-07", "RCUR", ["TNC-2"]),
    ]
    assert [batch.batch_id for batch in file.batches] == [
        f"{FILE.message_id}-{number}" for number in (1, 2, 3)
    ]


def test_the_same_file_is_the_same_bytes() -> None:
    summer = timezone(timedelta(hours=1))
    same = replace(FILE, created_at=datetime(2016, 4, 1, 10, 30, 0, 999, tzinfo=summer))
    assert write_collection_file(FILE) == write_collection_file(same)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"debits": ()}, CollectionFileRefused),
        ({"debits": (FIRST, FIRST)}, CollectionFileRefused),
        ({"debits": (FIRST,) * 100_001}, CollectionFileRefused),
        ({"message_id": "M" * 31}, CollectionFileRefused),
        ({"message_id": "café"}, CollectionFileRefused),
        ({"created_at": datetime(2016, 4, 1)}, CollectionFileRefused),  # noqa: DTZ001 - refused so
        ({"creditor": details_from_iban("Us", "DE89370400440532013000")}, CollectionFileRefused),
        ({"creditor_id": ""}, CollectionFileRefused),
        ({"creditor_id": "12345"}, CollectionFileRefused),
        ({"creditor_id": "GB00ZZZSDDBARC0000007495895912"}, CollectionFileRefused),
        ({"debits": (replace(FIRST, amount=0),)}, AmountRefused),
        ({"debits": (replace(FIRST, amount=-1),)}, AmountRefused),
        ({"debits": (replace(FIRST, amount=10**11 + 1),)}, AmountRefused),
        ({"debits": (replace(FIRST, signed_on=date(2016, 4, 7)),)}, CollectionFileRefused),
        ({"debits": (replace(FIRST, mandate="M" * 36),)}, CollectionFileRefused),
        ({"debits": (replace(FIRST, remittance="x" * 141),)}, BankTextRefused),
        ({"debits": (replace(FIRST, remittance="Привет"),)}, BankTextRefused),
        *(
            ({"debits": (replace(FIRST, end_to_end_id=bad),)}, CollectionFileRefused)
            for bad in ("", "x" * 36, "/a", "a/", "a//b", "NOTPROVIDED", "a\n", "a ")
        ),
    ],
)
def test_refuses_what_a_bank_would_send_back(
    changes: dict[str, object], refusal: type[AccountsRefusal]
) -> None:
    with pytest.raises(refusal):
        write_collection_file(replace(FILE, **changes))  # type: ignore[arg-type]


def test_schemes() -> None:
    assert scheme_of("123456") == "BACS"
    # The example of the European Payments Council's guidelines on the creditor identifier's check.
    assert scheme_of("DE98ZZZ09999999999") == "SEPA"


_DEBITS = st.lists(
    st.tuples(
        st.integers(1, 10**9), st.sampled_from(SequenceType), st.integers(0, 3), st.booleans()
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=25, deadline=None)
@given(_DEBITS)
def test_everything_is_in_one_batch_once(drawn: list[tuple[int, SequenceType, int, bool]]) -> None:
    debits = tuple(
        replace(
            FIRST,
            end_to_end_id=f"TNC-{place}",
            amount=amount,
            sequence=sequence,
            collect_on=DUE + timedelta(days=days),
            debtor=ANN if domestic else ZOE,
        )
        for place, (amount, sequence, days, domestic) in enumerate(drawn)
    )
    written = write_collection_file(replace(FILE, debits=debits))
    SCHEMA.validate(written.decode())
    batches = read(written)
    found = [
        (name, pounds, batch["sequence"], batch["day"])
        for batch in batches
        for name, pounds in zip(batch["names"], batch["amounts"], strict=True)
    ]
    assert sorted(found) == sorted(
        (
            debit.end_to_end_id,
            Decimal(debit.amount) / 100,
            debit.sequence.value,
            debit.collect_on.isoformat(),
        )
        for debit in debits
    )
    keys = [(batch["day"], batch["sequence"]) for batch in batches]
    assert all(one < two for one, two in pairwise(keys))


class TestReferences:
    def test_check_digits_by_hand(self) -> None:
        # T, N, C are 29, 23, 12 (A is 10): 292312 0000000007 00 modulo 97 is 49, and 98 - 49 = 49.
        assert 2923120000000007_00 % 97 == 49
        assert collection_reference(7) == "TNC000000000749"
        assert len(collection_reference(9_999_999_999)) == 15

    def test_what_is_no_number(self) -> None:
        for number in (0, -1, 10**10):
            with pytest.raises(CollectionRefused):
                collection_reference(number)
            with pytest.raises(CollectionRefused):
                mandate_reference(number)

    @given(st.integers(1, 9_999_999_999), st.integers(3, 14), st.integers(1, 9))
    def test_a_wrong_digit_shows(self, number: int, place: int, by: int) -> None:
        name = collection_reference(number)
        assert is_collection_reference(name)
        assert collection_in(f"DDR {name} Tenner") == name
        digit = str((int(name[place]) + by) % 10)
        wrong = name[:place] + digit + name[place + 1 :]
        assert not is_collection_reference(wrong)
        assert collection_in(wrong) is None

    def test_of_several_none_is_meant(self) -> None:
        one, two = collection_reference(1), collection_reference(2)
        assert collection_in(f"{one} {two}") is None
        assert collection_in(f"{one} {one}") == one
        assert collection_in("BATCH TNC-20160401-0000000001-2") == "TNC-20160401-0000000001-2"
        assert collection_in("nothing of ours") is None


def test_moves() -> None:
    """What is over stays over, and only what was unpaid has bounced."""
    for old in CollectionState:
        for new in CollectionState:
            if new in COLLECTION_MOVES[old]:
                check_collection_move(old, new)
            else:
                with pytest.raises(CollectionMoveRefused, match=f"is {old}"):
                    check_collection_move(old, new)
    over = {state for state, moves in COLLECTION_MOVES.items() if not moves}
    assert over == {CollectionState.BOUNCED, CollectionState.CANCELLED}
    before_bounced = [old for old, moves in COLLECTION_MOVES.items() if "bounced" in moves]
    assert before_bounced == [CollectionState.UNPAID]
