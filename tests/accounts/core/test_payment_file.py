"""Payment files, held against the official schema of pain.001.001.09 that sepaxml ships."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from importlib.resources import files

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.core.bank_details import details_from_iban, details_from_uk
from accounts.core.bank_text import BankTextRefused
from accounts.core.errors import AccountsRefusal, AmountRefused
from accounts.core.payment_file import (
    NAMESPACE,
    PaymentFile,
    PaymentFileRefused,
    PaymentOrder,
    write_payment_file,
)

SCHEMA = xmlschema.XMLSchema(str(files("sepaxml") / "schemas" / "pain.001.001.09.xsd"))
US = details_from_uk("Tenner Client Money", "20-00-00", "55779911")
ANN = details_from_uk("Ann Payer", "40-47-84", "70872490")
ZOE = details_from_iban("Zoë Payer", "GB82WEST12345698765432")
FILE = PaymentFile(
    message_id="TNR-2016-04-01-1",
    created_at=datetime(2016, 4, 1, 9, 30, tzinfo=UTC),
    debtor=US,
    requested_on=date(2016, 4, 1),
    orders=(
        PaymentOrder("W-1", 12_345, ANN, "Tenner withdrawal"),
        PaymentOrder("W-2", 5, ZOE, "Tenner withdrawal"),
    ),
)


def _only(document: str, name: str) -> list[str]:
    return [part.partition("<")[0] for part in document.split(f"<{name}>")[1:]]


def test_writes_two_orders() -> None:
    written = write_payment_file(FILE)
    SCHEMA.validate(written.decode())
    text = written.decode()
    assert f'<Document xmlns="{NAMESPACE}">' in text
    # 123.45 + 0.05 = 123.50, in the header and in the batch.
    assert _only(text, "CtrlSum") == ["123.50", "123.50"]
    assert _only(text, "NbOfTxs") == ["2", "2"]
    assert _only(text, "EndToEndId") == ["W-1", "W-2"]
    assert text.count('<InstdAmt Ccy="GBP">123.45</InstdAmt>') == 1
    assert _only(text, "MmbId") == ["200000", "404784", "123456"]
    assert set(_only(text, "Cd")) == {"GBDSC"}
    assert _only(text, "Nm")[2:] == ["Ann Payer", "Zoe Payer"]
    assert _only(text, "IBAN") == ["GB82WEST12345698765432"]
    assert _only(text, "CreDtTm") == ["2016-04-01T09:30:00Z"]


def test_the_same_file_is_the_same_bytes() -> None:
    summer = timezone(timedelta(hours=1))
    same = replace(FILE, created_at=datetime(2016, 4, 1, 10, 30, 0, 999, tzinfo=summer))
    assert write_payment_file(FILE) == write_payment_file(same)


def test_an_account_abroad_is_named_by_its_bic() -> None:
    abroad = details_from_iban("Tenner", "DE89370400440532013000")
    file = replace(FILE, debtor=abroad, debtor_bic="DEUTDEFF")
    SCHEMA.validate(write_payment_file(file).decode())
    with pytest.raises(PaymentFileRefused, match="BIC"):
        write_payment_file(replace(file, debtor_bic=""))
    with pytest.raises(PaymentFileRefused, match="BIC"):
        write_payment_file(replace(file, debtor_bic="nonsense"))


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"orders": ()}, PaymentFileRefused),
        ({"orders": FILE.orders[:1] * 2}, PaymentFileRefused),
        ({"orders": FILE.orders[:1] * 100_001}, PaymentFileRefused),
        ({"message_id": "M" * 36}, PaymentFileRefused),
        ({"message_id": "café"}, PaymentFileRefused),
        ({"created_at": datetime(2016, 4, 1)}, PaymentFileRefused),  # noqa: DTZ001 - refused so
        ({"orders": (replace(FILE.orders[0], amount=0),)}, AmountRefused),
        ({"orders": (replace(FILE.orders[0], amount=-5),)}, AmountRefused),
        ({"orders": (replace(FILE.orders[0], amount=10**11 + 1),)}, AmountRefused),
        ({"orders": (replace(FILE.orders[0], remittance="x" * 141),)}, BankTextRefused),
        ({"orders": (replace(FILE.orders[0], remittance="Привет"),)}, BankTextRefused),
        *(
            ({"orders": (replace(FILE.orders[0], end_to_end_id=bad),)}, PaymentFileRefused)
            for bad in ("", "x" * 36, "/a", "a/", "a//b", "NOTPROVIDED", "a\n", "a ")
        ),
    ],
)
def test_refuses_what_a_bank_would_send_back(
    changes: dict[str, object], refusal: type[AccountsRefusal]
) -> None:
    with pytest.raises(refusal):
        write_payment_file(replace(FILE, **changes))  # type: ignore[arg-type]


@settings(max_examples=25)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_sums_and_counts_are_the_orders(amounts: list[int]) -> None:
    orders = tuple(
        PaymentOrder(f"W-{place}", amount, ANN, "Tenner") for place, amount in enumerate(amounts)
    )
    text = write_payment_file(replace(FILE, orders=orders)).decode()
    SCHEMA.validate(text)
    pounds, pence = divmod(sum(amounts), 100)
    assert _only(text, "CtrlSum") == [f"{pounds}.{pence:02d}"] * 2
    assert _only(text, "NbOfTxs") == [str(len(amounts))] * 2
