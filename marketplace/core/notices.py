"""What members are told: versioned templates in plain English, short, and never a promise.

A field is written as ``{name}``, or with how a person reads it: ``{amount:money}`` (pence),
``{due_on:date}``, ``{rate:rate}`` (ppm). A template that was ever used stays in :data:`TEMPLATES`;
a change of its words is a new version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter
from typing import Any

from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.wording import long_date, percent, pounds

# Days past due on which a borrower in arrears is told, the first day on.
ARREARS_STAGES = (1, 31, 61, 91)

_HELP = (
    "If you can't pay, tell us: we can agree on smaller payments or a pause. Free and independent "
    "help: MoneyHelper (moneyhelper.org.uk, 0800 138 7777) and StepChange (stepchange.org, "
    "0800 138 1111)."
)

FUND_COVERS = (
    "The provision fund covers loans of this kind. It may pay all of this, some of it or nothing: "
    "it is no guarantee."
)
FUND_COVERS_NOT = "The provision fund does not cover this loan."


class NoticeRefused(MarketplaceRefusal):
    """A notice without a template, or whose template is handed other fields than it has."""

    code = "NOTICE_REFUSED"


class NoticeName(StrEnum):
    """What a notice is about, and whom it is for where that is not its borrower."""

    AGREEMENT_READY = "agreement_ready"
    PAID_OUT = "paid_out"
    LENT = "lent"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
    LISTING_EXPIRED = "listing_expired"
    MATCH_CANCELLED = "match_cancelled"
    DEBIT_CHANGED = "debit_changed"
    BOUNCED = "bounced"
    ARREARS = "arrears"
    DEFAULT = "default"
    DEFAULT_LENDER = "default_lender"
    DEFAULT_LIFTED = "default_lifted"
    FUND_PAID = "fund_paid"
    FUND_TAKEN_BACK = "fund_taken_back"
    FUND_DECLINED = "fund_declined"
    HARDSHIP = "hardship"
    HARDSHIP_ENDED = "hardship_ended"
    ARRANGEMENT = "arrangement"
    ARRANGEMENT_ENDED = "arrangement_ended"
    REPAID = "repaid"
    SETTLED = "settled"
    RECOVERED = "recovered"
    RESCINDED = "rescinded"


@dataclass(frozen=True)
class Template:
    """The words of one version of a notice."""

    name: NoticeName
    version: int
    subject: str
    body: str

    @property
    def fields(self) -> frozenset[str]:
        """The names of what is filled in."""
        parsed = Formatter().parse(self.subject + self.body)
        return frozenset(name for _, name, _, _ in parsed if name is not None)

    def render(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        """Return subject and body.

        Raises:
            NoticeRefused: fields are missing, or there are others.
        """
        if self.fields != fields.keys():
            given = ", ".join(sorted(fields)) or "nothing"
            wanted = ", ".join(sorted(self.fields)) or "nothing"
            raise NoticeRefused(f"A notice {self.name} takes {wanted}, not {given}.")
        write = _People()
        return write.vformat(self.subject, (), fields), write.vformat(self.body, (), fields)


class _People(Formatter):
    """Writes figures as people read them."""

    _KINDS: Mapping[str, Callable[[Any], str]] = {
        "money": pounds,
        "date": long_date,
        "rate": percent,
        "": str,
    }

    def format_field(self, value: Any, format_spec: str) -> str:
        """One figure in the way that its field names."""
        return self._KINDS[format_spec](value)


TEMPLATES: tuple[Template, ...] = (
    Template(
        NoticeName.AGREEMENT_READY,
        1,
        "Your loan is funded: accept it by {accept_by:date}",
        "Lenders have funded your loan of {amount:money} over {months} months at {rate:rate} a "
        "year. Please read the agreement and accept it by {accept_by:date}. Nothing is paid out "
        "before you accept, and you owe nothing if you don't.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.PAID_OUT,
        1,
        "Your loan is paid out",
        "{paid_out:money} is in your account: your loan of {amount:money} less the arrangement fee "
        "of {fee:money}. The first instalment, {instalment:money}, is due on {due_on:date}. You "
        "can withdraw from the agreement until {withdraw_by:date}.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.LENT,
        1,
        "{lent:money} of your money was lent on {day:date}",
        "On {day:date}, {lent:money} of your money was paid out to borrowers, in {parts} part(s) "
        "of {loans} loan(s). Borrowers may not repay; what you should expect is shown with your "
        "portfolio.",
    ),
    Template(
        NoticeName.CANCELLED,
        1,
        "Your loan is cancelled",
        "Your loan of {amount:money} was cancelled before it was paid out. You owe nothing."
        "\n\nLoan {reference}",
    ),
    Template(
        NoticeName.LAPSED,
        1,
        "Your loan has lapsed",
        "Your loan of {amount:money} was not accepted by {accept_by:date}, so it was cancelled. "
        "You owe nothing, and you can apply again.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.LISTING_EXPIRED,
        1,
        "Your listing has ended",
        "Your listing of {amount:money} ended on {expires_on:date} without being funded. You owe "
        "nothing, and you can apply again.",
    ),
    Template(
        NoticeName.MATCH_CANCELLED,
        1,
        "{returned:money} of your money is back from loans that were cancelled",
        "On {day:date}, {loans} loan(s) with {returned:money} of your money were cancelled before "
        "they were paid out. The money is on offer again at its place in the queue, or in your "
        "cash where you have cancelled the offer.",
    ),
    Template(
        NoticeName.DEBIT_CHANGED,
        1,
        "Your direct debit changes",
        "What you pay on your loan has changed. The next collection is {next_amount:money} on "
        "{next_on:date}; the last one is due on {last_on:date}.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.BOUNCED,
        1,
        "Your payment of {amount:money} did not go through",
        "Your payment of {amount:money}, received on {received_on:date}, was sent back by your "
        f"bank. It does not count any more; please pay what is due. {_HELP}"
        "\n\nLoan {reference}",
    ),
    Template(
        NoticeName.ARREARS,
        1,
        "Your loan is {days} day(s) behind",
        "{overdue:money} was due on your loan by {day:date} and is not paid; the oldest of it was "
        "due on {oldest_on:date}. We charge nothing for paying late, but late principal goes on "
        f"bearing interest, and late payments may be reported to credit reference agencies. {_HELP}"
        "\n\nLoan {reference}",
    ),
    Template(
        NoticeName.DEFAULT,
        1,
        "Your loan is in default",
        "Since {moved_on:date} your loan is in default. All of it is due: {owed:money}. No more "
        f"interest is added, and instalments are not collected by direct debit any more. {_HELP}"
        "\n\nLoan {reference}",
    ),
    Template(
        NoticeName.DEFAULT_LENDER,
        1,
        "A loan that you hold is in default",
        "Since {moved_on:date} a loan of which you hold {parts} part(s) is in default. "
        "{outstanding:money} of your principal is open. What is recovered is shared by those who "
        "hold it now. {fund}\n\nLoan {reference}",
    ),
    Template(
        NoticeName.DEFAULT_LIFTED,
        1,
        "A loan is not in default after all",
        "On {told_on:date} we told you that a loan is in default. That was put right: it is not. "
        "If the provision fund paid for it, that was taken back.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.FUND_PAID,
        1,
        "The provision fund paid {paid:money} to you",
        "On {decided_on:date} the provision fund paid {awarded:money} for a loan in default; your "
        "share, after the fee, is {paid:money}. The fund decides each time anew, and may pay no "
        "more.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.FUND_TAKEN_BACK,
        1,
        "A payment of the provision fund was taken back",
        "On {told_on:date} we told you what the provision fund paid to you for a loan in default. "
        "It was paid by mistake and was taken back from your cash. What was not there any more is "
        "set off from what you receive next.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.FUND_DECLINED,
        1,
        "The provision fund does not pay for a loan that you hold",
        "The provision fund has decided not to pay for a loan in default of which you hold "
        "{parts} part(s). What is recovered from the borrower is still shared by those who hold it."
        "\n\nLoan {reference}",
    ),
    Template(
        NoticeName.HARDSHIP,
        1,
        "Interest on your loan is frozen until {until:date}",
        "Until {until:date} no interest is added to your loan. Instalments of principal still fall "
        f"due, but nothing is collected by direct debit meanwhile. {_HELP}"
        "\n\nLoan {reference}",
    ),
    Template(
        NoticeName.HARDSHIP_ENDED,
        1,
        "Interest on your loan is added again",
        "Since {moved_on:date} interest is added to your loan again, and what falls due from now "
        "on is collected by direct debit again. {overdue:money} is overdue. "
        f"{_HELP}"
        "\n\nLoan {reference}",
    ),
    Template(
        NoticeName.ARRANGEMENT,
        1,
        "What we agreed: {amount:money} a month",
        "From {effective_on:date} you pay {amount:money} a month for {months} month(s), and "
        "nothing is collected by direct debit meanwhile. Interest goes on as in your agreement, "
        "and what is due by the contract stays due. While you keep to this the loan does not go "
        f"into default. {_HELP}"
        "\n\nLoan {reference}",
    ),
    Template(
        NoticeName.ARRANGEMENT_ENDED,
        1,
        "Our arrangement has ended",
        "The arrangement on your loan ended on {moved_on:date}. {overdue:money} is overdue by the "
        "contract; what falls due from now on is collected by direct debit again. "
        f"{_HELP}"
        "\n\nLoan {reference}",
    ),
    Template(
        NoticeName.REPAID,
        1,
        "Your loan is repaid",
        "Your loan of {amount:money} was repaid in full on {moved_on:date}. You owe nothing more "
        "on it.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.SETTLED,
        1,
        "Your loan is settled",
        "Your loan of {amount:money} was settled on {moved_on:date} for less than was owed, as "
        "agreed. We ask for nothing more on it. It may be shown as partly settled at credit "
        "reference agencies.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.RECOVERED,
        1,
        "Your loan is paid off",
        "All that was owed on your loan of {amount:money} was paid on {moved_on:date}. You owe "
        "nothing more on it.\n\nLoan {reference}",
    ),
    Template(
        NoticeName.RESCINDED,
        1,
        "You have withdrawn from your loan",
        "Your withdrawal from the agreement is complete since {moved_on:date}: {amount:money} and "
        "the interest by days came back, and the arrangement fee was given back to you."
        "\n\nLoan {reference}",
    ),
)

_CURRENT = {one.name: one for one in sorted(TEMPLATES, key=lambda one: one.version)}


def current_template(name: NoticeName) -> Template:
    """The latest version of a notice's template."""
    return _CURRENT[name]
