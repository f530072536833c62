"""Replaying cycles: what is stored is what the input gives, and whatever was altered is found.

Faults are planted behind the book's back: the owner switches the triggers off for it.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from marketplace.core.cycle import ENGINE
from marketplace.core.differences import Difference
from marketplace.models import Cycle, CycleMarket, CycleSight, Listing, Loan, Part
from marketplace.selectors.replay import (
    CycleNotReplayable,
    CycleUnknown,
    Replay,
    cycle_figures,
    cycle_ids,
    replay_cycle,
)
from marketplace.services.offering import PoolDraft, place_offers
from tests.marketplace.house import (
    DESIGN_PARTS,
    House,
    acting_as_owner,
    borrowers,
    cycle,
    key,
    listing,
    offer,
    paid_out,
)
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, enrol_lenders


def replayed(cycle_id: int) -> Replay:
    return replay_cycle(cycle_id, engine=ENGINE)


def as_owner(statement: str, values: Sequence[Any]) -> None:
    """Change or delete rows of a market's table with its triggers off."""
    table = next(word for word in statement.split() if word.startswith("marketplace_"))
    with acting_as_owner(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement, values)
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def busy_cycle(house: House) -> int:
    """Own rates, a pool offer and an implied band; four loans over two terms, one that waits.

    The pool lends at the guide rate; £45,000 are asked of the £24,000 at most there is in A/36.
    """
    lenders = enrol_lenders([1_000_000] * 4)
    offer(house, lenders[0], 600_000, {"A/36": 70_000, "A/60": 75_000}, limit=60_000)
    offer(house, lenders[1], 900_000, {"B/36": 90_000}, limit=100_000)
    offer(house, lenders[2], 500_000, {"A/36": 70_000}, limit=100_000)
    mix = {house.markets["A/36"].market_id: 600_000, house.markets["A/60"].market_id: 400_000}
    pool = PoolDraft(lenders[3].pk, 400_000, 250_000, mix)
    place_offers(drafts=[pool], on=DAY, actor=ACTOR, key=key())
    people = borrowers(5)
    for person, amount, term in zip(
        people, (120_000, 100_000, 150_000, 100_000, 2_500_000), (36, 36, 36, 60, 36), strict=True
    ):
        listing(house, person, amount, highest=100_000, term=term)
    return cycle().cycle_id


def test_cycles_are_the_same_again_whatever_came_later(house: House) -> None:
    first = busy_cycle(house)
    paid_out(house)
    second = cycle_ids()[-1]
    for each in (first, second):
        found = replayed(each)
        assert (found.same, found.differing, found.differences) == (True, 0, ())
        assert found.run_on == DAY
        assert list(found.markets) == cycle_figures(each)
    assert sum(market.loans for market in replayed(first).markets) >= 3
    assert Cycle.objects.get(pk=first).outcome["waiting"] == {"NOT_ENOUGH_OFFERS": 1}


def test_the_figures_of_the_design_fixture(house: House) -> None:
    paid_out(house, DESIGN_PARTS)
    [here] = [m for m in replayed(cycle_ids()[-1]).markets if m.market == "A/36"]
    # £480 at 6.9 % and £520 at 7.1 %: 7.0040 % (the module of rates), the dearest part 7.1 %.
    assert (here.listings, here.loans, here.parts, here.lent) == (1, 1, 2, 100_000)
    assert (here.marginal_rate, here.blend_rate) == (71_000, 70_040)
    # One loan: its blend is the cheapest and the dearest.
    assert (here.spread, here.deviation, here.runs) == (0, 0, 1)


def test_a_borrower_in_arrears_is_not_held_against_the_outcome(house: House) -> None:
    """Such a listing is not in what the cycle saw, and the outcome counts it all the same."""
    last = busy_cycle(house)
    made = Cycle.objects.get(pk=last)
    made.outcome["waiting"]["BORROWER_IN_ARREARS"] = 2
    made.save(update_fields=["outcome"])
    assert replayed(last).same


def test_it_takes_as_many_statements_for_many_parts(house: House) -> None:
    paid_out(house)
    few = statements(lambda: replayed(cycle_ids()[-1]))
    busy = busy_cycle(house)
    assert statements(lambda: replayed(busy)) <= few <= 9


@pytest.mark.parametrize(
    ("column", "change", "name"),
    [
        ("rate", 1, "rate"),
        ("size", 1_000, "size"),
        ("pricing", 1, "pricing"),
        ("limit", 1_000, "limit"),
        ("monthly_rate", 1, "monthly rate"),
    ],
)
def test_one_altered_part_is_found(
    committed_house: House, column: str, change: int, name: str
) -> None:
    made = paid_out(committed_house)
    part = Part.objects.get(loan=made.loan_id, number=2)
    before = getattr(part, column)
    as_owner(
        f'UPDATE marketplace_part SET "{column}" = "{column}" + %s WHERE id = %s', [change, part.pk]
    )
    found = replayed(cycle_ids()[-1])
    what = f"part 2 of listing {made.loan.listing_id}: {name}"
    assert found.differences == (Difference(what, str(before + change), str(before)),)
    assert (found.same, found.differing) == (False, 1)


def test_parts_exchanged_taken_away_or_added_are_found(committed_house: House) -> None:
    made = paid_out(committed_house)
    last, listed = cycle_ids()[-1], made.loan.listing_id
    first, second = Part.objects.filter(loan=made.loan_id).order_by("number")
    lender = "UPDATE marketplace_part SET lender_id = %s, offer_id = %s WHERE id = %s"
    as_owner(lender, [second.lender_id, second.offer_id, first.pk])
    assert [d.what for d in replayed(last).differences] == [
        f"part 1 of listing {listed}: lender",
        f"part 1 of listing {listed}: offer",
    ]
    as_owner(lender, [first.lender_id, first.offer_id, first.pk])
    assert replayed(last).same
    as_owner("UPDATE marketplace_part SET number = 7 WHERE id = %s", [second.pk])
    assert replayed(last).differences == (
        Difference(f"part 7 of listing {listed}", "there", "missing"),
        Difference(f"part 2 of listing {listed}", "missing", "there"),
    )


def test_altered_loans_markets_outcomes_and_reasons_are_found(committed_house: House) -> None:
    last = busy_cycle(committed_house)
    assert replayed(last).same
    loan = Loan.objects.filter(cycle=last).order_by("listing_id").first()
    waits = Listing.objects.get(waits_because="NOT_ENOUGH_OFFERS")
    row = CycleMarket.objects.filter(cycle=last, loans__gt=0).order_by("turn").first()
    assert loan is not None
    assert row is not None
    as_owner("UPDATE marketplace_loan SET rate = rate + 1 WHERE id = %s", [loan.pk])
    as_owner("UPDATE marketplace_cyclemarket SET runs = runs + 1 WHERE id = %s", [row.pk])
    as_owner("UPDATE marketplace_listing SET waits_because = 'X' WHERE id = %s", [waits.pk])
    as_owner(
        "UPDATE marketplace_cycle SET outcome = outcome || '{\"lent\": 1}' WHERE id = %s", [last]
    )
    lent = sum(m.lent for m in cycle_figures(last))
    assert set(replayed(last).differences) == {
        Difference(f"{row.market}: runs", str(row.runs + 1), str(row.runs)),
        Difference(f"loan of listing {loan.listing_id}: rate", str(loan.rate + 1), str(loan.rate)),
        Difference("outcome: lent", "1", str(lent)),
        Difference(f"listing {waits.pk}: why it waits", "X", "NOT_ENOUGH_OFFERS"),
    }


def test_a_market_without_its_row_is_found(committed_house: House) -> None:
    last = busy_cycle(committed_house)
    count = CycleMarket.objects.filter(cycle=last).count()
    as_owner("DELETE FROM marketplace_cyclemarket WHERE cycle_id = %s AND turn = 0", [last])
    assert [d.what for d in replayed(last).differences] == ["markets' rows"]
    assert count == len(replayed(last).markets)


def _with_a_dearer_offer(packed: bytes) -> bytes:
    """The same sight, but for one ppm of one rate."""
    with np.load(io.BytesIO(zlib.decompress(packed)), allow_pickle=False) as kept:
        columns = {name: kept[name] for name in kept.files}
    columns["named.rate"][0] += 1
    written = io.BytesIO()
    np.savez(written, allow_pickle=False, **columns)
    return zlib.compress(written.getvalue())


def test_an_altered_sight_is_found_by_its_digest(committed_house: House) -> None:
    paid_out(committed_house)
    last = cycle_ids()[-1]
    sight = bytes(CycleSight.objects.get(cycle=last).packed)
    update = "UPDATE marketplace_cyclesight SET packed = %s WHERE cycle_id = %s"
    as_owner(update, [_with_a_dearer_offer(sight), last])
    found = replayed(last)
    assert [d.what for d in found.differences] == ["digest of what the cycle saw"]
    assert found.markets == ()
    for nonsense in (b"", b"nonsense", sight[:-30], sight[: len(sight) // 2], b"\x93NUMPY\x01\x00"):
        as_owner(update, [nonsense, last])
        assert [d.what for d in replayed(last).differences] == ["what the cycle saw"]
    as_owner(update, [sight, last])
    assert replayed(last).same


def test_what_cannot_be_replayed_is_refused(house: House) -> None:
    with pytest.raises(CycleUnknown, match="No cycle has run"):
        cycle_ids()
    with pytest.raises(CycleUnknown, match="no cycle 999"):
        replayed(999)
    last = busy_cycle(house)
    with pytest.raises(CycleNotReplayable, match=f"ran with engine {ENGINE}; this is engine 99"):
        replay_cycle(last, engine=99)


class TestCommand:
    def test_the_same_ends_with_status_0(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first = busy_cycle(house)
        call_command("replay_cycle", str(first))
        told = capsys.readouterr().out
        assert f"Cycle {first} of {DAY}, replayed" in told
        [here] = [line for line in told.splitlines() if "A/36" in line]
        figures = next(m for m in cycle_figures(first) if m.market == "A/36")
        cells = [cell.strip() for cell in here.strip("│").split("│")]
        assert cells[1:4] == ["4", str(figures.loans), str(figures.parts)]
        assert told.endswith(f"Cycle {first}: the same.\n")
        paid_out(house)
        last = cycle_ids()[-1]
        call_command("replay_cycle", "--last")
        assert f"Cycle {last}: the same." in capsys.readouterr().out
        call_command("replay_cycle", "--all")
        told = capsys.readouterr().out
        assert told.index(f"Cycle {first}: the same.") < told.index(f"Cycle {last}: the same.")

    def test_a_difference_ends_with_status_1(
        self, committed_house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = paid_out(committed_house)
        update = "UPDATE marketplace_part SET rate = 69001 WHERE loan_id = %s AND number = 1"
        as_owner(update, [made.loan_id])
        for words in (("--last",), ("--all",), (str(cycle_ids()[-1]),)):
            with pytest.raises(CommandError) as failed:
                call_command("replay_cycle", *words)
            assert failed.value.returncode == 1
            [row] = [line for line in capsys.readouterr().out.splitlines() if "part 1 of" in line]
            assert [c.strip() for c in row.strip("│").split("│")][1:] == ["69001", "69000"]

    def test_refusals_end_with_status_2(self, house: House) -> None:
        for words in (("--last",), ("--all",), ("7",)):
            with pytest.raises(CommandError, match="CYCLE_UNKNOWN") as failed:
                call_command("replay_cycle", *words)
            assert failed.value.returncode == 2
        last = busy_cycle(house)
        Cycle.objects.filter(pk=last).update(settings={"engine": 0})
        with pytest.raises(CommandError, match="CYCLE_NOT_REPLAYABLE") as failed:
            call_command("replay_cycle", "--all")
        assert failed.value.returncode == 2
