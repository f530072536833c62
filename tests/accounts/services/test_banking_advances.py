"""What Tenner pays into client money of its own, to make good what members owe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accounts.core.chart import Kind
from accounts.models import Entry, SuspenseItem
from accounts.selectors.ledger import totals_by_kind
from tests.accounts.services.bank_desk import Bank, fits, give, pays_in, people
from tests.bank_files import money_in

OWN = "20000055779912"


@pytest.mark.django_db
@pytest.mark.parametrize("named", [OWN, "GB27TNNR20000055779912"])
def test_money_from_our_own_account_is_an_advance(named: str) -> None:
    """£60.00 leave Tenner's account and arrive in client money, each on its own statement."""
    client, own = Bank(), Bank(OWN)
    arrived = replace(money_in("T1", 6_000, "top-up"), counterparty_account=named)
    give(own.writes(money_in("S0", 10_000)))
    give(own.writes(replace(money_in("S1", -6_000), counterparty_account="20000055779911")))
    give(client.writes(arrived))
    assert Entry.objects.filter(kind="advanced").count() == 1
    assert not SuspenseItem.objects.exists()
    totals = totals_by_kind()
    assert (totals[Kind.CLIENT_BANK], totals[Kind.OWN_BANK]) == (6_000, 4_000)
    # 100.00 came in, 60.00 went out on one statement and came back on the other.
    assert totals[Kind.OWN_FUNDS] == 10_000
    fits()


@pytest.mark.django_db
def test_money_of_ours_for_a_member_is_the_members() -> None:
    [ada] = people(1)
    gift = replace(pays_in("T1", ada, 500), counterparty_account=OWN)
    give(Bank().writes(gift))
    assert totals_by_kind()[Kind.CASH] == 500
