"""What a distribution fills, told from totals alone."""

from itertools import product

import pytest

from marketplace.core.errors import ShapeRefused, SpreadRefused
from marketplace.core.receipts import receipts_of_totals

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
