"""Who collects from borrowers, and what the sandbox's bank answers.

A collector answers for each direct debit. The sandbox's answer is drawn by a hash of its seed, the
loan, the due date and the attempt: so the answers don't depend on the order, the number of runs or
anything else that is collected. Nothing is presented again by itself: who doesn't pay is in
arrears until somebody asks for another attempt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from typing import Protocol

from marketplace.core.errors import MarketplaceRefusal

PPM = 1_000_000
LONGEST_BOUNCE = 20
LONGEST_AHEAD = 20
# ISO 20022 external codes: not enough money, and a refund that the payer asked for.
NO_MONEY, REFUNDED = "AM04", "MD06"


class CollectorRefused(MarketplaceRefusal):
    """A collector that can't be: rates beyond 100 %, or days that are none."""

    code = "COLLECTOR_REFUSED"


@dataclass(frozen=True, slots=True)
class Presented:
    """One direct debit to be answered.

    Attributes:
        loan_id: of which loan.
        due_on: which due date of it.
        attempt: from 1.
    """

    loan_id: int
    due_on: date
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class CollectorAnswer:
    """What becomes of a direct debit.

    Attributes:
        collected: it counts as collected on its day.
        reason: the bank's code, where it fails at once or will bounce; else empty.
        bounces_after: business days after its day until it bounces; 0 if it doesn't.
    """

    collected: bool
    reason: str = ""
    bounces_after: int = 0


class Collector(Protocol):
    """Whoever collects."""

    @property
    def business_days_ahead(self) -> int:
        """How many business days before its day a direct debit has to be asked for."""

    @property
    def by_file(self) -> bool:
        """Whether it is asked for in a file for a bank, under the borrower's mandate."""

    def answer(self, presented: Presented) -> CollectorAnswer:
        """What becomes of a direct debit on its day; the same again for the same."""


@dataclass(frozen=True, slots=True)
class SandboxRates:
    """How often the sandbox's borrowers don't pay.

    Attributes:
        fails: ppm of direct debits that fail at once.
        bounces: ppm of direct debits that count as collected first, and bounce.
        latest_bounce: business days after which the last of them bounces; each day is as likely.
    """

    fails: int = 30_000
    bounces: int = 10_000
    latest_bounce: int = 6

    def __post_init__(self) -> None:
        if min(self.fails, self.bounces) < 0 or self.fails + self.bounces > PPM:
            raise CollectorRefused(
                f"Rates are parts per million that make {PPM} at most.", field="rates"
            )
        if not 0 < self.latest_bounce <= LONGEST_BOUNCE:
            raise CollectorRefused(
                f"A direct debit bounces 1 to {LONGEST_BOUNCE} business days after its day.",
                field="latest_bounce",
            )


class AnswersAtOnce:
    """What collectors share that ask no bank."""

    __slots__ = ()

    @property
    def business_days_ahead(self) -> int:
        """It collects on the day itself."""
        return 0

    @property
    def by_file(self) -> bool:
        """It needs neither a file nor a mandate."""
        return False


@dataclass(frozen=True, slots=True)
class SandboxCollector(AnswersAtOnce):
    """A bank that isn't there: it answers at once.

    Attributes:
        seed: of the draws.
        rates: how often they go wrong.
    """

    seed: int = 0
    rates: SandboxRates = field(default_factory=SandboxRates)

    def answer(self, presented: Presented) -> CollectorAnswer:
        """Drawn by seed, loan, due date and attempt, and by nothing else."""
        draw = self._draw(presented, "answer", PPM)
        if draw < self.rates.fails:
            return CollectorAnswer(collected=False, reason=NO_MONEY)
        if draw < self.rates.fails + self.rates.bounces:
            days = 1 + self._draw(presented, "bounce", self.rates.latest_bounce)
            return CollectorAnswer(collected=True, reason=REFUNDED, bounces_after=days)
        return CollectorAnswer(collected=True)

    def _draw(self, presented: Presented, what: str, below: int) -> int:
        """A whole number from 0, below ``below``; each as likely to within 2**-40."""
        text = (
            f"{self.seed}|{presented.loan_id}|{presented.due_on.isoformat()}|"
            f"{presented.attempt}|{what}"
        )
        digest = blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") * below >> 64


@dataclass(frozen=True, slots=True)
class FileCollector:
    """A real bank: it is given a file, and says afterwards what it couldn't collect.

    Attributes:
        business_days_ahead: how many business days the bank wants a file before its day.
    """

    business_days_ahead: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.business_days_ahead <= LONGEST_AHEAD:
            raise CollectorRefused(
                f"A bank wants a file 1 to {LONGEST_AHEAD} business days ahead.",
                field="business_days_ahead",
            )

    @property
    def by_file(self) -> bool:
        """Borrowers give a mandate, and the bank gets a file."""
        return True

    def answer(self, presented: Presented) -> CollectorAnswer:  # noqa: ARG002 - of them all
        """It counts as collected on its day, until the bank says otherwise."""
        return CollectorAnswer(collected=True)
