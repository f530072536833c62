"""Breaks over the days: their identity and age, who closes them, and what nobody can rewrite."""

from __future__ import annotations

import itertools
import threading
from datetime import date, timedelta

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.core.chart import Kind
from accounts.core.reconciliation import BreakState, Check, Finding, ReconciliationKind, SealMark
from accounts.models import Break, Reconciliation, ReconciliationCheck
from accounts.selectors.reconciliation import held_by_kind, internal_checks
from accounts.selectors.reconciliations import (
    BreakView,
    breaks_of_day,
    is_recorded,
    last_seal_mark,
    latest_reconciliations,
    list_breaks,
    reconciliations,
)
from accounts.services.idempotency import KeyRefused
from accounts.services.posting import IdempotencyConflict
from accounts.services.reconciliation import (
    BreakNotOpen,
    BreakUnknown,
    NoteRefused,
    ReconciliationDateRefused,
    one_snapshot,
    record,
    resolve_break,
)
from tests.accounts.books import at_once, book, elsewhere, open_book

DAY = date(2016, 4, 1)
DAYS = [DAY + timedelta(days=n) for n in range(10)]
INTERNAL, EXTERNAL = ReconciliationKind
_KEYS = itertools.count(1)


def run(on: date, *checks: Check, kind: ReconciliationKind = INTERNAL, key: str = "") -> int:
    """Record what some rules found on a day."""
    with one_snapshot():
        return record(
            on=on, kind=kind, checks=checks, actor="member:900", key=key or f"k{next(_KEYS)}"
        )


def rule(*findings: Finding, name: str = "r") -> Check:
    return Check(name, "What must hold", 500, 501, 3, findings)


def only_break() -> BreakView:
    [found] = list_breaks(tuple(BreakState))
    return found


def test_what_was_found_is_kept(db: None) -> None:
    made = run(DAY, rule(Finding("x", 1, "expected 5.00, found 5.01")), rule(name="s"))
    [stored] = reconciliations([made])
    assert (stored.on, stored.kind, stored.holds, stored.actor) == (
        DAY,
        INTERNAL,
        False,
        "member:900",
    )
    first, second = stored.checks
    assert (first.rule, first.title, first.expected, first.found) == (
        "r",
        "What must hold",
        500,
        501,
    )
    assert (first.difference, first.checked, first.wrong, first.holds) == (1, 3, 1, False)
    assert second.holds
    found = only_break()
    assert (found.rule, found.reference, found.amount) == ("r", "x", 1)
    assert (found.detail, found.state, found.follows) == (
        "expected 5.00, found 5.01",
        BreakState.OPEN,
        None,
    )


def test_a_break_grows_older_and_is_cleared(db: None) -> None:
    """Found on days 0, 1 and 4 under one number, and on day 6 no more."""
    for day, amount in ((0, 1), (1, 1), (4, 7)):
        run(DAYS[day], rule(Finding("x", amount)))
    found = only_break()
    assert (found.first_seen_on, found.last_seen_on, found.amount) == (DAYS[0], DAYS[4], 7)
    assert [found.age(DAYS[day]) for day in (0, 1, 4)] == [0, 1, 4]
    cleared_by = run(DAYS[6], rule())
    found = only_break()
    assert (found.state, found.resolved_on) == (BreakState.CLEARED, DAYS[6])
    assert (found.resolved_by, found.note) == (f"reconciliation:{cleared_by}", "")
    # It is as old as it became.
    assert found.age(DAYS[9]) == 6
    assert list_breaks() == []
    assert breaks_of_day(DAYS[6]) == [found]
    assert breaks_of_day(DAYS[7]) == []


def test_one_that_comes_back_is_a_new_one_that_says_so(db: None) -> None:
    run(DAYS[0], rule(Finding("x", 1)))
    first = only_break()
    run(DAYS[1], rule())
    run(DAYS[2], rule(Finding("x", 1)))
    [second] = list_breaks()
    assert (second.follows, second.first_seen_on) == (first.id, DAYS[2])
    resolve_break(break_id=second.id, note="Put right.", actor="member:901", on=DAYS[2])
    run(DAYS[3], rule(Finding("x", 1)))
    [third] = list_breaks()
    assert (third.follows, third.age(DAYS[3])) == (second.id, 0)
    run(DAYS[3], rule(Finding("x", 1)))
    assert [each.id for each in list_breaks()] == [third.id]


def test_a_thing_with_a_date_of_its_own_is_that_old(db: None) -> None:
    run(DAYS[3], rule(Finding("x", since=DAYS[1]), Finding("y", since=DAYS[9])))
    assert [each.first_seen_on for each in list_breaks()] == [DAYS[1], DAYS[3]]


def test_only_rules_that_were_checked_are_cleared(db: None) -> None:
    run(DAY, rule(Finding("x")))
    run(DAY, rule(Finding("x"), name="s"), kind=EXTERNAL)
    run(DAYS[1], rule(name="s"), kind=EXTERNAL)
    assert [(each.rule, each.state) for each in list_breaks(tuple(BreakState))] == [
        ("r", BreakState.OPEN),
        ("s", BreakState.CLEARED),
    ]


def test_a_person_resolves_a_break(db: None) -> None:
    run(DAYS[0], rule(Finding("x", 1)))
    number = only_break().id
    resolve_break(break_id=number, note="  The bank's charge. ", actor="member:901", on=DAYS[2])
    found = only_break()
    assert (found.state, found.resolved_on) == (BreakState.RESOLVED, DAYS[2])
    assert (found.resolved_by, found.note) == ("member:901", "The bank's charge.")
    assert found.age(DAYS[9]) == 2
    with pytest.raises(BreakNotOpen, match="resolved already"):
        resolve_break(break_id=number, note="Again.", actor="member:901", on=DAYS[3])
    with pytest.raises(BreakUnknown):
        resolve_break(break_id=0, note="None.", actor="member:901", on=DAYS[3])


@pytest.mark.parametrize("note", ["", "  ", "two\nlines", "x" * 501])
def test_not_without_saying_why(db: None, note: str) -> None:
    run(DAY, rule(Finding("x", 1)))
    number = only_break().id
    with pytest.raises(NoteRefused) as refusal:
        resolve_break(break_id=number, note=note, actor="member:901", on=DAY)
    assert (refusal.value.code, refusal.value.field) == ("BREAK_NOTE_REFUSED", "note")
    assert only_break().state is BreakState.OPEN


def test_the_same_key_does_it_once(db: None) -> None:
    first = run(DAY, rule(Finding("x", 1)), key="one")
    assert is_recorded(INTERNAL, "member:900", "one")
    assert not is_recorded(EXTERNAL, "member:900", "one")
    assert run(DAY, key="one") == first
    assert only_break().state is BreakState.OPEN
    assert Reconciliation.objects.count() == 1
    with pytest.raises(IdempotencyConflict):
        run(DAYS[1], key="one")
    with pytest.raises(KeyRefused):
        run(DAY, key="x" * 121)


def test_dates_go_one_way(db: None) -> None:
    run(DAYS[1], rule())
    run(DAYS[1], rule())
    with pytest.raises(ReconciliationDateRefused) as refusal:
        run(DAYS[0], rule())
    assert "2016-04-02" in refusal.value.message
    run(DAYS[0], rule(), kind=EXTERNAL)


def test_where_the_next_run_begins(db: None) -> None:
    assert last_seal_mark() == SealMark()
    mark = SealMark(7, b"h" * 32)

    def sealed(on: date, mark: SealMark | None, kind: ReconciliationKind) -> None:
        record(on=on, kind=kind, checks=[], actor="t", key=f"k{next(_KEYS)}", sealed=mark)

    sealed(DAYS[0], mark, INTERNAL)
    sealed(DAYS[0], None, EXTERNAL)
    assert last_seal_mark() == mark
    # The journal didn't fit: the next time all of it is derived.
    sealed(DAYS[1], None, INTERNAL)
    assert last_seal_mark() == SealMark()


def test_statements_are_fixed_in_number(db: None) -> None:
    counts = []
    for size in (1, 60):
        for findings in ([Finding(f"{size}/{n}") for n in range(size)], []):
            with CaptureQueriesContext(connection) as queries:
                run(DAY, rule(*findings))
            counts.append(len(queries))
    assert counts[0] == counts[2]
    assert counts[1] == counts[3]


def test_the_newest_come_first(db: None) -> None:
    made = [run(day, rule()) for day in DAYS[:3]]
    assert [each.id for each in latest_reconciliations(2)] == [made[2], made[1]]
    assert [each.id for each in latest_reconciliations(2, before=made[1])] == [made[0]]


def _refused(statement: str) -> str | None:
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        connection.cursor().execute(statement)
    cause = refusal.value.__cause__
    assert isinstance(cause, psycopg.Error)
    return cause.sqlstate


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("UPDATE accounts_reconciliation SET holds = true", "42501"),
        ("DELETE FROM accounts_reconciliation", "42501"),
        ("TRUNCATE accounts_reconciliation CASCADE", "42501"),
        ("UPDATE accounts_reconciliationcheck SET found = expected, wrong = 0", "42501"),
        ("DELETE FROM accounts_reconciliationcheck", "42501"),
        (
            'INSERT INTO accounts_reconciliation ("on", kind, holds, actor, made_at)'
            " VALUES ('2016-04-01', 'internal', true, 't', now())",
            "42501",
        ),
        ("DELETE FROM accounts_break", "42501"),
        ("TRUNCATE accounts_break", "42501"),
        ("ALTER TABLE accounts_break DISABLE TRIGGER USER", "42501"),
        # Its identity and its age are its own.
        ("UPDATE accounts_break SET first_seen_on = '2016-04-03'", "TN001"),
        ("UPDATE accounts_break SET reference = 'y'", "TN001"),
        ("UPDATE accounts_break SET rule = 's'", "TN001"),
        # Closed without anybody, or without a note.
        ("UPDATE accounts_break SET state = 'cleared' WHERE state = 'open'", "23514"),
        (
            "UPDATE accounts_break SET state = 'resolved', resolved_on = '2016-04-01',"
            " resolved_by = 'x' WHERE state = 'open'",
            "23514",
        ),
        # What is closed stays as it was closed.
        ("UPDATE accounts_break SET note = 'another' WHERE state = 'resolved'", "TN009"),
        (
            "UPDATE accounts_break SET state = 'open', resolved_on = NULL, resolved_by = '',"
            " note = '' WHERE state = 'resolved'",
            "TN009",
        ),
        # A second open one.
        (
            "INSERT INTO accounts_break (rule, reference, amount, detail, first_seen_on,"
            " last_seen_on, state, resolved_by, note) SELECT rule, reference, 0, '',"
            " first_seen_on, last_seen_on, 'open', '', '' FROM accounts_break"
            " WHERE state = 'open'",
            "23505",
        ),
    ],
)
def test_what_the_application_cannot_do(db: None, statement: str, state: str) -> None:
    run(DAY, rule(Finding("x", 1), Finding("y", 2)))
    last = list_breaks()[-1]
    resolve_break(break_id=last.id, note="Explained.", actor="member:901", on=DAY)
    assert _refused(statement) == state
    assert Reconciliation.objects.get().holds is False
    assert ReconciliationCheck.objects.count() == 1


def test_not_outside_a_transaction(committed_db: str) -> None:
    with pytest.raises(RuntimeError, match="open transaction"):
        record(on=DAY, kind=INTERNAL, checks=[], actor="t", key="k")


class TestBesideWriters:
    @pytest.mark.usefixtures("committed_db")
    def test_what_is_posted_in_the_middle_is_not_seen(self) -> None:
        ada, _, _, bank = open_book()
        book([(bank, ada, 500)])
        with elsewhere() as other:
            with one_snapshot():
                before = held_by_kind()
                other.run(lambda: book([(bank, ada, 70)]))
                checks, _ = internal_checks(SealMark())
                assert held_by_kind() == before
            assert held_by_kind()[Kind.CASH].net == 570
        assert all(check.holds for check in checks)
        assert {check.rule: check.found for check in checks}["client_money"] == 500

    @pytest.mark.usefixtures("committed_db")
    def test_a_reconciliation_waits_for_the_one_before_it(self) -> None:
        """The second looks after the first has ended: it makes the same break older."""
        second: list[int] = []

        def again() -> None:
            try:
                second.append(run(DAYS[1], rule(Finding("x", 2))))
            finally:
                connection.close()

        thread = threading.Thread(target=again)
        with one_snapshot():
            thread.start()
            thread.join(0.5)
            assert thread.is_alive()
            run(DAYS[0], rule(Finding("x", 1)))
        thread.join(30)
        assert len(second) == 1
        found = only_break()
        assert (found.first_seen_on, found.last_seen_on, found.amount) == (DAYS[0], DAYS[1], 2)

    @pytest.mark.usefixtures("committed_db")
    def test_the_same_key_at_once(self) -> None:
        made: list[int] = []
        at_once(lambda _: made.append(run(DAY, rule(Finding("x", 1)), key="one")), 4)
        assert len(set(made)) == 1
        assert (Reconciliation.objects.count(), Break.objects.count()) == (1, 1)

    @pytest.mark.usefixtures("committed_db")
    def test_nothing_is_found_while_others_post(self) -> None:
        ada, ben, _, bank = open_book()
        book([(bank, ada, 10_000)])
        found: list[Finding] = []

        def work(number: int) -> None:
            if number:
                for _ in range(40):
                    book([(bank, ada, 7), (ada, ben, 5)])
                return
            for _ in range(10):
                with one_snapshot():
                    checks, _ = internal_checks(SealMark())
                found.extend(finding for check in checks for finding in check.findings)

        at_once(work, 3)
        assert found == []
        assert held_by_kind()[Kind.CASH].net == 10_000 + 2 * 40 * 7
