"""The agreement of a funded loan: its exact terms as a plain text that can be stored by hash.

The same terms under the same template are the same bytes, on every machine. A template that was
ever offered stays in :data:`TEMPLATES`; a change of its words is a new version.

A text names people by reference alone, so that what is kept for good holds nothing personal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from marketplace.core.apr import apr
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.wording import long_date, one_decimal, percent, pounds

_MONTHS_A_YEAR = 12


class TermsRefused(MarketplaceRefusal):
    """Terms that don't belong together, or a template that there never was."""

    code = "TERMS_REFUSED"


@dataclass(frozen=True)
class Terms:
    """What is agreed.

    Attributes:
        loan, borrower: their public ids.
        amount: pence lent.
        arrangement_fee: pence of it kept back at pay-out.
        rate: annual effective ppm, the blend of what the lenders asked.
        lenders: how many people lend.
        principal, interest: pence of each instalment, by the contract.
        due_on: the day of each instalment, should the loan be paid out on ``paid_out_on``.
        paid_out_on: the day of acceptance for which the days are worked out.
        offered_on: the day on which the loan was funded.
        accept_by: the last day of acceptance.
        withdrawal_days: days after acceptance on which the borrower may withdraw.
        default_months: calendar months after which an unpaid due date is a default.
    """

    loan: str
    borrower: str
    amount: int
    arrangement_fee: int
    rate: int
    lenders: int
    principal: tuple[int, ...]
    interest: tuple[int, ...]
    due_on: tuple[date, ...]
    paid_out_on: date
    offered_on: date
    accept_by: date
    withdrawal_days: int
    default_months: int

    def __post_init__(self) -> None:
        """Refuse terms that don't add up.

        Raises:
            TermsRefused: columns of unequal lengths, or principal that is not the amount.
        """
        if not len(self.principal) == len(self.interest) == len(self.due_on) > 0:
            raise TermsRefused("Each instalment has a day, principal and interest.")
        if sum(self.principal) != self.amount or not 0 <= self.arrangement_fee < self.amount:
            raise TermsRefused("Instalments repay the amount, and the fee is less than it.")

    @property
    def paid_out(self) -> int:
        """Pence that reach the borrower."""
        return self.amount - self.arrangement_fee

    @property
    def instalments(self) -> tuple[int, ...]:
        """Pence due on each day."""
        return tuple(p + i for p, i in zip(self.principal, self.interest, strict=True))

    @property
    def total_repayable(self) -> int:
        """Pence of all instalments."""
        return sum(self.instalments)

    @property
    def total_charge(self) -> int:
        """Pence that the loan costs: interest, and the fee."""
        return sum(self.interest) + self.arrangement_fee

    @property
    def apr(self) -> float:
        """The annual percentage rate of charge, a fraction."""
        return contract_apr(self.paid_out, self.instalments)


def contract_apr(paid_out: int, instalments: Sequence[int]) -> float:
    """Return the APR of monthly instalments, as a fraction.

    Each month is a twelfth of a year, as CONC App 1.2 presumes. Days to which a due date is moved
    because banks are closed are not counted, so the rate told is never below the true one.

    Args:
        paid_out: pence that reach the borrower.
        instalments: pence due after each month.

    Raises:
        AprRefused: nothing paid out, or nothing to repay.
    """
    payments = [(month / _MONTHS_A_YEAR, pence) for month, pence in enumerate(instalments, start=1)]
    return apr([(0.0, paid_out)], payments)


@dataclass(frozen=True)
class AgreementTemplate:
    """The words of an agreement; ``text`` has the fields of :func:`render_agreement`."""

    version: int
    text: str


_FIRST = AgreementTemplate(
    1,
    """\
LOAN AGREEMENT

Loan      {loan}
Borrower  member {borrower}
Lenders   {lenders}, through Tenner

Offered on {offered_on}. You can accept until the end of {accept_by}.

1. What you borrow

Amount of credit                {amount}
Arrangement fee, kept back      {fee}
Paid out to you                 {paid_out}

2. What it costs

Rate of interest                {rate} a year, fixed
Total charge for credit         {charge} (interest {interest}, fee {fee})
Total amount repayable          {total}
APR                             {apr}

The APR counts the arrangement fee, and each month as a twelfth of a year.

3. What you pay, and when

{months} monthly instalments. The loan is paid out at the close of the day on which you accept. Each
instalment is due on the same day of the month as the pay-out, or on the last day of a month that
has no such day; where banks are closed on it, on the next day on which they are open. Amounts do
not depend on the day of the pay-out.

If you accept and are paid out on {paid_out_on}:

  No.  Due on               Instalment     Principal      Interest   Still owed
{table}

4. Your right to withdraw

You can withdraw without giving a reason, until {withdrawal_days} days after the day of your
acceptance. Before the pay-out nothing is owed. After it you repay the amount of credit and the
interest for the days since the pay-out; the arrangement fee is given back.

5. Paying early

You can repay all or part of the loan at any time, without a charge. To settle all of it you pay
the principal still owed and the interest for the days since the last due date. If you repay a part
you choose whether the loan ends sooner or the instalments become smaller.

6. If you miss a payment

There is no charge for paying late, and interest that is late bears no interest. Principal that is
late goes on bearing interest at the same rate. A payment fills the oldest instalment first. Missed
payments may be reported to credit reference agencies and make borrowing harder. If an instalment
is still unpaid {default_months} calendar months after its due date the loan is in default: all of
it is then due at once, and it may be passed to recovery. If you can't pay, tell us as early as you
can. Free and independent help: MoneyHelper (moneyhelper.org.uk, 0800 138 7777) and StepChange
(stepchange.org, 0800 138 1111).
""",
)

TEMPLATES: dict[int, AgreementTemplate] = {one.version: one for one in (_FIRST,)}
CURRENT = max(TEMPLATES)


def render_agreement(terms: Terms, version: int = CURRENT) -> str:
    """Return the agreement's text: lines that end with a line feed, the same bytes every time.

    Args:
        terms: what is agreed.
        version: of the template.

    Raises:
        TermsRefused: there never was such a version.
        AprRefused: terms that have no annual rate.
    """
    template = TEMPLATES.get(version)
    if template is None:
        raise TermsRefused(f"There is no template {version} of an agreement.", field="version")
    return template.text.format(
        loan=terms.loan,
        borrower=terms.borrower,
        lenders="1 person" if terms.lenders == 1 else f"{terms.lenders} people",
        offered_on=long_date(terms.offered_on),
        accept_by=long_date(terms.accept_by),
        amount=pounds(terms.amount),
        fee=pounds(terms.arrangement_fee),
        paid_out=pounds(terms.paid_out),
        rate=percent(terms.rate),
        charge=pounds(terms.total_charge),
        interest=pounds(sum(terms.interest)),
        total=pounds(terms.total_repayable),
        apr=one_decimal(terms.apr),
        months=len(terms.due_on),
        paid_out_on=long_date(terms.paid_out_on),
        table=_table(terms),
        withdrawal_days=terms.withdrawal_days,
        default_months=terms.default_months,
    )


def agreement_digest(text: str) -> str:
    """The SHA-256 of the text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _table(terms: Terms) -> str:
    owed = terms.amount
    rows = []
    columns = zip(terms.due_on, terms.principal, terms.interest, strict=True)
    for number, (due_on, principal, interest) in enumerate(columns, start=1):
        owed -= principal
        figures = (principal + interest, principal, interest, owed)
        money = "".join(
            f"{pounds(pence):>{width}}" for pence, width in zip(figures, _WIDTHS, strict=True)
        )
        rows.append(f"{number:>5}  {long_date(due_on):<18}{money}")
    return "\n".join(rows)


_WIDTHS = (13, 14, 14, 13)
