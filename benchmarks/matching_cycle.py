"""A whole matching cycle through the database, against a COPY of the rows that it wrote."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import connection, connections, transaction
from psycopg import Cursor, sql

from accounts.core.posting import EntryKind
from accounts.models import Member
from accounts.selectors.bulk import fetch_columns
from accounts.services.bulk import Column, encode_rows
from accounts.services.cash import CashMovement, deposit
from accounts.services.members import enrol_members
from api.demo import run
from api.demo.world import World, applicants, application, offers
from benchmarks.ledger import make_twin
from benchmarks.measuring import Result, database_copy, own_database, seconds, working
from marketplace.core.arrays import IntArray
from marketplace.core.house import HOUSE
from marketplace.core.states import ApplicationState
from marketplace.models import Application
from marketplace.selectors.markets import MarketView, list_markets
from marketplace.services.borrowing import (
    ApplicationDraft,
    ListingDraft,
    apply_for_loans,
    list_loans,
)
from marketplace.services.matching import CycleView, run_cycle
from marketplace.services.offering import place_offers
from risk.selectors.past_applications import HoldoutRow, holdout_rows

LOANS, PARTS = 1_700, 400_000
WORLD = World(lenders=60_000, loans=LOANS)
RUNS = 3
LEAST = 0.5
PEER = "binary COPY of its parts and transfers"
ACTOR = "bench"
# What lenders have over what borrowers ask: not every lender suits every market.
PLENTY = 1.25
# The loans ask for a little more units than there are to be parts: some lenders give two to a loan.
UNITS = PARTS * 102 // 100


class CycleTooSmall(Exception):
    """The cycle made fewer loans or parts than it is measured for."""


def matching_cycle() -> Result:
    """400,000 parts over 60,000 lenders and 1,700 loans: read, matched, written, posted, durable.

    Every run is in a copy of the same database, so that each does the same; which of the two goes
    first takes turns. The copied rows go into tables like the real ones, with the same indexes,
    without triggers, checks and foreign keys, in the order in which they lie there.
    """
    ours, peers = [], []
    with own_database():
        _prepare(WORLD)
        with working("matching-cycle", RUNS + 1) as step:
            with database_copy():
                _check(_run())
                blocks = _written()
            step()
            for turn in range(RUNS):
                with database_copy():
                    if turn % 2:
                        peers.append(_copy(blocks))
                    ours.append(seconds(_run))
                    if turn % 2 == 0:
                        peers.append(_copy(blocks))
                step()
    mine, others = statistics.median(ours), statistics.median(peers)
    ratio = others / mine
    return Result(
        "matching-cycle",
        "matching",
        mine,
        "s",
        PEER,
        others,
        ratio,
        f">= {LEAST}",
        holds=ratio >= LEAST,
    )


def _run() -> CycleView:
    return run_cycle(on=WORLD.starts_on, actor=ACTOR, key="bench-cycle")


def _check(made: CycleView) -> None:
    if made.loans < LOANS or made.parts < PARTS:
        raise CycleTooSmall(f"{made}")


def _prepare(world: World) -> None:
    """A house with lenders who offer and listings that wait, all by the services."""
    rng = np.random.default_rng(world.seed)
    demo = run.Demo(world=world)
    for step in (run.load_past, run.train):
        step(demo, lambda _done, _total: None)
    if demo.model is None:
        raise RuntimeError("there is no model")
    _list(world, applicants(holdout_rows(model_version=demo.model), rng), rng)
    _offer(world, rng)
    make_twin("twin_transfer", "accounts_transfer")
    make_twin("twin_part", "marketplace_part")
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _list(world: World, rows: Sequence[HoldoutRow], rng: np.random.Generator) -> None:
    """Real applicants, asked for smaller loans, and several times over where they are too few."""
    shape = rng.lognormal(0, 0.4, world.loans)
    smallest = HOUSE.smallest_loan // HOUSE.step
    units = np.maximum(smallest, np.ceil(shape / shape.sum() * UNITS)).astype(np.int64)
    quoted: list[int] = []
    tried = 0
    while len(quoted) < world.loans:
        wanted = range(tried, tried + world.loans - len(quoted))
        people = _enrol("borrower", wanted, world)
        drafts = []
        for place, person in zip(wanted, people, strict=True):
            draft = application(rows[place % len(rows)], person)
            amount = int(units[len(quoted) + place - tried]) * HOUSE.step
            drafts.append(ApplicationDraft(person, amount, draft.term_months, draft.facts))
        made = apply_for_loans(
            drafts=drafts, on=world.starts_on, actor=ACTOR, key=f"bench-apply-{tried}"
        )
        fine = Application.objects.filter(pk__in=made, state=ApplicationState.QUOTED)
        quoted += fine.order_by("pk").values_list("pk", flat=True)
        tried = wanted.stop
    markets = {market.market_id: market for market in list_markets()}
    market_of = dict(Application.objects.filter(pk__in=quoted).values_list("pk", "market_id"))
    list_loans(
        drafts=[ListingDraft(a, _highest(markets[market_of[a]])) for a in quoted],
        on=world.starts_on,
        actor=ACTOR,
        key="bench-listings",
    )


def _highest(market: MarketView) -> int:
    """Borrowers who pay what the market allows, so that every listing becomes a loan; ppm."""
    return market.highest_rate // HOUSE.highest_rate_step * HOUSE.highest_rate_step


def _offer(world: World, rng: np.random.Generator) -> None:
    """Each lender pays in some tens of pounds and offers most of them."""
    lenders = _enrol("lender", range(world.lenders), world)
    shape = rng.lognormal(0, 0.7, world.lenders)
    pence = shape / shape.sum() * UNITS * PLENTY * HOUSE.step
    paid_in = np.maximum(2 * HOUSE.step, np.rint(pence)).astype(np.int64)
    deposit(
        movements=[
            CashMovement(lender, amount, f"bench/{lender}")
            for lender, amount in zip(lenders, paid_in.tolist(), strict=True)
        ],
        on=world.starts_on,
        actor=ACTOR,
    )
    place_offers(
        drafts=offers(lenders, paid_in, list_markets(), rng),
        on=world.starts_on,
        actor=ACTOR,
        key="bench-offers",
    )


def _enrol(what: str, numbers: range, world: World) -> list[int]:
    people = enrol_members(
        members=[
            Member(
                email=f"{what}{number}@example.org",
                name=f"{what} {number}",
                password="!",  # noqa: S106 - Django's mark of a password that can't be used
                joined_on=world.starts_on,
                is_lender=what == "lender",
                is_borrower=what == "borrower",
            )
            for number in numbers
        ]
    )
    return [person.pk for person in people]


@dataclass(frozen=True)
class _Block:
    """Rows of one table, ready for a COPY into its twin."""

    twin: str
    names: tuple[str, ...]
    data: bytes


def _written() -> list[_Block]:
    """The parts and transfers that the cycle wrote, in the order in which they lie there."""
    parts = fetch_columns(
        "SELECT loan_id, number::bigint, lender_id, offer_id, size, rate::bigint, pricing::bigint,"
        ' "limit", monthly_rate, expected_return::bigint FROM marketplace_part ORDER BY id',
        [],
        10,
    )
    transfers = fetch_columns(
        "SELECT t.entry_id, t.book::bigint, t.debit_id::bigint, t.credit_id::bigint, t.amount,"
        " (t.effective_on - date '1970-01-01')::bigint FROM accounts_transfer AS t"
        " WHERE t.entry_id >= (SELECT min(id) FROM accounts_entry WHERE kind = %s) ORDER BY t.id",
        [EntryKind.MATCHED.value],
        6,
    )
    return [
        _block("twin_part", parts, _PART),
        _block("twin_transfer", transfers, _TRANSFER),
    ]


_PART = {
    "loan_id": "int64",
    "number": "int32",
    "lender_id": "int64",
    "offer_id": "int64",
    "size": "int64",
    "rate": "int32",
    "pricing": "int16",
    "limit": "int64",
    "monthly_rate": "int64",
    "expected_return": "int32",
}
_TRANSFER = {
    "entry_id": "int64",
    "book": "int16",
    "debit_id": "int32",
    "credit_id": "int32",
    "amount": "int64",
    "effective_on": "datetime64[D]",
}


def _block(twin: str, columns: Sequence[IntArray], kinds: Mapping[str, str]) -> _Block:
    typed: dict[str, Column] = {
        name: column.astype(kind)
        for (name, kind), column in zip(kinds.items(), columns, strict=True)
    }
    return _Block(twin, tuple(kinds), b"".join(encode_rows(typed)))


def _copy(blocks: Sequence[_Block]) -> float:
    """Seconds to copy the blocks in one transaction, commit included; they are encoded before."""

    def work() -> None:
        with transaction.atomic(), Cursor(connection.connection) as cursor:
            for block in blocks:
                names = sql.SQL(", ").join(map(sql.Identifier, block.names))
                write = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
                    sql.Identifier(block.twin), names
                )
                with cursor.copy(write) as copying:
                    copying.write(block.data)

    connection.ensure_connection()
    return seconds(work)
