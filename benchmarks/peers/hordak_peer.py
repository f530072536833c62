"""A project of django-hordak's own: one JSON command a line in, one JSON answer a line out.

Run by the interpreter of the peer's virtual environment, which has nothing of ours; libpq's
variables say which database. Everything is done as hordak's own users do it, with all its
triggers on, and by the fastest of the ways that they have.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction

CURRENCY = "GBP"
AMOUNT = Decimal("0.07")
DAY = date(2016, 4, 1)


def main() -> None:
    """Answer commands until the input ends."""
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": os.environ["PGDATABASE"],
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "mptt", "djmoney", "hordak"],
        HORDAK_INTERNAL_CURRENCY=CURRENCY,
        DEFAULT_CURRENCY=CURRENCY,
        CURRENCIES=(CURRENCY,),
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    known: dict[str, Callable[..., Any]] = {
        "setup": setup,
        "bulk": bulk,
        "singles": singles,
        "history": history,
        "balance": balance,
    }
    for line in sys.stdin:
        command = json.loads(line)
        answer = known[command.pop("do")](**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def setup(*, worker: int, accounts: int) -> int:
    """Migrate, and open ``accounts`` accounts without a parent, of one kind."""
    del worker
    call_command("migrate", verbosity=0)
    account = _model("Account")
    account.objects.bulk_create(
        [
            account(
                name=f"Member {n}",
                type="LI",
                currencies=[CURRENCY],
                lft=1,
                rght=2,
                tree_id=n,
                level=0,
            )
            for n in range(1, accounts + 1)
        ],
        batch_size=5_000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return int(account.objects.count())


def bulk(*, worker: int, transfers: int) -> float:
    """Post transfers between random accounts in one transaction; seconds, commit included."""
    pick = random.Random(worker)  # noqa: S311 - no secret
    ids = _account_ids()
    pairs = [pick.sample(ids, 2) for _ in range(transfers)]
    began = time.perf_counter()
    with transaction.atomic():
        _post_many(pairs)
    return time.perf_counter() - began


def singles(*, worker: int, seconds: float, run: int) -> tuple[int, float]:
    """Post one transfer a transaction between random accounts: how many, in how many seconds."""
    pick = random.Random(1_000 * run + worker)  # noqa: S311 - no secret
    ids = _account_ids()
    posted, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        with transaction.atomic():
            _post_one(*pick.sample(ids, 2))
        posted += 1
    return posted, time.perf_counter() - began


def history(*, worker: int, legs: int) -> float:
    """Give the first account ``legs`` legs against the second, by SQL; seconds that it took.

    Hordak's triggers would need hours for it, so they are off meanwhile; foreign keys are on.
    """
    del worker
    first, second = _account_ids()[:2]
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE hordak_leg DISABLE TRIGGER USER")
        cursor.execute(
            "INSERT INTO hordak_transaction (uuid, timestamp, date, description)"
            " SELECT gen_random_uuid(), now(), %s, '' FROM generate_series(1, %s)",
            [DAY, legs],
        )
        cursor.execute(
            "INSERT INTO hordak_leg"
            " (uuid, transaction_id, account_id, credit, debit, currency, description)"
            " SELECT gen_random_uuid(), t.id, side.account,"
            " CASE WHEN side.is_credit THEN %s::numeric END,"
            " CASE WHEN NOT side.is_credit THEN %s::numeric END, %s, ''"
            " FROM hordak_transaction AS t,"
            " (VALUES (%s, true), (%s, false)) AS side (account, is_credit)",
            [AMOUNT, AMOUNT, CURRENCY, first, second],
        )
        cursor.execute("ALTER TABLE hordak_leg ENABLE TRIGGER USER")
        cursor.execute("VACUUM ANALYZE hordak_leg")
        cursor.execute("VACUUM ANALYZE hordak_transaction")
    return time.perf_counter() - began


def balance(*, worker: int, times: int) -> list[float]:
    """Ask for the first account's balance, as hordak recommends; seconds of each time."""
    del worker
    first = _account_ids()[0]
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        found = _model("Account").objects.with_balances().get(pk=first)
        if not found.balance:
            raise RuntimeError("the account has no balance")
        spent.append(time.perf_counter() - began)
    return spent


def _post_many(pairs: Sequence[Sequence[int]]) -> None:
    """Two statements a batch: the transactions, then their legs."""
    entry, leg = _model("Transaction"), _model("Leg")
    entries = entry.objects.bulk_create([entry(date=DAY) for _ in pairs], batch_size=5_000)
    legs = []
    for made, (debit, credit) in zip(entries, pairs, strict=True):
        legs.append(leg(transaction=made, account_id=debit, debit=AMOUNT, currency=CURRENCY))
        legs.append(leg(transaction=made, account_id=credit, credit=AMOUNT, currency=CURRENCY))
    leg.objects.bulk_create(legs, batch_size=5_000)


def _post_one(debit: int, credit: int) -> None:
    """Two statements; ``Account.transfer_to`` and ``Leg.save`` would take three."""
    _post_many([(debit, credit)])


def _account_ids() -> list[int]:
    return list(_model("Account").objects.order_by("pk").values_list("pk", flat=True))


def _model(name: str) -> Any:
    return apps.get_model("hordak", name)


if __name__ == "__main__":
    main()
