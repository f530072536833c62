"""A day on which 20,000 loans of 200 parts pay: four million shares spread, posted, durable.

The world is made by bulk SQL, without matching. Its loans name no application, listing, assessment
or cycle that exists, so the foreign keys of loans and parts are dropped first; spreading never
looks at them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import psycopg
from django.db import connection, connections, transaction
from psycopg import sql

from accounts.core.chart import LOAN_KINDS, Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.bulk import fetch_columns
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.bulk import Column, copy_rows, encode_rows
from accounts.services.opening import open_accounts
from accounts.services.posting import post
from benchmarks.ledger import make_twin
from benchmarks.measuring import Result, median_of, own_database, seconds
from marketplace.core.arrays import IntArray
from marketplace.core.house import HOUSE
from marketplace.core.rates import monthly_rate_e12
from marketplace.core.schedule import add_business_days, due_date, following_business_day
from marketplace.selectors.collecting import collectable
from marketplace.services.calendar import bank_holidays
from marketplace.services.distributing import distribute_cleared
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import PaymentDraft, receive_payments

LOANS, PARTS, LENDERS = 20_000, 200, 60_000
MONTHS, RUNS = 36, 3
PAID_OUT = date(2016, 4, 1)
ACTOR = "bench"
TWIN = "binary COPY, no triggers"

# Everything by number: members 1 to LENDERS lend, each with one offer; the next ones borrow.
_WORLD = f"""
INSERT INTO accounts_member (public_id, password, email, name, postcode, role, is_borrower,
    is_lender, is_active, is_superuser, joined_on)
SELECT gen_random_uuid(), '', 'm' || n || '@example.org', 'm', '', 'member', n > {{lenders}},
    n <= {{lenders}}, true, false, date '{PAID_OUT}'
FROM generate_series(1, {{lenders}} + {{loans}}) AS n;
INSERT INTO marketplace_market (band, position, term_months, minimum_amount, maximum_amount)
VALUES ('A', 1, {MONTHS}, 100000, 2500000);
INSERT INTO marketplace_offer (public_id, lender_id, amount, available, repaid, uninvested,
    exposure_limit, tops_up, placed_on, state)
SELECT gen_random_uuid(), id, 1000, 0, 0, 0, 1000, false, date '{PAID_OUT}', 'open'
FROM accounts_member WHERE is_lender ORDER BY id;
INSERT INTO marketplace_loan (public_id, application_id, listing_id, assessment_id, borrower_id,
    market_id, cycle_id, amount, term_months, rate, instalment, arrangement_fee, contribution,
    servicing_fee, expected_loss, covered, state, funded_on, accepted_on, paid_out_on, events,
    distributions, balance_months, principal_paid, interest_paid, fund_principal, fund_interest)
SELECT gen_random_uuid(), m.id, m.id, m.id, m.id, k.id, 1, 1000, {MONTHS}, 70000, 0, 0, 0, 10000,
    0, false, 'active', date '{PAID_OUT}', date '{PAID_OUT}', date '{PAID_OUT}', 0, 0, 0, 0, 0, 0, 0
FROM accounts_member AS m, marketplace_market AS k WHERE m.is_borrower ORDER BY m.id;
"""
# Equal principal each month: how a schedule is worked out is measured elsewhere.
_INSTALMENTS = f"""
INSERT INTO marketplace_instalment (loan_id, number, nominal_on, due_on, period_days, month_days,
    principal_due, interest_planned)
SELECT l.id, d.number, d.nominal, d.due, 30, 30,
    CASE d.number WHEN {MONTHS} THEN l.amount - l.amount / {MONTHS} * {MONTHS - 1}
        ELSE l.amount / {MONTHS} END, l.amount / 100
FROM marketplace_loan AS l,
    unnest(%s::smallint[], %s::date[], %s::date[]) AS d (number, nominal, due)
"""


def servicing_day() -> Result:
    """Four million shares a day: distribution, posting, balances, against a COPY of the transfers.

    What fell due and was paid before is not counted. At least half as fast.
    """
    with own_database():
        day = _Day.build(LOANS, PARTS, LENDERS)
        ours, peer = median_of(day.spread, day.copy, RUNS)
    ratio = peer / ours
    return Result(
        "servicing-day", "servicing", ours, "s", TWIN, peer, ratio, ">= 0.5", holds=ratio >= 0.5
    )


@dataclass
class _Day:
    """The day again and again: each run is the next month's."""

    closed: frozenset[date]
    month: int = 0
    last: dict[str, Column] = field(default_factory=dict)

    @staticmethod
    def build(loans: int, parts: int, lenders: int) -> _Day:
        """Make the world."""
        closed = bank_holidays(PAID_OUT.year, PAID_OUT.year + MONTHS // 12 + 1)
        _drop_foreign_keys()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_WORLD.format(lenders=lenders, loans=loans))
            _fill(parts)
            nominal = [due_date(PAID_OUT, number) for number in range(1, MONTHS + 1)]
            due = [following_business_day(day, closed) for day in nominal]
            cursor.execute(_INSTALMENTS, [list(range(1, MONTHS + 1)), nominal, due])
        with transaction.atomic():
            _owe()
        with connections["owner"].cursor() as cursor:
            cursor.execute("ANALYZE")
        make_twin("twin_transfer", "accounts_transfer")
        return _Day(closed)

    def spread(self) -> float:
        """Everybody pays what is due; how long it takes to spread that, once cleared."""
        self.month += 1
        day = following_business_day(due_date(PAID_OUT, self.month), self.closed)
        fall_due(on=day, actor=ACTOR)
        due = collectable(day)
        payments = [
            PaymentDraft(loan, amount)
            for loan, amount in zip(due.loan.tolist(), due.amount.tolist(), strict=True)
        ]
        receive_payments(payments=payments, on=day, actor=ACTOR, key=f"bench-{self.month}")
        cleared = add_business_days(day, HOUSE.clearing_days, self.closed)
        spent = seconds(lambda: distribute_cleared(on=cleared, actor=ACTOR))
        self.last = _transfers(cleared)
        return spent

    def copy(self) -> float:
        """Copy the transfers of the last run into the twin; encoding them is not counted."""
        data = b"".join(encode_rows(self.last))
        write = sql.SQL("COPY twin_transfer ({}) FROM STDIN (FORMAT BINARY)").format(
            sql.SQL(", ").join(map(sql.Identifier, self.last))
        )

        def work() -> None:
            with (
                transaction.atomic(),
                psycopg.Cursor(connection.connection) as cursor,
                cursor.copy(write) as copying,
            ):
                copying.write(data)

        return seconds(work)


def _drop_foreign_keys() -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"
            " AND conrelid IN ('marketplace_loan'::regclass, 'marketplace_part'::regclass)"
        )
        for table, name in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def _fill(parts: int) -> None:
    """Give every loan its parts, £10 to £50 each, of different lenders at 5 % to 9 %."""
    pick = np.random.default_rng(6)
    loans, offers, lenders = _ids("loan"), _ids("offer"), _column("lender_id", "offer")
    count = len(loans) * parts
    # A lender has one part in a loan at most: a run of lenders from a random one on.
    start = np.repeat(pick.integers(0, len(lenders), len(loans)), parts)
    step = np.tile(np.arange(parts) * (len(lenders) // parts), len(loans))
    lender = (start + step) % len(lenders)
    size = pick.integers(1, 6, count) * 1_000
    rate = pick.integers(50, 91, count) * 1_000
    monthly = monthly_rate_e12(np.arange(50, 91) * 1_000)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_loan AS l SET amount = n.amount"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS n (id, amount) WHERE l.id = n.id",
            [loans.tolist(), size.reshape(-1, parts).sum(axis=1).tolist()],
        )
    copy_rows(
        connection,
        "marketplace_part",
        {
            "loan_id": np.repeat(loans, parts),
            "number": np.tile(np.arange(1, parts + 1), len(loans)).astype(np.int32),
            "lender_id": lenders[lender],
            "offer_id": offers[lender],
            "size": size,
            "rate": rate.astype(np.int32),
            "pricing": np.ones(count, dtype=np.int16),
            "limit": np.full(count, 100_000),
            "monthly_rate": monthly[rate // 1_000 - 50],
            "expected_return": np.full(count, 50_000, dtype=np.int32),
        },
    )


def _owe() -> None:
    """Open everybody's accounts, and book what the borrowers owe."""
    loans = _ids("loan")
    open_accounts(kinds=LOAN_KINDS, owner_ids=loans)
    open_accounts(kinds=[Kind.CASH], owner_ids=_column("id", "member", app="accounts"))
    amount = _column("amount", "loan")
    entries = [
        EntryDraft(EntryKind.PAID_OUT, f"bench/{n}", PAID_OUT, ACTOR, "bench") for n in loans
    ]
    held = platform_accounts(Kind.CLAIMS_HELD, [entry.key for entry in entries])
    owed = account_ids(Kind.PRINCIPAL_OWED, loans)
    post(posting(entries, [Leg(np.arange(len(loans)), owed, held, amount, Book.CLAIMS)]))


def _ids(table: str) -> IntArray:
    return _column("id", table)


def _column(name: str, table: str, *, app: str = "marketplace") -> IntArray:
    [values] = fetch_columns(f"SELECT {name} FROM {app}_{table} ORDER BY id", [], 1)
    return values


def _transfers(on: date) -> dict[str, Column]:
    """The transfers of that day, in the order of the payments that they spread."""
    entry, debit, credit, amount = fetch_columns(
        "SELECT entry_id, debit_id::bigint, credit_id::bigint, amount FROM accounts_transfer"
        " WHERE effective_on = %s ORDER BY entry_id, id",
        [on],
        4,
    )
    return {
        "entry_id": entry,
        "amount": amount,
        "debit_id": debit.astype(np.int32),
        "credit_id": credit.astype(np.int32),
        "effective_on": np.full(len(entry), on, dtype="datetime64[D]"),
        "book": np.full(len(entry), Book.CASH, dtype=np.int16),
    }
