"""What a payment settles: oldest first, interest before principal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.errors import ShapeRefused, SpreadRefused
from marketplace.core.waterfall import OpenInstalments, waterfall

from . import reference
from .reference import ints


def _opened(rows: list[tuple[int, int, int, int, int]], offsets: list[int]) -> OpenInstalments:
    """Rows of number, interest due, principal due, interest paid and principal paid."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return OpenInstalments(*[*columns, ints(*offsets)])


# Loan A: two instalments of £5 interest and £25 principal; loan B: one, £2 of its interest paid.
# Loan C: nothing is open.
OPEN = _opened(
    [(4, 500, 2_500, 0, 0), (5, 480, 2_520, 0, 0), (1, 300, 1_000, 200, 0)],
    [0, 2, 3, 3],
)


def test_a_payment_by_hand() -> None:
    # A pays £31: £5 and £25, then £1 of the next interest. B pays £20: £1, £10, £9 left over.
    allocation = waterfall(OPEN, [3_100, 2_000, 5])
    assert allocation.interest.tolist() == [500, 100, 100]
    assert allocation.principal.tolist() == [2_500, 0, 1_000]
    assert allocation.unallocated.tolist() == [0, 900, 5]


@pytest.mark.parametrize(
    ("rows", "offsets", "amounts"),
    [
        ([(1, 5, 5, 0, 0)], [0, 1], [-1]),
        ([(1, 5, 5, 6, 0)], [0, 1], [1]),
        ([(1, 5, 5, 0, 6)], [0, 1], [1]),
    ],
)
def test_impossible_payments_are_refused(
    rows: list[tuple[int, int, int, int, int]], offsets: list[int], amounts: list[int]
) -> None:
    with pytest.raises(SpreadRefused):
        waterfall(_opened(rows, offsets), amounts)


@pytest.mark.parametrize(
    ("numbers", "offsets"), [([2, 1], [0, 2]), ([1, 1], [0, 2]), ([1, 2], [0, 1]), ([1, 2], [])]
)
def test_instalments_out_of_order_are_refused(numbers: list[int], offsets: list[int]) -> None:
    opened = _opened([(number, 5, 5, 0, 0) for number in numbers], offsets)
    with pytest.raises(ShapeRefused):
        waterfall(opened, [1])


instalments = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), max_size=6)


@settings(deadline=None)
@given(st.lists(st.tuples(instalments, st.integers(0, 6_000)), min_size=1, max_size=8))
def test_every_loan_is_settled_as_if_alone(
    loans: list[tuple[list[tuple[int, int]], int]],
) -> None:
    rows = [
        (number, interest, principal, 0, 0)
        for opened, _ in loans
        for number, (interest, principal) in enumerate(opened)
    ]
    offsets = np.cumsum([0, *(len(opened) for opened, _ in loans)]).tolist()
    allocation = waterfall(_opened(rows, offsets), [amount for _, amount in loans])
    for place, (opened, amount) in enumerate(loans):
        paid, rest = reference.waterfall(opened, amount)
        mine = slice(offsets[place], offsets[place + 1])
        both = zip(allocation.interest[mine], allocation.principal[mine], strict=True)
        assert list(both) == paid
        assert allocation.unallocated[place] == rest
