"""The locks that keep batch work of one sort from overlapping; held until the transaction ends."""

from __future__ import annotations

import numpy as np
from django.db import connection

from accounts.services.transactions import require_transaction
from marketplace.core.arrays import IntArray
from marketplace.core.states import OfferState
from marketplace.models import Offer


def lock_servicing() -> None:
    """One at a time: instalments falling due, payments, distributions, ageing, pay-out."""
    _lock("servicing")


def lock_matching() -> None:
    """One at a time: matching cycles."""
    _lock("matching")


def lock_open_offers() -> IntArray:
    """Lock every open offer, in order of id, until the transaction ends; returns their ids."""
    require_transaction()
    offers = Offer.objects.select_for_update().filter(state=OfferState.OPEN).order_by("pk")
    return np.array(list(offers.values_list("pk", flat=True)), dtype=np.int64)


def _lock(name: str) -> None:
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [name])
