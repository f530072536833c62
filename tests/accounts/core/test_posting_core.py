"""A posting's digests: the same for the same transfers in any order, whatever else is posted."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core.chart import Book
from accounts.core.posting import (
    EntryDraft,
    EntryKind,
    Leg,
    Posting,
    PostingMalformed,
    posting,
)

DAY = date(2016, 4, 1)
_TRANSFER = st.tuples(st.integers(1, 50), st.integers(51, 99), st.integers(1, 10**11 - 1))


def _entry(key: str, reverses: int | None = None) -> EntryDraft:
    return EntryDraft(EntryKind.DEPOSIT, key, DAY, "t", "t", reverses)


def _of(transfers: list[tuple[int, int, int]], place: int = 0) -> list[Leg]:
    return [Leg(place, debit, credit, amount, Book.CASH) for debit, credit, amount in transfers]


def _digest(transfers: list[tuple[int, int, int]]) -> bytes:
    return posting([_entry("k")], _of(transfers)).digests()[0]


@given(st.lists(_TRANSFER, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_order_does_not_matter(transfers: list[tuple[int, int, int]], chance: object) -> None:
    shuffled = list(transfers)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _digest(shuffled) == _digest(transfers)


@given(st.lists(_TRANSFER, min_size=1, max_size=4), st.lists(_TRANSFER, min_size=5, max_size=9))
def test_few_and_many_are_added_up_alike(
    few: list[tuple[int, int, int]], many: list[tuple[int, int, int]]
) -> None:
    """An entry by itself, in plain integers, and beside a larger one, by numpy."""
    both = posting([_entry("k"), _entry("other")], _of(few) + _of(many, 1)).digests()
    assert both == [_digest(few), _digest(many)]


@given(st.lists(_TRANSFER, min_size=1, max_size=6), _TRANSFER)
def test_another_transfer_is_another_digest(
    transfers: list[tuple[int, int, int]], extra: tuple[int, int, int]
) -> None:
    assert _digest([*transfers, extra]) != _digest(transfers)
    debit, credit, amount = transfers[0]
    for changed in ((debit, credit, amount + 1), (credit, debit, amount)):
        assert _digest([changed, *transfers[1:]]) != _digest(transfers)


def test_what_an_entry_says_counts_too() -> None:
    leg = _of([(1, 2, 3)])
    digests = {
        posting([entry], leg).digests()[0]
        for entry in (
            _entry("k"),
            _entry("k", reverses=5),
            EntryDraft(EntryKind.MATCHED, "k", DAY, "t", "t"),
            EntryDraft(EntryKind.DEPOSIT, "k", date(2016, 4, 2), "t", "t"),
            EntryDraft(EntryKind.DEPOSIT, "k", DAY, "t", "another"),
        )
    }
    assert len(digests) == 5
    # Neither the key, which is looked up by, nor who asked.
    other = EntryDraft(EntryKind.DEPOSIT, "other", DAY, "somebody", "t")
    assert posting([other], leg).digests()[0] in digests


def test_many_transfers_are_written_by_account_and_few_as_given() -> None:
    rng = np.random.default_rng(1)
    debit, credit = rng.integers(1, 20_000, 30_000), rng.integers(20_000, 40_000, 30_000)
    many = posting([_entry("k")], [Leg(0, debit, credit, 5, Book.CASH)])
    stored = many.for_storage()
    assert sorted(zip(stored.debit, stored.credit, strict=True)) == sorted(
        zip(debit, credit, strict=True)
    )
    blocks = stored.debit >> 12
    assert (np.diff(blocks) >= 0).all()
    assert all((np.diff(stored.credit[blocks == block]) >= 0).all() for block in set(blocks))
    few = posting([_entry("k")], _of([(9, 2, 5), (3, 8, 5)]))
    assert few.for_storage() is few


def test_a_posting_whose_parts_do_not_fit_is_refused() -> None:
    column = np.array([1, 2])
    with pytest.raises(PostingMalformed):
        Posting((_entry("k"),), column, column, column, column, np.array([1])).checked()
    with pytest.raises(PostingMalformed):
        posting([_entry("k")], [Leg(-1, 1, 2, 3, Book.CASH)])
    with pytest.raises(PostingMalformed):
        posting([_entry("k")], [Leg(1, 1, 2, 3, Book.CASH)])
    with pytest.raises(PostingMalformed):
        posting([_entry("k"), _entry("idle")], _of([(1, 2, 3)]))
