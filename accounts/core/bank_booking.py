"""What each line of a statement is: a deposit, an order of ours, one that is undone, or unknown.

Every line is booked, whatever it is, so that the ledger's bank accounts hold what the bank says:
money in that belongs to nobody known waits in suspense, money out that nobody ordered is Tenner's
own loss until somebody explains it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from accounts.core.bank_overlap import COUNTED
from accounts.core.bank_statement import BankLine
from accounts.core.bank_states import (
    LineOutcome,
    OurAccount,
    PaymentKind,
    PaymentState,
    SuspenseState,
)
from accounts.core.collecting import EXPECTED, CollectionState, collection_in

# What the keys of entries that book a bank line begin with, before the line's id.
OF_A_BANK_LINE = "bank-line/"
# Money on its way back, or back already, can't be taken back a second time.
_CAN_BE_UNDONE = (None, SuspenseState.OPEN, SuspenseState.ASSIGNED)


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line to be booked.

    Attributes:
        id: that it will have.
        account: which of our accounts it is on.
        line: what the bank says.
        effective_on: the business date on which it is booked.
        named: id of the member whose payment reference it has, known or not; 0 for none.
    """

    id: int
    account: OurAccount
    line: BankLine
    effective_on: date
    named: int = 0


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A payment of ours.

    Attributes:
        id: its key.
        kind: why it was made.
        state: how far it is.
        amount: pence, above zero.
        member_id: whose withdrawal it is; 0 for others.
        item_id: the suspense item that it sends back; 0 for others.
    """

    id: int
    kind: PaymentKind
    state: PaymentState
    amount: int
    member_id: int = 0
    item_id: int = 0


@dataclass(frozen=True, slots=True)
class KnownCollection:
    """A direct debit of ours.

    Attributes:
        id: its key.
        state: how far it is.
        amount: pence, above zero.
        credited, returned: whether a line brought it, and whether one took it back.
    """

    id: int
    state: CollectionState
    amount: int
    credited: bool = False
    returned: bool = False


@dataclass(frozen=True, slots=True)
class EarlierLine:
    """A line on the client account that a later one may undo.

    Attributes:
        id: its key.
        reference, end_to_end_id, counterparty_account: what the two may share.
        amount: signed pence.
        outcome: deposit, suspense or unexplained.
        member_id: who got the money, also out of suspense; 0 for nobody.
        item_state: of its suspense item, if it has one.
    """

    id: int
    reference: str
    end_to_end_id: str | None
    counterparty_account: str
    amount: int
    outcome: LineOutcome
    member_id: int = 0
    item_state: SuspenseState | None = None


@dataclass(frozen=True, slots=True)
class BookedLine:
    """What a line is.

    Attributes:
        new: the line.
        outcome: what it is.
        member_id: whose cash it moves; 0 for nobody's.
        payment_id: the payment of ours that it is about; 0 for none.
        item_id: the suspense item that was there before and that it moves; 0 for none.
        reverses: id of the line that it undoes; 0 for none.
        collections: ids of the direct debits that it brings, or of the one that it takes back.
    """

    new: NewLine
    outcome: LineOutcome
    member_id: int = 0
    payment_id: int = 0
    item_id: int = 0
    reverses: int = 0
    collections: tuple[int, ...] = ()


@dataclass
class Desk:
    """Books lines one after another, and remembers what they did.

    Attributes:
        payments: payments of ours by end-to-end id.
        payers: ids of members whose deposits are taken: active, with an open account.
        holders: ids of members with open accounts, active or not.
        earlier: lines that may be undone.
        own: how statements name Tenner's own account.
        collections: direct debits of ours by what a line may call them: one by its end-to-end id,
            several by their batch's or their file's id.
        payment_states: by id, those that moved.
        item_states: by id, those of items that were there before and moved.
        credited, returned: the lines that brought direct debits and took them back, by their ids.
    """

    payments: Mapping[str, KnownPayment]
    payers: Collection[int]
    holders: Collection[int]
    earlier: Iterable[EarlierLine]
    own: Collection[str] = ()
    collections: Mapping[str, Sequence[KnownCollection]] = field(default_factory=dict)
    payment_states: dict[int, PaymentState] = field(default_factory=dict)
    item_states: dict[int, SuspenseState] = field(default_factory=dict)
    credited: dict[int, int] = field(default_factory=dict)
    returned: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name: dict[tuple[int, str, str], dict[int, EarlierLine]] = defaultdict(dict)
        for line in self.earlier:
            self._index(line)

    def _index(self, line: EarlierLine) -> None:
        for name in _names(line):
            self._by_name[line.amount, *name][line.id] = line

    def book(self, lines: Sequence[NewLine]) -> list[BookedLine]:
        """What each line is, in the order given.

        Payments that went out are looked at before what undoes them, whichever way the bank sorts
        its lines, and what came in before what takes it back.
        """
        booked: dict[int, BookedLine] = {}
        for new in sorted(lines, key=self._comes_second):
            booked[new.id] = self._one(new)
        return [booked[new.id] for new in lines]

    def _comes_second(self, new: NewLine) -> bool:
        return _undoes(new.line) or (new.line.amount < 0 and bool(self._named(new.line)))

    def _one(self, new: NewLine) -> BookedLine:
        line = new.line
        payment = self.payments.get(line.end_to_end_id or "")
        if new.account is OurAccount.OWN:
            swept = payment is not None and payment.kind is PaymentKind.SWEEP and line.amount > 0
            return BookedLine(new, LineOutcome.SWEEP_CONFIRMED if swept else LineOutcome.MOVED)
        if new.account is OurAccount.FUND:
            # Nobody is ordered to take from the fund's account by us.
            known = line.amount > 0
            return BookedLine(new, LineOutcome.MOVED if known else LineOutcome.UNEXPLAINED)
        # What undoes a line that nobody could explain comes first: of an order that was carried
        # out twice, the second one is undone. But a direct debit is named by its own id only.
        booked = None
        if not self._same_id(line):
            booked = self._collection(new)
        if booked is None and _undoes(line):
            booked = self._undone(new)
        if booked is None and payment is not None and payment.amount == abs(line.amount):
            booked = self._payment(new, payment)
        if booked is None and line.amount > 0:
            booked = self._money_in(new)
        if booked is None:
            self._remember(new, LineOutcome.UNEXPLAINED)
        return booked or BookedLine(new, LineOutcome.UNEXPLAINED)

    def _named(self, line: BankLine) -> Sequence[KnownCollection]:
        """The direct debits that a line names: by its id, or in its text where it has none."""
        name = line.end_to_end_id or collection_in(line.remittance)
        return self.collections.get(name or "", ())

    def _same_id(self, line: BankLine) -> bool:
        """Whether this line undoes one with its own end-to-end id that nobody could explain."""
        same = self._by_name.get((-line.amount, "end to end", line.end_to_end_id or ""))
        return _undoes(line) and bool(same)

    def _collection(self, new: NewLine) -> BookedLine | None:
        """Direct debits that came in, alone or as a batch in one sum, or one that came back."""
        named, amount = self._named(new.line), new.line.amount
        if amount < 0:
            return self._collection_back(new, named)
        waiting = [one for one in named if not one.credited and one.id not in self.credited]
        expected = [one for one in waiting if one.state in EXPECTED]
        # A bank may credit a whole batch and take back what wasn't paid, or leave that out.
        for some in (waiting, expected) if len(named) > 1 else (expected,):
            if some and not _undoes(new.line) and sum(one.amount for one in some) == amount:
                self.credited.update((one.id, new.id) for one in some)
                ids = tuple(one.id for one in some)
                return BookedLine(new, LineOutcome.COLLECTED, collections=ids)
        return None

    def _collection_back(self, new: NewLine, named: Sequence[KnownCollection]) -> BookedLine | None:
        if len(named) != 1 or named[0].amount != -new.line.amount:
            return None
        [one] = named
        came = one.credited or one.id in self.credited
        if not came or one.returned or one.id in self.returned:
            return None
        self.returned[one.id] = new.id
        return BookedLine(new, LineOutcome.COLLECTION_UNPAID, collections=(one.id,))

    def _payment(self, new: NewLine, payment: KnownPayment) -> BookedLine | None:
        """A payment of ours that went out, or that came back after it had."""
        state = self.payment_states.get(payment.id, payment.state)
        out = new.line.amount < 0
        if out and not _undoes(new.line) and state is PaymentState.SENT:
            self.payment_states[payment.id] = PaymentState.CONFIRMED
            if payment.item_id:
                self.item_states[payment.item_id] = SuspenseState.RETURNED
            return BookedLine(
                new,
                {
                    PaymentKind.WITHDRAWAL: LineOutcome.WITHDRAWAL_CONFIRMED,
                    PaymentKind.RETURN: LineOutcome.RETURN_CONFIRMED,
                    PaymentKind.SWEEP: LineOutcome.SWEEP_CONFIRMED,
                }[payment.kind],
                payment.member_id,
                payment.id,
                payment.item_id,
            )
        if out or not _undoes(new.line) or state is not PaymentState.CONFIRMED:
            return None
        if payment.kind is PaymentKind.WITHDRAWAL and payment.member_id not in self.holders:
            return None
        self.payment_states[payment.id] = PaymentState.RETURNED
        if payment.item_id:
            self.item_states[payment.item_id] = SuspenseState.OPEN
        return BookedLine(
            new,
            {
                PaymentKind.WITHDRAWAL: LineOutcome.WITHDRAWAL_RETURNED,
                PaymentKind.RETURN: LineOutcome.RETURN_BOUNCED,
                PaymentKind.SWEEP: LineOutcome.SWEEP_RETURNED,
            }[payment.kind],
            payment.member_id,
            payment.id,
            payment.item_id,
        )

    def _money_in(self, new: NewLine) -> BookedLine:
        if new.named in self.payers:
            self._remember(new, LineOutcome.DEPOSIT, new.named)
            return BookedLine(new, LineOutcome.DEPOSIT, new.named)
        if new.line.counterparty_account in self.own:
            # Tenner makes good what its members' debts took out of client money.
            return BookedLine(new, LineOutcome.MOVED)
        self._remember(new, LineOutcome.SUSPENSE)
        return BookedLine(new, LineOutcome.SUSPENSE)

    def _remember(self, new: NewLine, outcome: LineOutcome, member_id: int = 0) -> None:
        line = new.line
        self._index(
            EarlierLine(
                new.id,
                line.reference,
                line.end_to_end_id,
                line.counterparty_account,
                line.amount,
                outcome,
                member_id,
                SuspenseState.OPEN if outcome is LineOutcome.SUSPENSE else None,
            )
        )

    def _undone(self, new: NewLine) -> BookedLine | None:
        """A line that takes an earlier one back, if that one is found and can be taken back."""
        earlier = self._earlier(new.line)
        if earlier is None:
            return None
        undone = BookedLine(new, LineOutcome.DEPOSIT_REVERSED, reverses=earlier.id)
        if earlier.outcome is LineOutcome.UNEXPLAINED:
            undone = replace(undone, outcome=LineOutcome.UNEXPLAINED)
        elif self._item_state(earlier) is SuspenseState.OPEN:
            self.item_states[earlier.id] = SuspenseState.RETURNED
            undone = replace(undone, item_id=earlier.id)
        elif earlier.member_id in self.holders:
            undone = replace(undone, member_id=earlier.member_id)
        else:
            return None
        for name in _names(earlier):
            del self._by_name[earlier.amount, *name][earlier.id]
        return undone

    def _earlier(self, line: BankLine) -> EarlierLine | None:
        """The latest of the lines of this amount that share the most with this one.

        Money that came back from somewhere isn't ours for that alone: it has to name the line.
        ``None`` where lines of different people share as much: it is not guessed who pays.
        """
        left: dict[int, EarlierLine] = {}
        for name in _names(line):
            if name[0] == "account" and line.amount > 0:
                continue
            shared = self._by_name.get((-line.amount, *name), {})
            few, many = sorted((left or shared, shared), key=len)
            found = {
                number: earlier
                for number, earlier in few.items()
                if number in many and self._item_state(earlier) in _CAN_BE_UNDONE
            }
            left = found or left
        whose = {_whose(earlier) for earlier in left.values()}
        return left[max(left)] if len(whose) == 1 else None

    def _item_state(self, earlier: EarlierLine) -> SuspenseState | None:
        return self.item_states.get(earlier.id, earlier.item_state)


def _undoes(line: BankLine) -> bool:
    return line.reversal or line.return_reason is not None


def base_of(reference: str) -> str:
    """The bank's reference, without the number put behind one that several lines share."""
    return reference.partition("#")[0]


def _names(line: EarlierLine | BankLine) -> Iterator[tuple[str, str]]:
    """What two lines may share, the most telling first; a number put behind is so least of all."""
    base = base_of(line.reference)
    ours = base == "line" or COUNTED.fullmatch(base) is not None
    if not ours:
        yield "base", base
    if line.end_to_end_id is not None:
        yield "end to end", line.end_to_end_id
    if line.counterparty_account:
        yield "account", line.counterparty_account
    if not ours:
        yield "reference", line.reference


def _whose(line: EarlierLine) -> tuple[object, ...]:
    """Who loses the money if the line is undone: a member, or who is waiting for it to go back."""
    if line.member_id:
        return (line.member_id,)
    payer = line.counterparty_account if line.outcome is LineOutcome.SUSPENSE else ""
    return line.outcome, payer
