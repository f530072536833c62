"""``manage.py quote``: what a loan would cost, from a file of offers. Reads no database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.core.errors import AccountsRefusal
from accounts.core.money import pence_from_text, text_from_pence
from marketplace.core.errors import MarketplaceRefusal, NotEnoughOffers
from marketplace.core.order_book_file import OrderBookFile, parse_order_book, queue_of
from marketplace.core.quoting import LoanQuote, quote_from_queue
from marketplace.core.rates import PPM
from marketplace.core.running_figures import MarketCheck, check_running_figures

# The house's bands, and Y, which Zopa's own files had for the young.
BANDS = frozenset({"A*", "A", "B", "C", "D", "E", "Y"})
TERMS = frozenset({24, 36, 48, 60})

BAD_INPUT = 2


class Command(BaseCommand):
    help = "Quotes a loan from an order-book file in the layout of Zopa's market report, as JSON."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("book", help="the file of offers (CSV)")
        parser.add_argument("--market", help="the file's Market: a band, such as A*")
        parser.add_argument("--term", type=int, help="months")
        parser.add_argument("--amount", help="pounds, a multiple of 10")
        parser.add_argument(
            "--check",
            action="store_true",
            help="compare every row's Loan Size and Simple Rate with exact sums",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            book = _read(options["book"])
            answer: dict[str, Any] = {}
            if not options["check"] or options["amount"] is not None:
                answer |= _quoted(book, options)
            if options["check"]:
                answer["check"] = [_check(found) for found in check_running_figures(book)]
            self._print(answer)
        except NotEnoughOffers as refusal:
            fundable = text_from_pence(refusal.fundable)
            self._print({"code": refusal.code, "message": refusal.message, "fundable": fundable})
            raise CommandError(refusal.message, returncode=BAD_INPUT) from refusal
        except (MarketplaceRefusal, AccountsRefusal) as refusal:
            raise CommandError(refusal.message, returncode=BAD_INPUT) from refusal

    def _print(self, answer: Any) -> None:
        self.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False))


def _read(name: str) -> OrderBookFile:
    path = Path(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "it can't be read"
        raise CommandError(f"{name}: {reason}.", returncode=BAD_INPUT) from error
    return parse_order_book(data, path.name, bands=BANDS, terms=TERMS)


def _quoted(book: OrderBookFile, options: dict[str, Any]) -> dict[str, Any]:
    for needed in ("market", "term", "amount"):
        if options[needed] is None:
            raise CommandError(f"A quote needs --{needed}.", returncode=BAD_INPUT)
    if options["market"] not in BANDS or options["term"] not in TERMS:
        raise CommandError(
            f"There is no market {options['market']} over {options['term']} months: bands are "
            f"{', '.join(sorted(BANDS))}; terms are {', '.join(map(str, sorted(TERMS)))} months.",
            returncode=BAD_INPUT,
        )
    queue = queue_of(book, band=options["market"], term=options["term"])
    amount = pence_from_text(options["amount"], field="amount")
    return _as_json(quote_from_queue(queue, amount, options["term"]), options["market"])


def _as_json(quote: LoanQuote, market: str) -> dict[str, Any]:
    """The quote with amounts as decimal strings of pounds and rates as fractions."""
    return {
        "amount": text_from_pence(quote.amount),
        "term": quote.term_months,
        "market": market,
        "offers": quote.offers,
        "parts": [
            {"rate": part.rate_ppm / PPM, "amount": text_from_pence(part.amount)}
            for part in quote.parts
        ],
        "rate": quote.rate,
        "marginal_rate": quote.marginal_rate_ppm / PPM,
        "instalment": text_from_pence(quote.instalment),
        "total_repayable": text_from_pence(quote.total_repayable),
        "apr": round(quote.apr, 6),
    }


def _check(found: MarketCheck) -> dict[str, Any]:
    size, rate = found.largest_size, found.largest_rate
    return {
        "market": found.market,
        "term": found.term,
        "rows": found.rows,
        "loan_sizes_that_differ": found.sizes_differing,
        "simple_rates_that_differ": found.rates_differing,
        "largest_loan_size_difference": {
            "row": size.row,
            "difference": text_from_pence(size.loan_size_difference),
        },
        "largest_simple_rate_difference": {
            "row": rate.row,
            "difference": round(float(rate.simple_rate_difference), 9),
        },
    }
