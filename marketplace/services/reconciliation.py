"""Reconciliation of the whole house on a business date: the book, the bank, loans and parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from accounts.core.reconciliation import Check, ReconciliationKind, SealMark
from accounts.selectors.reconciliation import internal_checks
from accounts.selectors.reconciliation_bank import external_checks
from accounts.selectors.reconciliations import is_recorded, last_seal_mark
from accounts.services.reconciliation import one_snapshot, record
from marketplace.selectors.reconciliation import market_checks

# What is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]


def _silent(_what: str, _done: int, _all: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Reconciled:
    """Ids of the two reconciliations of a run."""

    internal: int
    external: int


def reconcile(
    *, on: date, actor: str, key: str, full: bool = False, progress: Progress = _silent
) -> Reconciled:
    """Reconcile the book with itself and with the bank, and keep what was found.

    Internally as of now, whatever the date is called; with the bank as of its last statements up to
    the date. All of it is read in one snapshot, so that postings in the middle are seen whole or
    not at all, and nobody waits for it but who resolves a break.

    Args:
        on: business date, not before the last one reconciled.
        actor: who reconciles.
        key: idempotency key, unique for the actor: the same again does nothing, and answers the
            same.
        full: derive the whole journal again, not only what was sealed since the last time.
        progress: told what is being done.

    Raises:
        ReconciliationDateRefused, KeyRefused, IdempotencyConflict.
    """
    with one_snapshot():
        found = _Found()
        # For a key used before nothing is looked at again: its answer is the first one.
        if not is_recorded(ReconciliationKind.INTERNAL, actor, key):
            found = _find(on, SealMark() if full else last_seal_mark(), progress)
        return Reconciled(
            record(
                on=on,
                kind=ReconciliationKind.INTERNAL,
                checks=found.internal,
                actor=actor,
                key=key,
                sealed=found.sealed,
            ),
            record(
                on=on,
                kind=ReconciliationKind.EXTERNAL,
                checks=found.external,
                actor=actor,
                key=key,
            ),
        )


@dataclass(frozen=True)
class _Found:
    internal: tuple[Check, ...] = ()
    external: tuple[Check, ...] = ()
    sealed: SealMark | None = None


def _find(on: date, since: SealMark, progress: Progress) -> _Found:
    progress("the book", 0, 0)
    book, sealed = internal_checks(since, lambda done, of: progress("the journal", done, of))
    progress("loans and parts", 0, 0)
    market = market_checks(on)
    progress("the bank", 0, 0)
    return _Found((*book, *market), tuple(external_checks(on)), sealed)
