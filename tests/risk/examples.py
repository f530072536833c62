"""A small invented data set with a known shape, and its specification."""

from __future__ import annotations

from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
LENDING_CLUB = REPOSITORY / "data" / "lending_club_2016q1.csv"

SPEC = """
name = "Invented loans"

[outcome]
column = "outcome"
bad = "bad"
good = "good"
months = 24

[amount]
column = "amount"

[term]
column = "term"
months = { short = 36, long = 60 }

[income]
column = "income"
months = 12

[refused]
price = ["price"]
protected = ["sex"]

[set_aside]
columns = ["town"]

[columns.amount]
kind = "number"
words = "amount of the loan"
least = 1
most = 100_000

[columns.term]
kind = "text"
words = "term of the loan"

[columns.income]
kind = "number"
words = "yearly income"
least = 0
most = 10_000_000

[columns.searches]
kind = "number"
words = "number of credit searches"
least = 0
most = 100

[columns.home]
kind = "text"
words = "home"
levels = { rents = "rented", owns = "owned" }
"""

HEADER = "amount,term,income,searches,home,town,sex,price,outcome"
FIRST = "1000,short,24000,0,owns,Leeds,f,9.5,good"
SECOND = "2000,long,18000,3,rents,York,m,12.5,bad"


def csv_bytes(*lines: str, header: str = HEADER) -> bytes:
    """A file of these lines."""
    return ("\n".join([header, *lines]) + "\n").encode()


def invented_csv(rows: int = 900, seed: int = 5) -> bytes:
    """Rows whose risk rises with searches and amount and falls with income; some values missing.

    About one in eight is bad. The price column tells the risk almost exactly.
    """
    generator = np.random.default_rng(seed)
    lines = []
    for number in range(rows):
        amount = 1_000 + 10 * int(generator.integers(0, 900)) + number % 10
        term = "long" if generator.random() < 0.3 else "short"
        income = int(generator.lognormal(10.3, 0.4))
        searches = int(generator.poisson(1.5))
        home = ["owns", "rents", "family"][int(generator.integers(0, 3))]
        odds = -2.6 + 0.45 * searches + amount / 9_000 - (income - 30_000) / 25_000
        odds += 0.5 * (home == "rents")
        outcome = "bad" if generator.random() < 1 / (1 + np.exp(-odds)) else "good"
        shown = "" if generator.random() < 0.05 else str(income)
        lines.append(
            f"{amount},{term},{shown},{searches},{home},town{number % 7},"
            f"{'fm'[number % 2]},{odds + 10:.4f},{outcome}"
        )
    return csv_bytes(*lines)
