"""One of the processes that post single transfers through the gate at the same time.

``python -m benchmarks.ledger_poster``: one JSON command a line in, one JSON answer a line out.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import django
import numpy as np
from django.db import connections


class Poster:
    """A connection to the benchmark's database, and the members' cash accounts."""

    def open(self, *, worker: int, database: str, members: int) -> int:
        """Connect to ``database``, where members 1 to ``members`` are funded."""
        # Models can be imported once Django is set up.
        from accounts.core.chart import Kind  # noqa: PLC0415
        from accounts.selectors.ledger import account_ids  # noqa: PLC0415

        connections["default"].settings_dict["NAME"] = database
        self._worker = worker
        self._cash: list[int] = account_ids(Kind.CASH, np.arange(1, members + 1)).tolist()
        return len(self._cash)

    def pairs(self, *, worker: int, seconds: float, run: int) -> tuple[int, float]:
        """Between two random members."""
        pick = random.Random(1_000 * run + worker)  # noqa: S311 - no secret
        return self._post(f"pairs/{run}", seconds, lambda _: tuple(pick.sample(self._cash, 2)))

    def into(self, *, worker: int, seconds: float, run: int) -> tuple[int, float]:
        """Into the platform's client money, as deposits of random members are."""
        pick = random.Random(1_000 * run + worker)  # noqa: S311 - no secret
        return self._post(f"into/{run}", seconds, lambda key: (_bank(key), pick.choice(self._cash)))

    def out_of(self, *, worker: int, seconds: float, run: int) -> tuple[int, float]:
        """Out of the platform's client money, as withdrawals of random members are."""
        pick = random.Random(1_000 * run + worker)  # noqa: S311 - no secret
        return self._post(
            f"out-of/{run}", seconds, lambda key: (pick.choice(self._cash), _bank(key))
        )

    def _post(
        self, name: str, seconds: float, accounts: Callable[[str], tuple[int, ...]]
    ) -> tuple[int, float]:
        """Post one transfer a transaction, each its own entry: how many, in how many seconds.

        ``accounts`` gives the debit and the credit account by the entry's key.
        """
        from accounts.core.chart import Book  # noqa: PLC0415
        from accounts.core.posting import SingleTransfer  # noqa: PLC0415
        from accounts.services.posting import post_alone  # noqa: PLC0415
        from benchmarks.ledger import draft  # noqa: PLC0415

        posted, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            key = f"{name}/{self._worker}/{posted}"
            debit, credit = accounts(key)
            post_alone(SingleTransfer(draft(key), debit, credit, 7, Book.CASH))
            posted += 1
        return posted, time.perf_counter() - began


def _bank(key: str) -> int:
    """The stripe of client money that the entry's key chooses, asked for as the services do."""
    from accounts.core.chart import Kind  # noqa: PLC0415
    from accounts.selectors.ledger import platform_accounts  # noqa: PLC0415

    return int(platform_accounts(Kind.CLIENT_BANK, [key])[0])


def main() -> None:
    """Answer commands until the input ends."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "api.settings")
    django.setup()
    poster = Poster()
    known: dict[str, Callable[..., Any]] = {
        "open": poster.open,
        "pairs": poster.pairs,
        "into": poster.into,
        "out_of": poster.out_of,
    }
    for line in sys.stdin:
        command = json.loads(line)
        answer = known[command.pop("do")](**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
