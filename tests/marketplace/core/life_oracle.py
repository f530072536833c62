"""A loan's life told again, day by day and in fractions: slow, plain, and sharing no code."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from marketplace.core.loan_events import LoanEvent, PaymentEvent

from . import reference

HALF = Fraction(1, 2)
DAY = timedelta(days=1)
RUNNING = ("active", "arrears", "arrangement", "hardship")


def months_on(day: date, months: int) -> date:
    """The same day of the month so many months later, or the month's last."""
    for _ in range(months):
        first = day.replace(day=1) + timedelta(days=31)
        day = first.replace(day=1)
    return day


def nth(anchor: date, months: int) -> date:
    """Like :func:`months_on`, keeping the anchor's own day."""
    month = months_on(anchor.replace(day=1), months)
    return month.replace(day=min(anchor.day, monthrange(month.year, month.month)[1]))


@dataclass
class Due:
    """A row of what is due."""

    kind: str
    nominal: date
    on: date
    place: int = 0
    days: int = 1
    month: int = 1
    principal: int = 0
    prepaid: int = 0
    extra: int = 0
    interest: int | None = None
    months: int | None = None
    got_principal: int = 0
    got_interest: int = 0

    @property
    def begins(self) -> date:
        """Where its period begins."""
        return self.nominal - timedelta(days=self.days)

    @property
    def missing(self) -> int:
        """What is due of it and not paid."""
        assert self.interest is not None
        return self.principal + self.interest - self.got_principal - self.got_interest


@dataclass
class Came:
    """A payment and what became of it."""

    event: PaymentEvent
    allocated: date | None = None
    spread: date | None = None
    principal: int = 0
    interest: int = 0
    returned: int = 0
    fund: tuple[int, int] = (0, 0)
    cost: tuple[int, int] = (0, 0)


@dataclass
class Oracle:
    """One loan; :meth:`run` tells its life."""

    units: list[int]
    rates: list[int]
    ids: list[int]
    start: date
    months: int
    fee_ppm: int
    holidays: frozenset[date] = frozenset()
    state: str = "active"
    s: int = 0
    level: int = 0
    rows: list[Due] = field(default_factory=list)
    came: dict[int, Came] = field(default_factory=dict)
    moves: list[tuple[date, str]] = field(default_factory=list)
    principal: list[int] = field(default_factory=list)
    interest: list[int] = field(default_factory=list)
    fees: list[int] = field(default_factory=list)
    history: list[tuple[int, list[int], list[int], list[int]]] = field(default_factory=list)
    fund: list[int] = field(default_factory=lambda: [0, 0])
    lenders: int = 0
    skipped: list[tuple[date, int, int]] = field(default_factory=list)
    pauses: list[tuple[date, date]] = field(default_factory=list)
    spell: tuple[LoanEvent, int] | None = None
    rescinded: bool = False
    lost: bool = False

    def __post_init__(self) -> None:
        """The contract's schedule."""
        self.amount = sum(self.units) * 1_000
        self.principal = [0] * len(self.units)
        self.interest, self.fees = list(self.principal), list(self.principal)
        weighted = sum(u * r for u, r in zip(self.units, self.rates, strict=True))
        self.rate = Fraction(weighted, sum(self.units) * 10**12)
        self.anchor = self.start
        self.rows = [Due("regular", self.start, self.start, k + 1) for k in range(self.months)]
        self.date_rows(self.start)
        self.reschedule(None, 0)

    # What follows from the rows.

    def total_interest(self, s: int) -> int:
        """All parts' interest at ``s``."""
        pairs = zip(self.units, self.rates, strict=True)
        return sum(reference.interest(u, r, s, sum(self.units)) for u, r in pairs)

    def coming(self) -> list[Due]:
        """Rows that have not fallen due."""
        return [row for row in self.rows if row.interest is None]

    def fallen(self) -> list[Due]:
        """Rows that have."""
        return [row for row in self.rows if row.interest is not None]

    def open(self) -> int:
        """What is due and not paid."""
        return sum(row.missing for row in self.fallen())

    def outstanding(self) -> int:
        """Principal not paid."""
        return self.amount - sum(row.got_principal for row in self.rows)

    def overdue(self) -> int:
        """Interest due and not paid."""
        return sum((row.interest or 0) - row.got_interest for row in self.fallen())

    # Schedules.

    def date_rows(self, begins: date) -> None:
        """Date what is to come."""
        for row in self.coming():
            row.nominal = nth(self.anchor, row.place)
            row.on = row.nominal
            while row.on.weekday() > 4 or row.on in self.holidays:
                row.on += DAY
            row.days = row.month = (row.nominal - begins).days
            begins = row.nominal

    def left_over(self, level: Fraction, count: int, months: Fraction, later: Fraction) -> Fraction:
        """What exact fractions leave after ``count`` instalments of ``level``."""
        balance = Fraction(sum(row.principal for row in self.rows if row.interest is None))
        balance = Fraction(self.amount - sum(row.principal for row in self.fallen()))
        for k in range(count):
            grown = months if k == 0 else balance
            balance += self.rate * (grown + later) - level
        return balance

    def solve(self, count: int, months: Fraction, deferred: int) -> int:
        """The level that leaves nothing: what is left is linear in it."""
        later = Fraction(deferred, count)
        none = self.left_over(Fraction(0), count, months, later)
        one = self.left_over(Fraction(1), count, months, later)
        return round(none / (none - one))

    def pennies(self, level: int, count: int, deferred: int) -> list[tuple[int, int, int]]:
        """Principal, interest and released pence-months of ``count`` instalments."""
        first = self.coming()[0]
        balance = self.amount - sum(row.principal for row in self.fallen())
        s, out = self.s, []
        for k in range(count):
            extra = floor(Fraction(deferred * (k + 1), count) + HALF)
            extra -= floor(Fraction(deferred * k, count) + HALF)
            grown = Fraction(balance)
            if k == 0:
                grown = Fraction(balance * first.days + first.prepaid, first.month)
            due = self.total_interest(s + floor(grown + HALF) + extra) - self.total_interest(s)
            s += floor(grown + HALF) + extra
            later = count - 1 - k
            repaid = min(max(level - due, 0), balance - later) if later else balance
            balance -= repaid
            out.append((repaid, due, extra))
        return out

    def reschedule(self, level: int | None, deferred: int) -> None:
        """Work out anew what is to come."""
        rows = self.coming()
        first = rows[0]
        balance = self.amount - sum(row.principal for row in self.fallen())
        count = min(len(rows), balance)
        if level is None:
            grown = Fraction(balance * first.days + first.prepaid, first.month)
            level = self.solve(count, grown, deferred)
            plan = self.pennies(level, count, deferred)
            if count > 1 and plan[0][0] == 0:
                rest = sum(extra for _, _, extra in plan[1:])
                level = self.solve(count - 1, Fraction(balance), rest)
        else:
            for fewer in range(1, count + 1):
                last = self.pennies(level, fewer, deferred)[-1]
                if last[0] + last[1] <= level:
                    count = fewer
                    break
        self.level = level
        keep = self.rows[: len(self.rows) - len(rows)] + rows[:count]
        self.rows = keep
        for row, (repaid, _, extra) in zip(
            rows, self.pennies(level, count, deferred), strict=False
        ):
            row.principal, row.extra = repaid, extra

    def skipped_cost(self, principal: int, on: date) -> int:
        """Pence-months that skipped days from a day on would cost."""
        months = Fraction()
        for begins, days, month in self.skipped:
            months += sum(Fraction(1, month) for d in range(days) if begins + d * DAY >= on)
        return floor(principal * months + HALF)

    # The day.

    def run(
        self, payments: Sequence[PaymentEvent], events: Sequence[LoanEvent], until: date
    ) -> Oracle:
        """Tell the life to the end of a day."""
        day = self.start
        while day <= until:
            self.day(
                day,
                [p for p in payments if p.received_on == day],
                [e for e in events if e.on == day],
            )
            day += DAY
        return self

    def day(self, on: date, payments: Sequence[PaymentEvent], events: Sequence[LoanEvent]) -> None:
        """One day."""
        for row in self.coming() if self.state in RUNNING else []:
            if row.on <= on:
                grown = Fraction(self.outstanding() * row.days + row.prepaid, row.month)
                step = floor(grown + HALF) + row.extra
                self.fix(row, 0 if self.state == "hardship" else step)
                self.skipped = []
        self.use_waiting(on)
        late = [e for e in events if ends_the_day(e)]
        now: list[Any] = [*payments, *(e for e in events if not ends_the_day(e))]
        short: int | None = None
        for item in sorted(now, key=lambda item: item.number):
            if short is not None and item.number != short:
                self.close_short(on)
                short = None
            if isinstance(item, PaymentEvent):
                self.take(item, on)
            elif item.kind == "settled_short":
                self.all_due()
                short = item.number + 1
                self.use_waiting(on)
            else:
                self.happen(item, on)
                self.use_waiting(on)
            if isinstance(item, PaymentEvent) and item.number == short:
                self.close_short(on)
                short = None
        if short is not None:
            self.close_short(on)
        self.spread_cleared(on)
        self.age(on, late)

    def fix(self, row: Due, step: int) -> None:
        """Let a row fall due after ``S`` has grown."""
        before = self.total_interest(self.s)
        self.s += step
        row.interest, row.months = self.total_interest(self.s) - before, self.s

    def all_due(self) -> None:
        """All principal, no interest."""
        for row in self.coming():
            row.interest, row.months = 0, self.s

    def become(self, on: date, state: str) -> None:
        """Change state."""
        self.state = state
        self.moves.append((on, state))

    def close_short(self, on: date) -> None:
        """The rest is written off."""
        self.lost = True
        self.spell = None
        self.become(on, "settled")
        self.use_waiting(on)

    # Payments.

    def waits(self, payment: PaymentEvent) -> bool:
        """Whether it has nothing to pay yet."""
        more = self.state in RUNNING and bool(self.coming())
        return payment.excess == "keep" and self.open() == 0 and more

    def take(self, payment: PaymentEvent, on: date) -> None:
        """A payment arrives."""
        self.came[payment.number] = Came(payment)
        if self.spell is not None:
            self.spell = (self.spell[0], self.spell[1] + payment.amount)
        if not self.waits(payment):
            self.allocate(self.came[payment.number], on)
        self.use_waiting(on)

    def use_waiting(self, on: date) -> None:
        """Payments that waited are allocated while they have a use, or none can come."""
        # In the order in which they came.
        waiting = [came for came in self.came.values() if came.allocated is None]
        for came in waiting:
            if self.waits(came.event):
                return
            self.allocate(came, on)

    def fill(self, amount: int) -> tuple[int, int]:
        """The waterfall."""
        interest = principal = 0
        for row in self.fallen():
            ((i, p),), amount = reference.waterfall(
                [((row.interest or 0) - row.got_interest, row.principal - row.got_principal)],
                amount,
            )
            row.got_interest += i
            row.got_principal += p
            interest, principal = interest + i, principal + p
        return principal, interest

    def allocate(self, came: Came, on: date) -> None:
        """What a payment pays."""
        payment = came.event
        owed = (self.outstanding(), self.overdue())
        takes = self.state in (*RUNNING, "default", "written_off")
        principal, interest = self.fill(payment.amount) if takes else (0, 0)
        rest = payment.amount - principal - interest
        if rest and payment.excess != "keep" and self.state in RUNNING and self.coming():
            not_due = self.amount - sum(row.principal for row in self.fallen())
            if rest >= not_due:
                self.settle(on)
            else:
                self.prepay(on, rest, payment.excess == "shorter")
            p, i = self.fill(rest)
            principal, interest, rest = principal + p, interest + i, rest - p - i
        came.allocated, came.principal, came.interest = on, principal, interest
        came.returned = rest
        self.to_fund_and_cost(came, owed)

    def to_fund_and_cost(self, came: Came, owed: tuple[int, int]) -> None:
        """Each component over fund and lenders, gross; costs pro rata."""
        both = came.principal + came.interest
        cost = min(came.event.cost, both)
        on_interest = floor(Fraction(cost * came.interest, both)) if both else 0
        costs = (cost - on_interest, on_interest)
        net = []
        for k, x in enumerate((came.principal, came.interest)):
            gross = floor(Fraction(x * self.fund[k], owed[k])) if owed[k] else 0
            self.fund[k] -= gross
            net.append(gross - (floor(Fraction(costs[k] * gross, x)) if x else 0))
        came.fund, came.cost = (net[0], net[1]), costs

    def prepay(self, on: date, amount: int, shorter: bool) -> None:  # noqa: FBT001 - a test's own
        """Principal before its time."""
        following = self.coming()[0]
        deferred = sum(row.extra for row in self.coming())
        if on >= following.begins:
            following.prepaid += amount * min((on - following.begins).days, following.days)
        else:
            deferred -= min(self.skipped_cost(amount, on), deferred)
        row = Due("prepayment", on, on, principal=amount, interest=0, months=self.s)
        self.rows.insert(len(self.fallen()), row)
        self.reschedule(self.level if shorter else None, deferred)

    def stub(self, on: date) -> int:
        """Pence-months of a settlement."""
        if not self.coming() or self.state == "hardship":
            return 0
        row, deferred = self.coming()[0], sum(row.extra for row in self.coming())
        if on < row.begins:
            not_due = self.amount - sum(other.principal for other in self.fallen())
            return max(deferred - self.skipped_cost(not_due, on), 0)
        days = min((on - row.begins).days, row.days)
        exact = Fraction(self.outstanding() * days + row.prepaid, row.month)
        return floor(exact + HALF) + deferred

    def settle(self, on: date) -> None:
        """All that is to come in one row."""
        rows = self.coming()
        if not rows:
            return
        step = self.stub(on)
        row = Due("settlement", on, on, principal=sum(other.principal for other in rows))
        self.rows = [*self.fallen(), row]
        self.fix(row, step)

    # Spreading.

    def spread_cleared(self, on: date) -> None:
        """What is allocated and has cleared."""
        for _, came in sorted(self.came.items()):
            if came.allocated is None or came.spread is not None:
                continue
            if max(came.event.clears_on, came.allocated) > on:
                continue
            came.spread = on
            self.spread(
                came.event.number,
                came.principal - came.fund[0] - came.cost[0],
                came.interest - came.fund[1] - came.cost[1],
            )
        if any(came.spread == on for came in self.came.values()):
            self.close_or_cure(on)

    def spread(self, number: int, principal: int, interest: int) -> None:
        """A penny at a time would do the same."""
        if principal + interest == 0:
            return
        sizes = [1_000 * u for u in self.units]
        self.principal = reference.spread(principal, sizes, self.principal, self.ids)
        self.lenders += interest
        full = following = reached = 0
        for row in self.fallen():
            if reached + (row.interest or 0) > self.lenders:
                following = (row.months or 0) if self.lenders > reached else full
                break
            reached += row.interest or 0
            full = following = row.months or 0
        base = [self.fixed(k, full) for k in range(len(self.units))]
        upper = [self.fixed(k, following) for k in range(len(self.units))]
        before = [max(had - b[0], 0) for had, b in zip(self.interest, base, strict=True)]
        buckets = [u[0] - b[0] for u, b in zip(upper, base, strict=True)]
        fresh = self.lenders - reached - sum(before)
        inside = reference.spread(fresh, buckets, before, self.ids) if any(buckets) else before
        self.interest = [b[0] + x for b, x in zip(base, inside, strict=True)]
        self.fees = [
            b[1] + (floor(Fraction((u[1] - b[1]) * x, w)) if w else 0)
            for b, u, x, w in zip(base, upper, inside, buckets, strict=True)
        ]
        self.history.append((number, self.principal, self.interest, self.fees))

    def fixed(self, part: int, s: int) -> tuple[int, int]:
        """One part's interest and fee at ``s``."""
        units, total = self.units[part], sum(self.units)
        interest = reference.interest(units, self.rates[part], s, total)
        monthly = floor(Fraction(self.fee_ppm * 1_000_000, 12) + HALF)
        return interest, min(reference.interest(units, monthly, s, total), interest)

    def close_or_cure(self, on: date) -> None:
        """Repaid, recovered, or cured."""
        done = [came for came in self.came.values() if came.spread is not None]
        principal = sum(came.principal for came in done)
        interest = sum(came.interest for came in done)
        due = sum(row.interest or 0 for row in self.fallen())
        if self.state in (*RUNNING, "default", "written_off"):
            if principal == self.amount and interest == due:
                ends = "rescinded" if self.rescinded else "repaid"
                self.spell = None
                self.become(on, ends if self.state in RUNNING else "recovered")
            elif self.state == "arrears":
                past = [row for row in self.fallen() if row.on < on]
                if principal + interest >= sum(r.principal + (r.interest or 0) for r in past):
                    self.become(on, "active")

    # Events and ageing.

    def happen(self, event: LoanEvent, on: date) -> None:
        """Something else than a payment."""
        kind, running = event.kind, self.state in RUNNING
        if kind in ("settlement", "rescission") and running:
            self.settle(on)
            self.rescinded = self.rescinded or kind == "rescission"
        elif kind == "holiday" and running and self.coming():
            self.holiday(event.months)
        elif kind == "due_day" and running and self.coming():
            self.due_day(event.day)
        elif kind in ("arrangement", "hardship"):
            if self.spell is not None:
                self.pauses.append((self.spell[0].on, on))
            if self.state != kind:
                self.become(on, kind)
            self.spell = (event, 0)
        elif kind == "default" and self.state not in ("default", "written_off"):
            self.default(on)
        elif kind == "fund_payment" and self.state in ("default", "written_off"):
            principal = min(event.amount, self.outstanding() - self.fund[0])
            interest = min(event.interest, self.overdue() - self.fund[1])
            self.fund = [self.fund[0] + principal, self.fund[1] + interest]
            self.spread(event.number, principal, interest)
        elif kind == "written_off":
            self.lost = True
            self.become(on, "written_off")

    def default(self, on: date) -> None:
        """All is due."""
        self.spell = None
        self.become(on, "default")
        self.all_due()
        self.use_waiting(on)

    def holiday(self, months: int) -> None:
        """Due dates are skipped."""
        first = self.coming()[0]
        balance = self.amount - sum(row.principal for row in self.fallen())
        deferred = sum(row.extra for row in self.coming()) + (months - 1) * balance
        deferred += floor(Fraction(balance * first.days + first.prepaid, first.month) + HALF)
        self.skipped.append((first.begins, first.days, first.month))
        begins = nth(self.anchor, first.place)
        for extra in range(1, months):
            ends = nth(self.anchor, first.place + extra)
            self.skipped.append((begins, (ends - begins).days, (ends - begins).days))
            begins = ends
        for row in self.coming():
            row.place += months
        first.prepaid = 0
        self.date_rows(begins)
        self.reschedule(None, deferred)

    def due_day(self, day: int) -> None:
        """Another day of the month."""
        first = self.coming()[0]
        if first.nominal.day == day and self.anchor.day == day:
            return
        begins, month, moved = first.begins, first.month, first.nominal
        while moved.day != day:
            moved += DAY
        self.anchor = moved
        for place, row in enumerate(self.coming()):
            row.place = place
        self.date_rows(begins)
        first.month = month
        self.reschedule(None, sum(row.extra for row in self.coming()))

    def late(self, on: date) -> Due | None:
        """The oldest row overdue."""
        rows = [row for row in self.fallen() if row.on < on and row.missing]
        return rows[0] if rows else None

    def end_spell(self, on: date) -> None:
        """An arrangement or hardship is over."""
        assert self.spell is not None
        # The day at whose end it ends was a day of it.
        self.pauses.append((self.spell[0].on, on + DAY))
        self.spell = None
        self.become(on, "arrears" if self.late(on) else "active")

    def age(self, on: date, events: Sequence[LoanEvent]) -> None:
        """The end of the day."""
        ended = False
        for event in sorted(events, key=lambda event: event.number):
            if event.kind == "default" and self.state not in ("default", "written_off"):
                self.default(on)
            elif event.kind == f"{self.state}_ended":
                self.end_spell(on)
                ended = True
        if self.spell is not None:
            if self.spell_is_over(on):
                self.end_spell(on)
            return
        row = self.late(on)
        if ended or row is None or self.state not in ("active", "arrears"):
            return
        paused = sum(
            1
            for first, end in self.pauses
            for d in range((end - first).days)
            if first + d * DAY > row.on
        )
        if on >= nth(row.on, 4) + paused * DAY:
            self.default(on)
        elif self.state == "active":
            self.become(on, "arrears")

    def spell_is_over(self, on: date) -> bool:
        """Whether it ends by itself today."""
        assert self.spell is not None
        event, received = self.spell
        if event.kind == "hardship":
            assert event.until is not None
            return on >= event.until
        broken = any(
            on >= nth(event.on, k) + 7 * DAY and received < event.amount * k
            for k in range(1, event.months)
        )
        return broken or on >= nth(event.on, event.months)


def ends_the_day(event: LoanEvent) -> bool:
    """Whether the event counts at the end of its day."""
    by_clock = event.kind == "default" and event.cause == "overdue"
    return by_clock or event.kind in ("arrangement_ended", "hardship_ended")
