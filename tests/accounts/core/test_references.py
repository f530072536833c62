"""Payment references, bank details and what banks can carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core.bank_details import (
    BankDetails,
    BankDetailsRefused,
    details_from_iban,
    details_from_identification,
    details_from_uk,
)
from accounts.core.bank_text import BankTextRefused, bank_text
from accounts.core.references import (
    LONGEST_FASTER_PAYMENTS_REFERENCE,
    ReferenceRefused,
    member_in,
    payment_reference,
)

IBAN = "GB82WEST12345698765432"


def test_reference_of_member_seven() -> None:
    # T N R = 29 23 27, R F = 27 15: 29232700000007271500 mod 97 = 95, and 98 - 95 = 3.
    assert 29232700000007271500 % 97 == 95
    assert payment_reference(7) == "RF03TNR00000007"
    assert len("RF03 TNR0 0000 007") == LONGEST_FASTER_PAYMENTS_REFERENCE


@pytest.mark.parametrize(
    ("text", "member"),
    [
        ("RF03TNR00000007", 7),
        ("rent rf03tnr00000007 thank you", 7),
        ("RF03 TNR0 0000 007", 7),
        ("rf03-tnr0-0000-007, April", 7),
        ("PAYMENTRF03TNR00000007SMITH", 7),
        ("RF03TNR00000007 and again RF03 TNR0 0000 007", 7),
        (f"RF03TNR00000007 {payment_reference(8)}", None),
        ("RF03TNR00000007 RF04TNR00000008", 7),
        ("RF04TNR00000007", None),
        ("RF03TNR000000071", None),
        ("RF03TNR0000000", None),
        ("RF18539007547034", None),
        ("", None),
    ],
)
def test_finds_the_one_member_in_free_text(text: str, member: int | None) -> None:
    assert member_in(text) == member


@given(st.integers(1, 99_999_999), st.integers(0, 14), st.sampled_from("0123456789"))
def test_a_reference_names_its_member_and_no_wrong_digit_passes(
    member: int, place: int, digit: str
) -> None:
    reference = payment_reference(member)
    assert member_in(reference) == member
    assert member_in(" ".join(reference.lower())) == member
    changed = reference[:place] + digit + reference[place + 1 :]
    assert member_in(changed) == (member if changed == reference else None)


@given(st.text())
def test_any_text_is_searched(text: str) -> None:
    assert member_in(text) is None


@pytest.mark.parametrize("member", [0, -1, 100_000_000])
def test_refuses_an_id_that_does_not_fit(member: int) -> None:
    with pytest.raises(ReferenceRefused):
        payment_reference(member)


def test_iban_and_its_sort_code() -> None:
    details = details_from_iban("Ann Payer", "gb82 west 1234 5698 7654 32")
    assert details == BankDetails("Ann Payer", IBAN)
    assert (details.iban, details.sort_code, details.account_number) == (IBAN, "123456", "98765432")
    assert details.domestic == details_from_uk("Ann", "12-34-56", "98765432").domestic
    assert details.masked == "••••5432"
    assert "5432" not in repr(details)
    assert details_from_identification("Ann Payer", IBAN) == details


def test_uk_account_and_one_abroad() -> None:
    details = details_from_uk("Ann", "20 00 00", "55779911")
    assert (details.identification, details.iban) == ("20000055779911", None)
    assert details_from_identification("Ann", "20000055779911") == details
    abroad = details_from_iban("Ann", "DE89370400440532013000")
    assert (abroad.domestic, abroad.sort_code, abroad.account_number) == (None, None, None)


@pytest.mark.parametrize(
    "iban",
    [
        "",
        "GB82WEST12345698765433",
        "GB82WEST1234569876543",
        "XX00",
        "20000055779911",
        "é",
        # The digits of other scripts are digits to Python, and to no bank.
        "GB82WEST1234569876543\uff12",
        "GB8\u0662WEST12345698765432",
    ],
)
def test_refuses_what_is_not_an_iban(iban: str) -> None:
    with pytest.raises(BankDetailsRefused):
        details_from_iban("Ann", iban)


@pytest.mark.parametrize(
    ("sort_code", "number", "field"),
    [
        ("20-0000", "55779911", "sort_code"),
        ("2000000", "55779911", "sort_code"),
        ("20-00 00", "55779911", "sort_code"),
        ("200000", "5577991", "account_number"),
        ("200000", "5577991x", "account_number"),
    ],
)
def test_refuses_uk_numbers_of_another_form(sort_code: str, number: str, field: str) -> None:
    with pytest.raises(BankDetailsRefused) as refusal:
        details_from_uk("Ann", sort_code, number)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Zoë Brontë", "Zoe Bronte"),
        ("Łukasz  Øre & Söhne", "Lukasz Ore + Sohne"),
        ("Großmann; O’Neill", "Grossmann, O'Neill"),
        ("//a//b/", "a/b"),
    ],
)
def test_writes_what_banks_carry(text: str, written: str) -> None:
    assert bank_text(text, longest=70, field="holder") == written


@pytest.mark.parametrize("text", ["", " ", "/", "Иван", "a*b", "x" * 71, "a\x00"])
def test_refuses_what_no_bank_carries(text: str) -> None:
    with pytest.raises(BankTextRefused):
        details_from_uk(text, "200000", "55779911")
