"""Where a person's money is paid: an IBAN, or a UK sort code and account number.

An IBAN's length, structure and check digits are tested. Of a UK account only the form is: whether
a sort code exists, and its account numbers' check digits, need the tables of Pay.UK.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from stdnum import iban as iban_numbers
from stdnum.exceptions import ValidationError

from accounts.core.bank_text import bank_text
from accounts.core.errors import AccountsRefusal

# The longest name that clearing carries (EPC guidelines; ISO 20022 itself allows 140).
LONGEST_HOLDER = 70
_SORT_CODE = re.compile(r"\d{6}|\d{2}([- ])\d{2}\1\d{2}", re.ASCII)
_ACCOUNT_NUMBER = re.compile(r"\d{8}", re.ASCII)
_UK = re.compile(r"\d{14}", re.ASCII)


class BankDetailsRefused(AccountsRefusal):
    """Bank details that no payment could reach."""

    code = "BANK_DETAILS_REFUSED"


@dataclass(frozen=True, slots=True)
class BankDetails:
    """A bank account and its holder; make it with one of the functions below, which check.

    ``repr`` shows neither, so that they stay out of logs.

    Attributes:
        holder: the name, as given; it can be written in the characters that banks carry.
        identification: the IBAN in capitals without spaces, or sort code and account number as
            14 digits.
    """

    holder: str = field(repr=False)
    identification: str = field(repr=False)

    @property
    def iban(self) -> str | None:
        """The IBAN, where that is what was given."""
        return None if _UK.fullmatch(self.identification) else self.identification

    @property
    def domestic(self) -> str | None:
        """Sort code and account number as 14 digits; ``None`` for an account abroad.

        Two details of one UK account agree in it, however each was given.
        """
        if self.iban is None:
            return self.identification
        return self.iban[8:] if self.iban.startswith("GB") else None

    @property
    def sort_code(self) -> str | None:
        """The sort code, six digits; ``None`` for an account abroad."""
        return self.domestic[:6] if self.domestic else None

    @property
    def account_number(self) -> str | None:
        """The account number, eight digits; ``None`` for an account abroad."""
        return self.domestic[6:] if self.domestic else None

    @property
    def masked(self) -> str:
        """What may be shown: the last four characters."""
        return f"••••{self.identification[-4:]}"


def details_from_iban(holder: str, iban: str) -> BankDetails:
    """Bank details of an IBAN; spaces and small letters are taken.

    Raises:
        BankDetailsRefused: not an IBAN; BankTextRefused: a holder that can't be written.
    """
    _check_holder(holder)
    try:
        # The library takes digits of any script for digits; a bank takes ASCII only.
        compact = "".join(iban.split()).encode("ascii").decode()
        return BankDetails(holder, iban_numbers.validate(compact))
    except (ValidationError, UnicodeEncodeError) as error:
        raise BankDetailsRefused(
            "This isn't an IBAN: compare it with the one on the bank's own papers.", field="iban"
        ) from error


def details_from_uk(holder: str, sort_code: str, account_number: str) -> BankDetails:
    """Bank details of a UK account.

    Raises:
        BankDetailsRefused: not six and eight digits; BankTextRefused: a holder that can't be
            written.
    """
    _check_holder(holder)
    if not _SORT_CODE.fullmatch(sort_code.strip()):
        raise BankDetailsRefused("A sort code has six digits, such as 20-00-00.", field="sort_code")
    if not _ACCOUNT_NUMBER.fullmatch(account_number.strip()):
        raise BankDetailsRefused(
            "An account number has eight digits; put zeros before a shorter one.",
            field="account_number",
        )
    return BankDetails(holder, re.sub(r"\D", "", sort_code) + account_number.strip())


def details_from_identification(holder: str, identification: str) -> BankDetails:
    """Bank details of an :attr:`BankDetails.identification`, as stored or as a statement has it.

    Raises:
        BankDetailsRefused, BankTextRefused: see the two functions above.
    """
    if _UK.fullmatch(identification):
        return details_from_uk(holder, identification[:6], identification[6:])
    return details_from_iban(holder, identification)


def _check_holder(holder: str) -> None:
    bank_text(holder, longest=LONGEST_HOLDER, field="holder")
