"""Loans as their lenders and their borrower may see them: figures, and never a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from uuid import UUID

from marketplace.core.arrears import days_past_due
from marketplace.core.loan_events import InstalmentKind
from marketplace.core.states import LoanState
from marketplace.models import Instalment, Loan

# In these states nothing more is owed, whatever an instalment may lack.
_OVER = (
    LoanState.FUNDED,
    LoanState.CANCELLED,
    LoanState.REPAID,
    LoanState.RESCINDED,
    LoanState.SETTLED,
    LoanState.RECOVERED,
)


@dataclass(frozen=True)
class Owed:
    """What has fallen due and isn't covered by payments, in pence."""

    interest: int
    principal: int

    @property
    def total(self) -> int:
        """Both."""
        return self.interest + self.principal


@dataclass(frozen=True)
class InstalmentView:
    """What falls due on one day, in pence.

    ``interest_due`` is none until the day has come; ``interest_planned`` is by the contract. Paid
    is what payments were allocated to, from the day on which they arrive.
    """

    number: int
    kind: InstalmentKind
    due_on: date
    principal_due: int
    interest_planned: int
    interest_due: int | None
    principal_paid: int
    interest_paid: int

    @property
    def total_due(self) -> int:
        """Principal and interest together; the interest planned while none has fallen due."""
        known = self.interest_planned if self.interest_due is None else self.interest_due
        return self.principal_due + known

    @property
    def is_paid(self) -> bool:
        """Whether it fell due and nothing of it is open."""
        return (
            self.interest_due is not None
            and self.interest_paid == self.interest_due
            and self.principal_paid == self.principal_due
        )

    @property
    def open(self) -> Owed:
        """What of it has fallen due and isn't paid."""
        if self.interest_due is None:
            return Owed(0, 0)
        return Owed(
            self.interest_due - self.interest_paid, self.principal_due - self.principal_paid
        )


class Schedules:
    """The instalments of all loans of one page: read when first asked for, in one statement."""

    def __init__(self, loan_keys: Iterable[int]) -> None:
        self._keys = tuple(loan_keys)

    @cached_property
    def _by_loan(self) -> dict[int, list[InstalmentView]]:
        found: dict[int, list[InstalmentView]] = defaultdict(list)
        rows = Instalment.objects.filter(loan__in=self._keys).order_by("loan", "number")
        for row in rows:
            found[row.loan_id].append(
                InstalmentView(
                    number=row.number,
                    kind=InstalmentKind(row.kind),
                    due_on=row.due_on,
                    principal_due=row.principal_due,
                    interest_planned=row.interest_planned,
                    interest_due=row.interest_due,
                    principal_paid=row.principal_paid,
                    interest_paid=row.interest_paid,
                )
            )
        return found

    def of(self, loan_key: int) -> tuple[InstalmentView, ...]:
        """One loan's instalments by number; none before it is paid out."""
        return tuple(self._by_loan.get(loan_key, ()))


@dataclass(frozen=True)
class LoanView:
    """A loan; amounts in pence, rates in annual effective ppm. ``key`` stays inside the house.

    Paid is what payments were allocated to, from the day on which they arrive.
    """

    key: int = field(repr=False)
    public_id: UUID
    band: str
    term_months: int
    amount: int
    rate: int
    instalment: int
    state: LoanState
    principal_paid: int
    interest_paid: int
    funded_on: date
    paid_out_on: date | None
    closed_on: date | None
    defaulted_on: date | None
    schedules: Schedules = field(repr=False, compare=False)

    @property
    def outstanding(self) -> int:
        """Principal not yet repaid, in pence."""
        return self.amount - self.principal_paid

    @property
    def instalments(self) -> tuple[InstalmentView, ...]:
        """What falls due and what was paid; shared with the page's other loans."""
        return self.schedules.of(self.key)

    @property
    def owed(self) -> Owed:
        """What has fallen due so far and isn't covered; nothing of a loan that is over."""
        if self.state in _OVER:
            return Owed(0, 0)
        rows = [row.open for row in self.instalments]
        return Owed(sum(row.interest for row in rows), sum(row.principal for row in rows))

    def days_past_due(self, on: date) -> int:
        """Days since the oldest due date that isn't covered; 0 where nothing is late."""
        if self.state in _OVER:
            return 0
        late = (row.due_on for row in self.instalments if row.open.total)
        return days_past_due(min(late, default=None), on)

    @property
    def next_instalment(self) -> InstalmentView | None:
        """The first that has not fallen due yet; none of a loan that is over or in default."""
        if self.state in _OVER:
            return None
        return next((row for row in self.instalments if row.interest_due is None), None)


def loan_view(loan: Loan, schedules: Schedules) -> LoanView:
    """One loan, its market loaded with it."""
    return LoanView(
        key=loan.pk,
        public_id=loan.public_id,
        band=loan.market.band,
        term_months=loan.term_months,
        amount=loan.amount,
        rate=loan.rate,
        instalment=loan.instalment,
        state=LoanState(loan.state),
        principal_paid=loan.principal_paid,
        interest_paid=loan.interest_paid,
        funded_on=loan.funded_on,
        paid_out_on=loan.paid_out_on,
        closed_on=loan.closed_on,
        defaulted_on=loan.defaulted_on,
        schedules=schedules,
    )
