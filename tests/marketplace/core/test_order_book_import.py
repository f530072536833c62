"""From rows of a file to offers: what is one offer, what is implied, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketplace.core.errors import OrderBookRefused
from marketplace.core.order_book_export import MASK
from marketplace.core.order_book_file import BookRow, OrderBookFile
from marketplace.core.order_book_import import FileOffers, offers_of
from tests.marketplace.core.test_order_book_export import NOON, row


def sorted_into(*rows: BookRow) -> FileOffers:
    return offers_of(OrderBookFile("book.csv", rows))


def test_rows_of_one_member_and_name_are_one_offer() -> None:
    found = sorted_into(
        row(row=2, member="jo", offer_name="x", rate_ppm=70_000, available=5_000),
        row(row=3, member="jo", offer_name="y"),
        row(row=4, member="al", offer_name="x"),
        row(row=5, member="jo", offer_name="x", term=60, rate_ppm=75_000, available=5_000),
    )
    assert [[each.row for each in offer.rows] for offer in found.offers] == [[2, 5], [3], [4]]
    first = found.offers[0]
    assert (first.member, first.amount, first.exposure_limit, first.row) == ("jo", 5_000, 1_000, 2)


@pytest.mark.parametrize("name", ["", MASK, "*"])
def test_a_row_without_a_name_is_an_offer_by_itself(name: str) -> None:
    found = sorted_into(
        row(row=2, member="jo", offer_name=name), row(row=3, member="jo", offer_name=name)
    )
    assert [offer.row for offer in found.offers] == [2, 3]


def test_what_is_left_of_an_offer_bounds_its_limit() -> None:
    # £500 for one borrower, of which £300 are left: nobody could have more than £300.
    [offer] = sorted_into(row(member="jo", max_exposure=50_000, available=30_000)).offers
    assert (offer.amount, offer.exposure_limit) == (30_000, 30_000)


def test_implied_rows_are_counted_and_not_offers() -> None:
    found = sorted_into(
        row(row=2, member="jo", offer_name="x", market="A*", original_market="B"),
        row(row=3, member="jo", offer_name="x", market="A", original_market="B"),
        row(row=4, member="jo", offer_name="x", market="B", original_market="B"),
        # C/36 is not in the file, nor is B/60.
        row(row=5, member="jo", offer_name="z", market="A", original_market="C"),
        row(row=6, member="jo", offer_name="x", market="A", original_market="B", term=60),
    )
    assert [offer.row for offer in found.offers] == [4]
    assert (found.implied, found.orphans) == (4, 2)


def test_offers_go_by_date_then_by_what_they_bring_then_as_in_the_file() -> None:
    later = NOON + timedelta(seconds=1)
    found = sorted_into(
        row(row=2, member="a", offer_name="1", offered_at=later),
        row(row=3, member="b", offer_name="2"),
        row(row=4, member="c", offer_name="3", max_exposure=2_000, available=2_000),
        row(row=5, member="d", offer_name="4"),
        # The earliest of its markets counts.
        row(row=6, member="e", offer_name="5", offered_at=later),
        row(row=7, member="e", offer_name="5", term=60, offered_at=NOON - timedelta(days=1)),
    )
    assert [offer.member for offer in found.offers] == ["e", "c", "b", "d", "a"]


@pytest.mark.parametrize(
    ("figures", "column", "words"),
    [
        ({"member": None}, "Member ID", "masked"),
        ({}, "Market", "row 2 of the same offer"),
        ({"term": 60, "available": 2_000}, "Available", "row 2"),
        ({"term": 60, "max_exposure": 2_000}, "Max Exposure", "one offer has one amount"),
    ],
)
def test_what_is_no_offer_is_refused(figures: dict[str, Any], column: str, words: str) -> None:
    """Each differs in one thing from a second market of the first row's offer."""
    sorted_into(row(member="jo", offer_name="x"), row(row=3, member="jo", offer_name="x", term=60))
    with pytest.raises(OrderBookRefused, match=words) as refused:
        sorted_into(
            row(member="jo", offer_name="x"),
            row(**{"row": 3, "member": "jo", "offer_name": "x"} | figures),
        )
    assert (refused.value.row, refused.value.column) == (3, column)


def test_a_file_of_implied_rows_alone_is_refused() -> None:
    with pytest.raises(OrderBookRefused, match="no offer is here"):
        sorted_into(row(member="jo", original_market="B"))
