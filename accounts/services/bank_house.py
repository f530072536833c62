"""Our own bank accounts, as this place's settings name them."""

from __future__ import annotations

from django.conf import settings

from accounts.core.bank_details import details_from_identification
from accounts.core.bank_house import BankHouse


def bank_house() -> BankHouse:
    """The settings of this place.

    Raises:
        BankDetailsRefused, BankTextRefused: a setting that is no account.
    """
    client, own, fund = (
        details_from_identification(settings.TENNER_HOLDER, identification)
        for identification in (
            settings.TENNER_CLIENT_ACCOUNT,
            settings.TENNER_OWN_ACCOUNT,
            settings.TENNER_FUND_ACCOUNT,
        )
    )
    return BankHouse(
        client, own, fund, settings.TENNER_COOLING_OFF_DAYS, settings.TENNER_CREDITOR_ID
    )
