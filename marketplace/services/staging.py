"""Drafts of a day's distribution: computed by workers, slice by slice, and taken by the poster.

A draft says of each loan as of when it was computed. What has changed since is left out when it is
written, so a draft may come late, twice or never.
"""

from __future__ import annotations

from datetime import date

from django.db import connection, transaction

from accounts.services.transactions import require_transaction
from marketplace.core.closing import Step
from marketplace.core.errors import MarketplaceRefusal
from marketplace.selectors.closing import is_step_done
from marketplace.selectors.servicing import loans_to_spread
from marketplace.services.distributing import compute_distribution
from marketplace.services.distribution_drafts import DistributionDraft

MOST_SLICES = 1_000


class SliceRefused(MarketplaceRefusal):
    """A slice that there is none of."""

    code = "SLICE_REFUSED"


def stage_distribution(*, on: date, number: int, slices: int) -> int:
    """Compute how the payments of a slice of the loans are spread, and stage it.

    Slices are disjoint: loans by the rest of their ids. Staged again, the newer draft counts; once
    the day's distribution is posted nothing is staged.

    Args:
        on: the day that is closed.
        number: which slice, from 0.
        slices: into how many the loans are split.

    Returns:
        How many loans the draft holds.

    Raises:
        SliceRefused: no such slice.
    """
    if not 0 <= number < slices <= MOST_SLICES:
        raise SliceRefused(
            f"There are 1 to {MOST_SLICES} slices, counted from 0: slice {number} of {slices} is"
            " none of them.",
            field="number",
        )
    if is_step_done(on, Step.DISTRIBUTE):
        return 0
    loans = loans_to_spread(on)
    draft = compute_distribution(on=on, loan_ids=loans[loans % slices == number])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO marketplace_stagedslice (day, number, slices, loans, packed)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (day, number, slices) DO UPDATE"
            " SET loans = EXCLUDED.loans, packed = EXCLUDED.packed, staged_at = now()",
            [on, number, slices, len(draft.loan), draft.pack()],
        )
    return len(draft.loan)


def take_staged(*, on: date) -> DistributionDraft | None:
    """Take one staged draft of a day, so that nobody takes it again; none if there is none left.

    Drafts of days before, which nobody needed, are removed with it.
    """
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH old AS (DELETE FROM marketplace_stagedslice WHERE day < %s)"
            " DELETE FROM marketplace_stagedslice WHERE id = (SELECT id"
            " FROM marketplace_stagedslice WHERE day = %s ORDER BY number, id LIMIT 1)"
            " RETURNING packed",
            [on, on],
        )
        row = cursor.fetchone()
    return None if row is None else DistributionDraft.unpack(bytes(row[0]))
