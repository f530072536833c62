"""The house's settings: figures that are rules of the platform, in one place, passed in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class House:
    """Settings of the marketplace.

    Attributes:
        smallest_loan, largest_loan: pence.
        step: every loan, offer and part is a multiple of this many pence.
        terms: months over which loans run.
        listing_days: how long a listing looks for money.
        quote_margin: ppm added to an indicative quote for the default highest rate.
        highest_rate_step: ppm; highest rates are multiples of it.
        traded_days: the traded rate is made from the parts of so many days.
        clearing_days: business days until a collected payment counts as cleared.
        default_months: calendar months the oldest unpaid due date lies back at default.
        acceptance_days: how long a funded loan waits for the borrower's acceptance.
        rescission_days: how long after acceptance the borrower may still step back.
        arrangement_grace_days: how late a month's payment of an arrangement may come.
        holiday_months: the longest payment holiday.
        holiday_gap_months: a loan has at most one payment holiday in so many months.
    """

    smallest_loan: int = 100_000
    largest_loan: int = 2_500_000
    step: int = 1_000
    terms: tuple[int, ...] = (36, 60)
    listing_days: int = 14
    quote_margin: int = 5_000
    highest_rate_step: int = 2_500
    traded_days: int = 28
    clearing_days: int = 3
    default_months: int = 4
    acceptance_days: int = 5
    rescission_days: int = 14
    arrangement_grace_days: int = 7
    holiday_months: int = 3
    holiday_gap_months: int = 12


HOUSE = House()
