"""Ageing loans: overdue ones go into arrears, and into default when four months have passed.

Arrangements and hardship end here too, when their time is over or they are not kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from django.db import connection, transaction

from marketplace.core.arrays import IntArray
from marketplace.core.arrears import default_date
from marketplace.core.house import HOUSE, House
from marketplace.core.life_records import DayStage
from marketplace.core.loan_events import DefaultCause, LoanEventKind
from marketplace.core.schedule import add_months
from marketplace.core.states import LoanState
from marketplace.selectors.ageing import (
    Spell,
    load_late_on,
    load_overdue,
    load_paused,
    load_spells,
)
from marketplace.selectors.stored_lives import load_lives, replay_to
from marketplace.services.locks import lock_loans, lock_servicing
from marketplace.services.moves import LoanMoved, move_loans

# Who causes what no person did.
_HOUSE = "house"


@dataclass(frozen=True)
class Aged:
    """How many loans went into arrears, how many into default, and how many spells ended.

    A spell is an arrangement or hardship.
    """

    arrears: int
    default: int
    ended: int = 0


def age_loans(*, on: date, loan_ids: IntArray | None = None, house: House = HOUSE) -> Aged:
    """Move loans by the oldest due date before ``on`` that no payment covers; posts nothing.

    Money that has arrived and is not cleared yet counts as paid. Default is reached when the
    oldest unpaid due date is four calendar months past, not counting days of an arrangement or of
    hardship (house rule; Zopa's own). What a day brought is recorded as of that day, though it be
    found later. A fixed number of statements.

    Args:
        on: the business date that ends.
        loan_ids: which loans; all without it. Of some, the caller holds the loans.
        house: settings.

    Returns:
        How many loans moved.
    """
    with transaction.atomic():
        if loan_ids is None:
            lock_servicing()
        held = _candidates(on, loan_ids)
        lock_loans(held)
        if not len(held):
            return Aged(arrears=0, default=0)
        over, ended = _end_spells(on, held, house)
        arrears = _put_into_arrears(on, held, ended)
        default = _put_into_default(on, held, ended, house)
    return Aged(arrears=arrears, default=default, ended=over)


def _candidates(on: date, loan_ids: IntArray | None) -> IntArray:
    """Loans that may move, sorted: all are locked together, in the order that everybody keeps."""
    loans = {spell.loan_id for spell in load_spells(loan_ids)}
    loans |= set(load_overdue(on, [LoanState.ACTIVE, LoanState.ARREARS], loan_ids))
    return np.array(sorted(loans), dtype=np.int64)


def _put_into_arrears(on: date, held: IntArray, ended: set[int]) -> int:
    moves = [
        LoanMoved(
            loan,
            LoanState.ACTIVE,
            LoanState.ARREARS,
            f"The instalment of {oldest} is overdue.",
            on=oldest + timedelta(days=1),
        )
        for loan, oldest in load_overdue(on, [LoanState.ACTIVE], held).items()
        if loan not in ended
    ]
    move_loans(moves=moves, on=on)
    return len(moves)


def _put_into_default(on: date, held: IntArray, ended: set[int], house: House) -> int:
    overdue = {
        loan: oldest
        for loan, oldest in load_overdue(on, [LoanState.ARREARS], held).items()
        if default_date(oldest, months=house.default_months) <= on and loan not in ended
    }
    paused = load_paused(list(overdue))
    days = {
        loan: default_date(oldest, months=house.default_months)
        for loan, oldest in overdue.items()
        if loan not in paused
    }
    days |= _default_by_life(paused, on, house)
    moves = [
        LoanMoved(
            loan,
            LoanState.ARREARS,
            LoanState.DEFAULT,
            f"The instalment of {overdue[loan]} is {house.default_months} months overdue.",
            on=day,
        )
        for loan, day in sorted(days.items())
    ]
    move_loans(moves=moves, on=on)
    _record(moves, LoanEventKind.DEFAULT, on)
    _make_all_due([move.loan_id for move in moves])
    return len(moves)


def _default_by_life(paused: Collection[int], on: date, house: House) -> dict[int, date]:
    """The days of default of loans that had an arrangement or hardship, where they have come.

    Their lives tell for how long the clock stood still: an arrangement that is on record may have
    had no place after all, once a payment bounced or was found. Eight statements, if any.
    """
    found = {}
    for stored in load_lives(paused) if paused else ():
        # A day that is over may be aged when somebody has already paid on the next one.
        life = replay_to(stored, on, through=DayStage.AGED, house=house)
        if life.defaulted_on is not None:
            found[stored.loan.pk] = life.defaulted_on
    return found


def _make_all_due(loan_ids: Sequence[int]) -> None:
    """At default all principal is due at once, and no more interest falls due.

    What is paid from then on goes to the oldest instalment first, as before.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_instalment AS i SET interest_due = 0,"
            " balance_months = l.balance_months FROM marketplace_loan AS l"
            " WHERE l.id = i.loan_id AND l.id = ANY (%s) AND i.interest_due IS NULL",
            [list(loan_ids)],
        )


def _record(moves: Sequence[LoanMoved], kind: LoanEventKind, on: date) -> None:
    """Write the events that no person caused, under the loans' next numbers; one statement."""
    if not moves:
        return
    cause = DefaultCause.OVERDUE.value if kind is LoanEventKind.DEFAULT else ""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH n AS (UPDATE marketplace_loan AS l SET events = l.events + 1"
            " FROM unnest(%s::bigint[], %s::date[], %s::text[]) AS g (id, day, reason)"
            " WHERE l.id = g.id RETURNING l.id, l.events, g.day, g.reason)"
            " INSERT INTO marketplace_loanevent"
            " (loan_id, number, kind, effective_on, recorded_on, actor, reason, cause)"
            " SELECT id, events, %s, day, %s, %s, reason, %s FROM n ORDER BY id",
            [
                [move.loan_id for move in moves],
                [move.on or on for move in moves],
                [move.reason for move in moves],
                kind.value,
                on,
                _HOUSE,
                cause,
            ],
        )


def _end_spells(on: date, held: IntArray, house: House) -> tuple[int, set[int]]:
    """End arrangements and hardship that are over: how many, and the loans of those of ``on``."""
    over: dict[LoanEventKind, list[tuple[Spell, date, str]]] = defaultdict(list)
    for spell in load_spells(held):
        found = _end_of(spell, on, house)
        if found is not None:
            over[_ENDS[spell.state]].append((spell, *found))
    ended: set[int] = set()
    for kind, spells in over.items():
        late = load_late_on({spell.loan_id: day for spell, day, _ in spells})
        moves = [
            LoanMoved(
                spell.loan_id,
                spell.state,
                LoanState.ARREARS if spell.loan_id in late else LoanState.ACTIVE,
                reason,
                on=day,
            )
            for spell, day, reason in spells
        ]
        move_loans(moves=moves, on=on)
        _record(moves, kind, on)
        ended |= {move.loan_id for move in moves if move.on == on}
    return sum(map(len, over.values())), ended


_ENDS = {
    LoanState.HARDSHIP: LoanEventKind.HARDSHIP_ENDED,
    LoanState.ARRANGEMENT: LoanEventKind.ARRANGEMENT_ENDED,
}


def _end_of(spell: Spell, on: date, house: House) -> tuple[date, str] | None:
    """The day on which a spell ended by itself, and why; nothing while it lasts."""
    if spell.state is LoanState.HARDSHIP:
        return (spell.until, "The hardship is over.") if spell.until <= on else None
    end = add_months(spell.began, spell.months)
    for month in range(1, spell.months):
        day = add_months(spell.began, month) + timedelta(days=house.arrangement_grace_days)
        if day > on or day >= end:
            break
        if sum(pence for received, pence in spell.paid if received <= day) < spell.amount * month:
            return day, "The arrangement was broken."
    return (end, "The arrangement is over.") if end <= on else None
