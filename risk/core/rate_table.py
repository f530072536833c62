"""The rate table: bands as ranges of the 12-month PD, and a guide rate for each market."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from risk.core.errors import RateTableRefused
from risk.core.house import BandSettings, HouseSettings, TermSettings
from risk.core.pricing import PPM, expected_loss, from_ppm, guide_rate, to_ppm
from risk.core.table import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class RateRow:
    """One market. PDs are 12-month ones above ``pd_from_ppm`` up to ``pd_to_ppm``; all in ppm.

    ``position`` counts bands from 1, safest first. ``guide_rate`` is gross and annual effective;
    offers must lie from ``lowest_rate`` to ``highest_rate``. ``expected_loss_ppm`` is the
    lifetime loss as a share of the amount lent, at the guide rate.
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
        RateTableRefused: when a riskier band's guide rate would not be higher, or a guide rate is
            under the lowest rate allowed.
    """
    pd12 = from_ppm(representative_pd_ppm)
    rows: list[RateRow] = []
    for term in settings.terms:
        made = _term_rows(settings, term, representative_pd_ppm, pd12)
        for safer, riskier in pairwise(made):
            if riskier.guide_rate <= safer.guide_rate:
                raise RateTableRefused(
                    f"Band {riskier.band} over {term.months} months would cost no more than "
                    f"band {safer.band}.",
                    field="bands.target_return_ppm",
                )
        rows += made
    return tuple(rows)


def _term_rows(
    settings: HouseSettings, term: TermSettings, pd_ppm: IntArray, pd12: FloatArray
) -> list[RateRow]:
    targets = [band.target_return_ppm + term.target_addition_ppm for band in settings.bands]
    guides = to_ppm(guide_rate(pd12, from_ppm(targets), settings.losses))
    losses = to_ppm(expected_loss(from_ppm(guides), pd12, term.months, settings.losses))
    lower_edges = [0, *(band.pd_to_ppm for band in settings.bands)]
    return [
        _row(settings, term, band, place, lower_edges[place], int(pd_ppm[place]), guide, loss)
        for place, (band, guide, loss) in enumerate(
            zip(settings.bands, guides.tolist(), losses.tolist(), strict=True)
        )
    ]


def _row(
    settings: HouseSettings,
    term: TermSettings,
    band: BandSettings,
    place: int,
    pd_from: int,
    pd_ppm: int,
    guide: int,
    loss: int,
) -> RateRow:
    if guide < settings.lowest_rate_ppm:
        raise RateTableRefused(
            f"The guide rate of band {band.name} is under the lowest rate allowed.",
            field="offers.lowest_rate_ppm",
        )
    return RateRow(
        band=band.name,
        position=place + 1,
        term_months=term.months,
        pd_from_ppm=pd_from,
        pd_to_ppm=band.pd_to_ppm,
        representative_pd_ppm=pd_ppm,
        guide_rate=guide,
        lowest_rate=max(guide - settings.below_guide_ppm, settings.lowest_rate_ppm),
        highest_rate=guide + settings.above_guide_ppm,
        arrangement_fee_ppm=band.arrangement_fee_ppm + term.fee_addition_ppm,
        expected_loss_ppm=loss,
        target_return_ppm=band.target_return_ppm + term.target_addition_ppm,
    )
