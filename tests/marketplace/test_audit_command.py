"""``manage.py audit``: exit status 0 on a good book, 1 on a wrong one; the demo ends likewise."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from marketplace.models import Offer
from tests.marketplace.house import House, paid_out


def test_it_passes_a_good_book_and_fails_a_wrong_one(house: House) -> None:
    paid_out(house)
    call_command("audit")
    # A fault that the application's own role could make: money on offer that the ledger has not.
    offer = Offer.objects.first()
    assert offer is not None
    Offer.objects.filter(pk=offer.pk).update(available=offer.amount)
    with pytest.raises(CommandError) as failed:
        call_command("audit")
    assert failed.value.returncode == 1
    assert "Money on offer" in str(failed.value)
