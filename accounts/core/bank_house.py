"""Our own bank accounts, and the house's rules about money in and out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from accounts.core.bank_details import BankDetails
from accounts.core.bank_states import OurAccount
from accounts.core.errors import AccountsRefusal


class BankAccountUnknown(AccountsRefusal):
    """A bank account that is none of ours."""

    code = "BANK_ACCOUNT_UNKNOWN"


@dataclass(frozen=True)
class BankHouse:
    """Settings of the bank room.

    Attributes:
        client, own, fund: our accounts: client money, Tenner's own, the provision fund's.
        cooling_off_days: calendar days from the verification of bank details to the first
            withdrawal to them, so that who took over an account isn't paid before its owner
            has seen it.
        creditor_id: ours in direct debits: a Bacs service user number or a SEPA creditor id.
    """

    client: BankDetails
    own: BankDetails
    fund: BankDetails
    cooling_off_days: int = 3
    creditor_id: str = ""

    def details(self, account: OurAccount) -> BankDetails:
        """Holder and identification of one of our accounts."""
        return {
            OurAccount.CLIENT: self.client,
            OurAccount.OWN: self.own,
            OurAccount.FUND: self.fund,
        }[account]

    def account(self, identification: str) -> OurAccount:
        """Which of our accounts is meant: by name, IBAN, or sort code and account number.

        Raises:
            BankAccountUnknown: none of them.
        """
        for account in OurAccount:
            details = self.details(account)
            if identification in (account.value, details.identification, details.domestic):
                return account
        raise BankAccountUnknown("The statement is of an account that is none of ours.")

    def usable_from(self, verified_on: date) -> date:
        """The first day on which money may go to bank details verified on a day."""
        return verified_on + timedelta(days=self.cooling_off_days)
