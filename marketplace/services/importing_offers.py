"""Placing the offers of an order-book file, all or none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any
from uuid import UUID

import numpy as np
from django.db import transaction
from django.db.models import Q

from accounts.core.chart import Kind
from accounts.core.money import text_from_pence
from accounts.models import Member
from accounts.selectors.ledger import account_ids
from accounts.services.holding import hold_accounts
from accounts.services.idempotency import once
from marketplace.core.errors import OrderBookRefused
from marketplace.core.house import HOUSE, House
from marketplace.core.offers import MarketBounds, OfferRefused, check_rates
from marketplace.core.order_book_file import (
    AVAILABLE,
    MARKET,
    MEMBER,
    RATE,
    BookRow,
    parse_order_book,
)
from marketplace.core.order_book_import import FileOffer, FileOffers, offers_of
from marketplace.selectors.markets import list_markets
from marketplace.services.offering import OfferDraft, place_offers


@dataclass(frozen=True)
class ImportedBook:
    """What became of an order-book file.

    Attributes:
        offers: how many offers it is.
        lenders: of how many members.
        pence: their money.
        implied: rows that other rows imply; they are not placed.
        orphans: how many of those are implied by a row that is not in the file, so that their
            money is not placed at all.
    """

    offers: int
    lenders: int
    pence: int
    implied: int
    orphans: int


def import_order_book(
    *,
    data: bytes,
    file: str,
    on: date,
    actor: str,
    key: str,
    dry_run: bool = False,
    house: House = HOUSE,
) -> ImportedBook:
    """Place the offers of a file for members who exist, all or none.

    Members are named by their public id or e-mail address. A fixed number of statements.

    Args:
        data: the file's bytes.
        file: its name, for messages.
        on: business date.
        actor: who places them.
        key: idempotency key, whoever uses it: the same file again changes nothing.
        dry_run: check everything and place nothing.
        house: settings.

    Raises:
        OrderBookRefused: the first thing that is wrong, by file, row and column: what can't be
            read, an unknown market, a rate outside its bounds, somebody who is no lender, more
            than a lender has in cash.
        IdempotencyConflict: the key was used for another file.
        risk.core.errors.RiskRefusal: no rate table is approved.
    """
    with transaction.atomic():
        if dry_run:
            return _checked(data, file)[1]
        answer = once(
            scope="platform",
            name="import_order_book",
            key=key,
            content={"file": hashlib.sha256(data).hexdigest()},
            action=lambda: _import(data, file, on, actor, key, house),
        )
    return ImportedBook(**answer)


def _import(data: bytes, file: str, on: date, actor: str, key: str, house: House) -> dict[str, Any]:
    drafts, view = _checked(data, file)
    place_offers(drafts=drafts, on=on, actor=actor, key=key, house=house)
    return asdict(view)


def _checked(data: bytes, file: str) -> tuple[list[OfferDraft], ImportedBook]:
    """The drafts of the file's offers, with the lenders' accounts held until the transaction ends.

    What is left to the placing service are rules that no file can break.
    """
    markets = [view.bounds for view in list_markets()]
    named = {tuple(bounds.name.rsplit("/", 1)): bounds for bounds in markets}
    book = parse_order_book(
        data,
        file,
        bands=sorted({band for band, _ in named}),
        terms=sorted({bounds.term_months for bounds in markets}),
    )
    found = offers_of(book)
    rates = [_rates(file, offer.rows, named, markets) for offer in found.offers]
    lenders = _lenders(file, found)
    _check_cash(file, found, lenders)
    drafts = [
        OfferDraft(lenders[offer.member], offer.amount, offer.exposure_limit, asked)
        for offer, asked in zip(found.offers, rates, strict=True)
    ]
    return drafts, ImportedBook(
        offers=len(drafts),
        lenders=len({draft.lender_id for draft in drafts}),
        pence=sum(draft.amount for draft in drafts),
        implied=found.implied,
        orphans=found.orphans,
    )


def _rates(
    file: str,
    rows: Sequence[BookRow],
    named: Mapping[tuple[str, ...], MarketBounds],
    markets: Sequence[MarketBounds],
) -> dict[int, int]:
    rates: dict[int, int] = {}
    for row in rows:
        bounds = named.get((row.market, str(row.term)))
        if bounds is None:
            known = ", ".join(market.name for market in markets)
            raise _refused(
                file, row, MARKET, f"there is no market {row.market}/{row.term}; there are {known}."
            )
        try:
            check_rates({bounds.market_id: row.rate_ppm}, [bounds])
        except OfferRefused as refusal:
            raise _refused(file, row, RATE, refusal.message) from refusal
        rates[bounds.market_id] = row.rate_ppm
    return rates


def _lenders(file: str, found: FileOffers) -> dict[str, int]:
    """Whose key each name in the file is; one statement."""
    names = {offer.member for offer in found.offers}
    ids = {name: parsed for name in names if (parsed := _uuid(name)) is not None}
    emails = {name: name.lower() for name in names if name not in ids}
    known: dict[UUID | str, int] = {}
    people = Member.objects.filter(
        Q(public_id__in=list(ids.values())) | Q(email__in=list(emails.values())),
        is_lender=True,
        is_active=True,
    )
    for key, public_id, email in people.values_list("pk", "public_id", "email"):
        known |= {public_id: key, email: key}
    keys = {name: known.get(ids[name] if name in ids else emails[name]) for name in names}
    for offer in sorted(found.offers, key=_row):
        if keys[offer.member] is None:
            raise _refused(
                file,
                offer.rows[0],
                MEMBER,
                "no lender has this public id or e-mail address.",
            )
    return {name: key for name, key in keys.items() if key is not None}


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _check_cash(file: str, found: FileOffers, lenders: Mapping[str, int]) -> None:
    """Refuse the first offer, in the order of the file, for which its lender's cash is too little.

    Holds what the placing will move, so that nobody spends it meanwhile; three statements.
    """
    keys = np.unique(np.array(list(lenders.values()), dtype=np.int64))
    cash, on_offer = account_ids(Kind.CASH, keys), account_ids(Kind.ON_OFFER, keys)
    held = hold_accounts(ids=[*cash.tolist(), *on_offer.tolist()])
    left = {key: held[account] for key, account in zip(keys.tolist(), cash.tolist(), strict=True)}
    for offer in sorted(found.offers, key=_row):
        lender = lenders[offer.member]
        if left[lender] < offer.amount:
            raise _refused(
                file,
                offer.rows[0],
                AVAILABLE,
                f"that is more than the lender's cash, of which £{text_from_pence(left[lender])} "
                "is left for this row.",
            )
        left[lender] -= offer.amount


def _row(offer: FileOffer) -> int:
    return offer.row


def _refused(file: str, row: BookRow, column: str, reason: str) -> OrderBookRefused:
    return OrderBookRefused(reason, file=file, row=row.row, column=column)
