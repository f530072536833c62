"""What a distribution fills, told from totals alone."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.errors import ShapeRefused, SpreadRefused
from marketplace.core.receipts import receipts_of_totals
from marketplace.core.waterfall import OpenInstalments, receipts_of, waterfall

from .reference import ints

# Two loans: periods of 100p, 0p and 50p (S 10, 20, 30), and one of 7p (S 5).
DUE, MONTHS, OFFSETS = [100, 0, 50, 7], [10, 20, 30, 5], [0, 3, 4]


def test_by_hand() -> None:
    # The first loan had 60p; 55p more make 115p: the first two periods are full (the second has
    # nothing to fill), 15p of the third's 50p are in. The second had nothing and gets its 7p.
    receipts = receipts_of_totals(
        principal=[9, 4],
        interest=[55, 7],
        interest_before=[60, 0],
        interest_due=DUE,
        pence_months=MONTHS,
        offsets=OFFSETS,
    )
    assert receipts.principal.tolist() == [9, 4]
    assert receipts.interest.tolist() == [55, 7]
    assert receipts.full_pence_months.tolist() == [20, 5]
    assert receipts.next_pence_months.tolist() == [30, 5]
    assert receipts.partial_interest.tolist() == [15, 0]


def test_a_loan_of_which_nothing_has_fallen_due() -> None:
    receipts = receipts_of_totals(
        principal=[0, 3],
        interest=[0, 2],
        interest_before=[0, 0],
        interest_due=[2],
        pence_months=[8],
        offsets=[0, 0, 1],
    )
    assert receipts.full_pence_months.tolist() == [0, 8]
    assert receipts.partial_interest.tolist() == [0, 0]


def test_every_small_case_by_a_plain_loop() -> None:
    for due in product(range(3), repeat=3):
        months = [4, 9, 9]
        for before in range(sum(due) + 1):
            for fresh in range(sum(due) - before + 1):
                full = following = reached = 0
                for bucket, s in zip(due, months, strict=True):
                    if reached + bucket > before + fresh:
                        following = s if before + fresh > reached else full
                        break
                    reached += bucket
                    full = following = s
                receipts = receipts_of_totals(
                    principal=[0],
                    interest=[fresh],
                    interest_before=[before],
                    interest_due=due,
                    pence_months=months,
                    offsets=[0, 3],
                )
                assert receipts.full_pence_months.tolist() == [full]
                assert receipts.next_pence_months.tolist() == [following]
                assert receipts.partial_interest.tolist() == [before + fresh - reached]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=6),
    st.lists(st.integers(0, 200), min_size=1, max_size=6),
)
def test_payments_through_the_waterfall_say_the_same(
    rows: list[tuple[int, int]], payments: list[int]
) -> None:
    due, principal = ints(*(i for i, _ in rows)), ints(*(p for _, p in rows))
    paid, repaid = np.zeros_like(due), np.zeros_like(due)
    months = np.arange(1, len(rows) + 1) * 10
    for amount in payments:
        opened = OpenInstalments(
            np.arange(len(rows)), due, principal, paid, repaid, months, ints(0, len(rows))
        )
        allocation = waterfall(opened, [amount])
        expected = receipts_of(opened, allocation, [0])
        told = receipts_of_totals(
            principal=expected.principal,
            interest=expected.interest,
            interest_before=[paid.sum()],
            interest_due=due,
            pence_months=months,
            offsets=[0, len(rows)],
        )
        for name in ("full_pence_months", "next_pence_months", "partial_interest"):
            assert getattr(told, name).tolist() == getattr(expected, name).tolist()
        paid, repaid = paid + allocation.interest, repaid + allocation.principal


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"interest": [91, 0]}, SpreadRefused),  # 60 + 91 of 150 that are due
        ({"interest": [-1, 0]}, SpreadRefused),
        ({"principal": [-1, 0]}, SpreadRefused),
        ({"interest_due": [100, -1, 50, 7]}, SpreadRefused),
        ({"pence_months": [10, 9, 30, 5]}, SpreadRefused),
        ({"interest": [1]}, ShapeRefused),
        ({"interest": [1.5, 0]}, ShapeRefused),
        ({"offsets": [0, 3]}, ShapeRefused),
        ({"offsets": [0, 4, 3]}, ShapeRefused),
        ({"offsets": []}, ShapeRefused),
    ],
)
def test_what_is_refused(changed: dict[str, list[int]], refusal: type[Exception]) -> None:
    given_: dict[str, list[int]] = {
        "principal": [0, 0],
        "interest": [90, 0],
        "interest_before": [60, 0],
        "interest_due": DUE,
        "pence_months": MONTHS,
        "offsets": OFFSETS,
    }
    receipts_of_totals(**given_)
    with pytest.raises(refusal):
        receipts_of_totals(**{**given_, **changed})
