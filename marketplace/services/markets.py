"""Opening the markets that an approved rate table speaks of."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from marketplace.core.house import HOUSE, House
from marketplace.models import Market


def open_markets(*, bands: Sequence[str], house: House = HOUSE) -> list[Market]:
    """Open a market for every band (safest first) and term of the house; known ones stay.

    Returns:
        All markets, by term and band.
    """
    with transaction.atomic():
        Market.objects.bulk_create(
            [
                Market(
                    band=band,
                    position=position,
                    term_months=term,
                    minimum_amount=house.smallest_loan,
                    maximum_amount=house.largest_loan,
                )
                for term in house.terms
                for position, band in enumerate(bands, start=1)
            ],
            ignore_conflicts=True,
        )
        return list(Market.objects.all())
