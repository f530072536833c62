"""The book by days past due, and the industry's measures of bad debt beside the house's own.

The industry's *arrears* are loans more than 45 days overdue, or renegotiated; its *default* is a
loan 120 days overdue, or of which payment is not to be expected (which the house's own default is).
A loan in default is not counted as arrears again. Three figures are published for each calendar
year of lending: arrears as a share of what is outstanding, defaults expected over the loans' lives
and defaults that happened as shares of what was lent. Source: P2P Finance Association, disclosure
of bad debt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import BoolArray, IntArray
from marketplace.core.arrears import INDUSTRY_ARREARS_DAYS, INDUSTRY_DEFAULT_DAYS, ArrearsBucket
from marketplace.core.errors import ShapeRefused
from marketplace.core.provision_fund import PPM

FloatArray = npt.NDArray[np.float64]

ALL = "all"
_LAST_DAYS = np.array([0, 30, 60, 90, 120])


@dataclass(frozen=True, slots=True, eq=False)
class DebtBook:
    """Every loan ever paid out, as of the end of a day; arrays of shape ``(n,)``.

    Attributes:
        market, band: names, an object array each.
        year: calendar year of the pay-out.
        lent: pence; ``outstanding`` is principal not repaid, whatever became of the loan.
        days_past_due: since the oldest due date not paid in full.
        lost: in default by the house's rule, or written off, or settled for less.
        closed: repaid, rescinded, or recovered in full.
        forborne: in an arrangement or in hardship.
        expected_loss: frozen lifetime loss, ppm of what was lent; ``loss_given_default`` a share.
        cost: pence that recovering cost.
    """

    market: npt.NDArray[np.object_]
    band: npt.NDArray[np.object_]
    year: IntArray
    lent: IntArray
    outstanding: IntArray
    days_past_due: IntArray
    lost: BoolArray
    closed: BoolArray
    forborne: BoolArray
    expected_loss: IntArray
    loss_given_default: FloatArray
    cost: IntArray


@dataclass(frozen=True, slots=True)
class Count:
    """So many loans, and pence of principal outstanding on them."""

    loans: int = 0
    principal: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """The loans of a market, of a band, or all.

    Attributes:
        name: whose they are.
        buckets: loans that run, by days past due, every bucket in order.
        running: all of them.
        forborne: those of them in an arrangement or in hardship.
        house_default: in default by the house's rule and still owed, written off or not.
        industry_arrears, industry_default: the industry's measures of running and defaulted loans.
    """

    name: str
    buckets: tuple[tuple[ArrearsBucket, Count], ...]
    running: Count
    forborne: Count
    house_default: Count
    industry_arrears: Count
    industry_default: Count


@dataclass(frozen=True, slots=True)
class LendingYear:
    """The industry's three figures for the loans paid out in a calendar year; pence.

    Attributes:
        loans, lent: paid out in the year.
        outstanding: principal of them that runs, not in the industry's default.
        arrears: of that, on loans in the industry's arrears.
        expected_defaults: principal expected to default over their lives, frozen at assessment.
        defaults: principal in default and not recovered, with what recovering cost.
    """

    year: int
    loans: int
    lent: int
    outstanding: int
    arrears: int
    expected_defaults: int
    defaults: int

    @property
    def arrears_ppm(self) -> int | None:
        """Arrears as a share of what is outstanding; none where nothing is."""
        return _share(self.arrears, self.outstanding)

    @property
    def expected_ppm(self) -> int | None:
        """Lifetime defaults expected, as a share of what was lent."""
        return _share(self.expected_defaults, self.lent)

    @property
    def defaults_ppm(self) -> int | None:
        """Defaults that happened, as a share of what was lent."""
        return _share(self.defaults, self.lent)


@dataclass(frozen=True, slots=True)
class ArrearsReport:
    """The book as of the end of a day: all of it, by band and by market, and years of lending."""

    on: date
    all: Group
    bands: tuple[Group, ...]
    markets: tuple[Group, ...]
    years: tuple[LendingYear, ...]


def arrears_report_of(
    on: date, book: DebtBook, *, bands: Sequence[str] = (), markets: Sequence[str] = ()
) -> ArrearsReport:
    """Count a book.

    Args:
        on: the day that it is as of.
        book: every loan paid out by then.
        bands, markets: names in the order in which they are reported; those without loans are, too.

    Raises:
        ShapeRefused: columns of different lengths, or a loan of a band or market not named.
    """
    columns = [getattr(book, name) for name in book.__slots__]
    if len({column.shape for column in columns}) > 1:
        raise ShapeRefused("Every loan needs all of its figures.", field="book")
    for named, used in ((bands, book.band), (markets, book.market)):
        if named and not np.isin(used.astype(str), list(named)).all():
            raise ShapeRefused("A loan is of a band or market that isn't named.", field="market")
    every = np.ones(len(book.lent), dtype=bool)
    return ArrearsReport(
        on,
        _group(ALL, book, every),
        tuple(_group(name, book, book.band == name) for name in bands),
        tuple(_group(name, book, book.market == name) for name in markets),
        tuple(_year(int(year), book, book.year == year) for year in np.unique(book.year)),
    )


def _group(name: str, book: DebtBook, inside: BoolArray) -> Group:
    runs = inside & ~book.closed & ~book.lost
    place = np.searchsorted(_LAST_DAYS, book.days_past_due, side="left")
    arrears, default = _industry(book)
    return Group(
        name,
        tuple(
            (bucket, _count(book, runs & (place == number)))
            for number, bucket in enumerate(ArrearsBucket)
        ),
        _count(book, runs),
        _count(book, runs & book.forborne),
        _count(book, inside & ~book.closed & book.lost),
        _count(book, inside & arrears),
        _count(book, inside & default),
    )


def _year(year: int, book: DebtBook, inside: BoolArray) -> LendingYear:
    arrears, default = _industry(book)
    severity = book.loss_given_default
    # What defaults is the loss before recoveries; without a loss there is nothing to tell it from.
    share = np.divide(
        book.expected_loss / PPM, severity, out=np.zeros_like(severity), where=severity > 0
    )
    expected = np.minimum(share, 1.0) * book.lent
    return LendingYear(
        year=year,
        loans=int(inside.sum()),
        lent=_sum(book.lent, inside),
        outstanding=_sum(book.outstanding, inside & ~book.closed & ~default),
        arrears=_sum(book.outstanding, inside & arrears),
        expected_defaults=round(float(expected[inside].sum())),
        defaults=_sum(book.outstanding + book.cost, inside & default),
    )


def _industry(book: DebtBook) -> tuple[BoolArray, BoolArray]:
    """The industry's arrears and default; no loan is in both."""
    open_ = ~book.closed
    default = open_ & (book.lost | (book.days_past_due >= INDUSTRY_DEFAULT_DAYS))
    late = (book.days_past_due > INDUSTRY_ARREARS_DAYS) | book.forborne
    return open_ & late & ~default, default


def _count(book: DebtBook, chosen: BoolArray) -> Count:
    return Count(int(chosen.sum()), _sum(book.outstanding, chosen))


def _sum(pence: IntArray, chosen: BoolArray) -> int:
    return int(pence[chosen].sum())


def _share(part: int, whole: int) -> int | None:
    return part * PPM // whole if whole else None
