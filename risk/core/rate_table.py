"""The rate table: bands as ranges of the 12-month PD, and the prices of each market."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from risk.core.errors import PricingRefused, RateTableRefused
from risk.core.house import BandSettings, HouseSettings, TermSettings
from risk.core.pricing import PPM, from_ppm, to_ppm
from risk.core.pricing_loans import Pricing, appraise_loans, price_loans
from risk.core.table import IntArray

# What stands for a band where the PD is above the last one's edge.
BEYOND = "beyond"


@dataclass(frozen=True, slots=True)
class RateRow:
    """One market. PDs are 12-month ones above ``pd_from_ppm`` up to ``pd_to_ppm``; all in ppm.

    Rates and returns are annual effective; shares are of the amount lent, for a loan at the guide
    rate whose PD represents the band.

    Attributes:
        position: counts bands from 1, safest first.
        guide_rate: gross; offers must lie from ``lowest_rate`` to ``highest_rate``.
        arrangement_fee_ppm: kept back at pay-out, the contribution included.
        expected_loss_ppm: lifetime loss, whoever bears it.
        target_return_ppm: what the guide rate was solved for.
        covered: whether the provision fund bears the loss.
        contribution_ppm: what goes from the arrangement fee to the fund; none if not covered.
        expected_return_ppm: the lender's, net of fee and of the loss that is theirs.
        uncovered_return_ppm: the same if the fund paid nothing.
        apr_ppm: the borrower's, at the guide rate, the arrangement fee counted.
    """

    band: str
    position: int
    term_months: int
    pd_from_ppm: int
    pd_to_ppm: int
    representative_pd_ppm: int
    guide_rate: int
    lowest_rate: int
    highest_rate: int
    arrangement_fee_ppm: int
    expected_loss_ppm: int
    target_return_ppm: int
    covered: bool
    contribution_ppm: int
    expected_return_ppm: int
    uncovered_return_ppm: int
    apr_ppm: int


def place_in_band(pd12_ppm: IntArray, settings: HouseSettings) -> IntArray:
    """The band's place from 0 (safest) for each 12-month PD; the number of bands when beyond.

    A band's upper edge belongs to it.
    """
    edges = np.array([band.pd_to_ppm for band in settings.bands])
    return np.searchsorted(edges, pd12_ppm, side="left").astype(np.int64)


def representative_pds(pd12_ppm: IntArray, settings: HouseSettings) -> IntArray:
    """Mean 12-month PD of the given applications in each band, ppm, shape ``(bands,)``.

    A band without an application is represented by the middle of its range.
    """
    place = place_in_band(pd12_ppm, settings)
    bands = len(settings.bands)
    counts = np.bincount(place, minlength=bands + 1)[:bands]
    sums = np.bincount(place, weights=pd12_ppm, minlength=bands + 1)[:bands]
    edges = np.array([0, *(band.pd_to_ppm for band in settings.bands)])
    middle = (edges[1:] + edges[:-1]) / 2
    means = np.where(counts > 0, sums / np.maximum(counts, 1), middle)
    return to_ppm(means / PPM)


def build_rates(settings: HouseSettings, representative_pd_ppm: IntArray) -> tuple[RateRow, ...]:
    """Solve every market's guide rate, safest band first within each term.

    Args:
        representative_pd_ppm: 12-month PD of each band, ppm, shape ``(bands,)``.

    Raises:
        RateTableRefused: when a riskier band's guide rate or APR would not be higher, a guide
            rate is under the lowest rate allowed, or a market can't be priced.
    """
    rows: list[RateRow] = []
    for term in settings.terms:
        made = _term_rows(settings, term, representative_pd_ppm)
        for safer, riskier in pairwise(made):
            _check_dearer(safer, riskier)
        rows += made
    return tuple(rows)


def _check_dearer(safer: RateRow, riskier: RateRow) -> None:
    where = f"Band {riskier.band} over {riskier.term_months} months"
    if riskier.guide_rate <= safer.guide_rate:
        raise RateTableRefused(
            f"{where} would cost no more than band {safer.band}: its guide rate must be higher.",
            field="bands.target_return_ppm",
        )
    if riskier.apr_ppm <= safer.apr_ppm:
        raise RateTableRefused(
            f"{where} would cost the borrower no more than band {safer.band}, with the "
            "arrangement fee counted: its APR must be higher.",
            field="bands.arrangement_fee_ppm",
        )


def _term_rows(settings: HouseSettings, term: TermSettings, pd_ppm: IntArray) -> list[RateRow]:
    pd12, bands, terms = from_ppm(pd_ppm), settings.bands, settings.pricing
    targets = from_ppm([band.target_return_ppm + term.target_addition_ppm for band in bands])
    own = np.array([band.arrangement_fee_ppm + term.fee_addition_ppm for band in bands])
    covered = np.array([band.covered for band in bands])
    try:
        solved = price_loans(pd12, term.months, targets, terms, covered=covered, own_fee_ppm=own)
        guides = to_ppm(solved.gross_rate)
        # What is shown is what the rounded guide rate earns and costs.
        found = appraise_loans(
            pd12, term.months, from_ppm(guides), terms, covered=covered, own_fee_ppm=own
        )
    except PricingRefused as refused:
        raise RateTableRefused(
            f"There is no price over {term.months} months: {refused.message}", field=refused.field
        ) from refused
    for band, guide in zip(bands, guides.tolist(), strict=True):
        if guide < settings.lowest_rate_ppm:
            raise RateTableRefused(
                f"The guide rate of band {band.name} is under the lowest rate allowed.",
                field="offers.lowest_rate_ppm",
            )
    return _rows(settings, term, pd_ppm, guides, found)


def _rows(
    settings: HouseSettings, term: TermSettings, pd_ppm: IntArray, guides: IntArray, found: Pricing
) -> list[RateRow]:
    """Rows of one term, everything rounded to ppm; the fee is the sum of its rounded parts."""
    lower_edges = [0, *(band.pd_to_ppm for band in settings.bands)]
    loss, contribution = to_ppm(found.expected_loss), to_ppm(found.contribution)
    expected, alone = to_ppm(found.expected_return), to_ppm(found.uncovered_return)
    apr = to_ppm(found.apr)

    def row(place: int, band: BandSettings) -> RateRow:
        guide, share = int(guides[place]), int(contribution[place])
        return RateRow(
            band=band.name,
            position=place + 1,
            term_months=term.months,
            pd_from_ppm=lower_edges[place],
            pd_to_ppm=band.pd_to_ppm,
            representative_pd_ppm=int(pd_ppm[place]),
            guide_rate=guide,
            lowest_rate=max(guide - settings.below_guide_ppm, settings.lowest_rate_ppm),
            highest_rate=guide + settings.above_guide_ppm,
            arrangement_fee_ppm=band.arrangement_fee_ppm + term.fee_addition_ppm + share,
            expected_loss_ppm=int(loss[place]),
            target_return_ppm=band.target_return_ppm + term.target_addition_ppm,
            covered=band.covered,
            contribution_ppm=share,
            expected_return_ppm=int(expected[place]),
            uncovered_return_ppm=int(alone[place]),
            apr_ppm=int(apr[place]),
        )

    return [row(place, band) for place, band in enumerate(settings.bands)]
