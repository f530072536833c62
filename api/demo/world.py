"""The demo's world: real past applications, and lenders who choose as people would, seeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from marketplace.core.collecting import NO_MONEY, AnswersAtOnce, CollectorAnswer, Presented
from marketplace.core.house import HOUSE
from marketplace.core.offers import Peg
from marketplace.core.rates import PPM
from marketplace.selectors.markets import MarketView
from marketplace.services.borrowing import ApplicationDraft
from marketplace.services.offering import Draft, OfferDraft, PoolDraft
from risk.selectors.past_applications import HoldoutRow


@dataclass(frozen=True)
class World:
    """How large the demo is, and when it plays.

    Attributes:
        seed: of everything that is drawn.
        starts_on: the business date of pay-in, matching and pay-out: the first working day after
            the quarter in which the real loans were made.
        lenders, loans: how many people lend, and how many listings there are.
        paid_in: pence that the lenders pay in, about.
        months: how many instalments are collected: what the real outcomes cover.
    """

    seed: int = 2016
    starts_on: date = date(2016, 4, 1)
    lenders: int = 2_000
    loans: int = 150
    paid_in: int = 300_000_000
    months: int = 24


def deposits(world: World, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """What each lender pays in, pence: many small, a few large, whole pounds from £100 up."""
    shape = rng.lognormal(0.0, 0.7, world.lenders)
    pounds = np.maximum(100, np.rint(shape / shape.sum() * world.paid_in / 100))
    pence: npt.NDArray[np.int64] = (pounds * 100).astype(np.int64)
    return pence


def offers(
    lender_ids: Sequence[int],
    paid_in: npt.NDArray[np.int64],
    markets: Sequence[MarketView],
    rng: np.random.Generator,
) -> list[Draft]:
    """Each lender's offer: most of the money, bands up to a personal appetite, a personal rate.

    The rate asked lies around the guide rate, some less and some more, in steps of .1 %, within
    the bounds that the market accepts. Exposure limits are mostly £10 to £50 per borrower. One in
    six leaves the rate to the pool, one in ten follows the traded rate; most put repayments on
    offer again.
    """
    bands = max(market.position for market in markets)
    drafts: list[Draft] = []
    for lender, pence in zip(lender_ids, paid_in.tolist(), strict=True):
        appetite = bands - int(rng.choice(4, p=[0.65, 0.2, 0.1, 0.05]))
        caution = 1 + int(rng.random() < 0.4)
        taste = rng.normal(0.0, 4_500.0)
        terms = HOUSE.terms if rng.random() < 0.7 else (int(rng.choice(HOUSE.terms)),)
        rates = {
            market.market_id: _asked(market, taste + rng.normal(0.0, 1_500.0))
            for market in markets
            if market.term_months in terms and caution <= market.position <= appetite
        }
        amount = int(pence * rng.uniform(0.85, 1.0)) // HOUSE.step * HOUSE.step
        limit, tops_up = _limit(amount, rng), bool(rng.random() < 0.7)
        style = rng.random()
        if style < 1 / 6:
            share = -(-limit * PPM // amount)
            drafts.append(PoolDraft(lender, amount, share, dict.fromkeys(rates, PPM), tops_up))
        else:
            asked = _pegs(rates, markets) if style > 0.9 else rates
            drafts.append(OfferDraft(lender, amount, limit, asked, tops_up))
    return drafts


def _pegs(rates: Mapping[int, int], markets: Sequence[MarketView]) -> dict[int, int | Peg]:
    """The same appetite as pegs: as far from the traded rate, and never much below it."""
    guides = {market.market_id: market.guide_rate for market in markets}
    return {
        market: Peg(margin=rate - guides[market], floor=rate - 2_000)
        for market, rate in rates.items()
    }


def _limit(amount: int, rng: np.random.Generator) -> int:
    """An exposure limit, pence: two or three per cent of the offer, £10 to £50; a few take £100."""
    wanted = 10_000 if rng.random() < 0.03 else min(5_000, int(amount * rng.uniform(0.015, 0.04)))
    return max(HOUSE.step, min(wanted, amount) // HOUSE.step * HOUSE.step)


def _asked(market: MarketView, around: float) -> int:
    """A rate near the guide rate, ppm, in steps of .1 %, inside the market's bounds."""
    step = 1_000
    lowest = -(-market.lowest_rate // step) * step
    highest = market.highest_rate // step * step
    return int(np.clip(round((market.guide_rate + around) / step) * step, lowest, highest))


def applicants(rows: Sequence[HoldoutRow], rng: np.random.Generator) -> list[HoldoutRow]:
    """Past applications that the model has not seen and the house could lend to, shuffled.

    Their amounts are taken as pounds, rounded down to £10.
    """
    within = [
        row
        for row in rows
        if row.amount is not None
        and row.term_months in HOUSE.terms
        and HOUSE.smallest_loan <= loan_amount(row) <= HOUSE.largest_loan
    ]
    return [within[place] for place in rng.permutation(len(within))]


def highest_rate(market: MarketView, rng: np.random.Generator) -> int:
    """The most a borrower will pay: the guide rate and half to two per cent more, ppm."""
    step = HOUSE.highest_rate_step
    wanted = (market.guide_rate + int(rng.integers(5_000, 20_000))) // step * step
    return min(wanted, market.highest_rate // step * step)


def loan_amount(row: HoldoutRow) -> int:
    """What a past applicant asks for here, pence."""
    return int(row.amount or 0) * 100 // HOUSE.step * HOUSE.step


def application(row: HoldoutRow, borrower_id: int) -> ApplicationDraft:
    """A past application as one of ours."""
    return ApplicationDraft(
        borrower_id=borrower_id,
        amount=loan_amount(row),
        term_months=row.term_months or 0,
        facts=dict(row.facts),
    )


@dataclass(frozen=True)
class Conduct:
    """How a borrower pays: until ``stops_at`` (an instalment's number), of which only a share.

    ``stops_at`` is beyond the last instalment for somebody who always pays.
    """

    stops_at: int
    last_share: float

    def pays(self, number: int, due: int) -> int:
        """Pence paid when ``due`` pence are due with instalment ``number``."""
        if number < self.stops_at:
            return due
        return int(due * self.last_share) if number == self.stops_at else 0


@dataclass(frozen=True)
class ConductCollector(AnswersAtOnce):
    """A bank whose borrowers pay as their conduct says: an instalment whole, or not at all.

    Attributes:
        numbers: the instalments' numbers by due date.
        conduct: how each loan's borrower pays, by loan.
    """

    numbers: Mapping[date, int]
    conduct: Mapping[int, Conduct]

    def answer(self, presented: Presented) -> CollectorAnswer:
        """What becomes of a direct debit: paid, unless the borrower has stopped paying."""
        number = self.numbers[presented.due_on]
        if number < self.conduct[presented.loan_id].stops_at:
            return CollectorAnswer(collected=True)
        return CollectorAnswer(collected=False, reason=NO_MONEY)


def conduct(row: HoldoutRow, world: World, rng: np.random.Generator) -> Conduct:
    """Somebody whose real loan went bad stops at a drawn instalment, often after a part of one."""
    stops_at = int(rng.integers(1, world.months - HOUSE.default_months - 1))
    share = float(rng.choice([0.0, 0.25, 0.5, 0.8]))
    return Conduct(stops_at, share) if row.is_bad else Conduct(world.months + 1, 1.0)
