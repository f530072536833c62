"""Agreements and notices as borrowers, lenders and staff meet them."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.management import CommandError, call_command
from graphql_relay import to_global_id

from accounts.models import Member, Role
from accounts.selectors.ledger import member_balances
from marketplace.core.states import LoanState
from marketplace.models import Agreement, Contact, Loan, Notice, Promise
from marketplace.services.notices import write_notices
from tests.api.conftest import ask
from tests.factories import MemberFactory
from tests.marketplace.house import (
    Funded,
    House,
    borrowers,
    funded,
    house,
    house_template,
    shared_house,
)
from tests.marketplace.statements import statements
from tests.world import DAY

__all__ = ["house", "house_template", "shared_house"]

AGREEMENT = """query ($loan: ID!) { agreement(loanId: $loan) {
  version text digest offeredOn acceptBy acceptedOn } }"""
ACCEPT = """mutation ($input: AcceptAgreementInput!) { acceptAgreement(input: $input) {
  errors { code field message } agreement { digest acceptedOn } } }"""
CANCEL = """mutation ($input: CancelFundedLoanInput!) { cancelFundedLoan(input: $input) {
  errors { code field message } loan { state closedOn } } }"""
NOTICES = """query ($first: Int, $after: String) { viewer { notices(first: $first, after: $after) {
  pageInfo { hasNextPage endCursor }
  edges { node { id name subject body loan writtenOn deliveredAt } } } } }"""


# The beginning of a command by which somebody of operations records a promise.
PROMISE = ("promise", "--by={staff}", "--key=a")


@pytest.fixture(autouse=True)
def first_day(business_date: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENNER_BUSINESS_DATE", DAY.isoformat())


@pytest.fixture
def officer(house: House) -> Member:
    member: Member = MemberFactory.build(role=Role.OPERATIONS, is_lender=False, is_borrower=False)
    member.save()
    return member


def loan_id(made: Funded) -> str:
    return str(to_global_id("MyLoan", str(made.loan.public_id)))


def change(member: Member, mutation: str, **values: Any) -> Any:
    asked = ask(member, mutation, {"input": values})
    assert asked.errors == [], asked.errors
    [answer] = asked.data.values()
    return answer


def read(made: Funded, member: Member | None = None) -> Any:
    asked = ask(member or made.borrower, AGREEMENT, {"loan": loan_id(made)})
    assert asked.errors == []
    return asked.data["agreement"]


def test_a_borrower_reads_and_accepts_the_exact_terms(house: House) -> None:
    made = funded(house)
    seen = read(made)
    assert seen["digest"] == hashlib.sha256(seen["text"].encode()).hexdigest()
    assert "Paid out to you                 £985.00" in seen["text"]
    assert (seen["offeredOn"], seen["acceptBy"]) == ("2016-04-01", "2016-04-06")
    assert seen["acceptedOn"] is None
    values = {"idempotencyKey": "yes", "loanId": loan_id(made), "digest": seen["digest"]}
    for _ in range(2):
        answer = change(made.borrower, ACCEPT, **values)
        assert answer["errors"] == []
        assert answer["agreement"] == {"digest": seen["digest"], "acceptedOn": "2016-04-01"}
    assert read(made) == {**seen, "acceptedOn": "2016-04-01"}
    assert Agreement.objects.get().actor == made.borrower.reference


def test_another_text_is_refused_and_so_is_one_too_late(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = funded(house)
    wrong = {"idempotencyKey": "a", "loanId": loan_id(made), "digest": "0" * 64}
    answer = change(made.borrower, ACCEPT, **wrong)
    assert [(e["code"], e["field"]) for e in answer["errors"]] == [("AGREEMENT_CHANGED", "digest")]
    monkeypatch.setenv("TENNER_BUSINESS_DATE", (DAY + timedelta(days=6)).isoformat())
    answer = change(made.borrower, ACCEPT, **{**wrong, "idempotencyKey": "b"})
    assert [(e["code"], e["field"]) for e in answer["errors"]] == [("AGREEMENT_LAPSED", "loanId")]
    assert read(made) is None
    assert not Agreement.objects.exists()


def test_nobody_elses_loan_is_read_accepted_or_cancelled(house: House) -> None:
    made = funded(house)
    [stranger] = borrowers(1)
    assert read(made, stranger) is None
    digest = read(made)["digest"]
    for mutation, values in ((ACCEPT, {"digest": digest}), (CANCEL, {})):
        answer = change(stranger, mutation, idempotencyKey="k", loanId=loan_id(made), **values)
        assert [error["code"] for error in answer["errors"]] == ["NOT_FOUND"]
        answer = change(
            made.lenders[0], mutation, idempotencyKey="k", loanId=loan_id(made), **values
        )
        assert [error["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert ask(made.lenders[0], AGREEMENT, {"loan": loan_id(made)}).codes == ["FORBIDDEN"]
    assert ask(None, AGREEMENT, {"loan": loan_id(made)}).codes == ["UNAUTHENTICATED"]
    assert made.loan.state == LoanState.FUNDED


def test_a_borrower_leaves_before_pay_out(house: House) -> None:
    made = funded(house)
    for _ in range(2):
        answer = change(made.borrower, CANCEL, idempotencyKey="no", loanId=loan_id(made))
        assert answer == {"errors": [], "loan": {"state": "CANCELLED", "closedOn": "2016-04-01"}}
    assert member_balances(made.lenders[0].pk).on_offer == 48_000
    answer = change(made.borrower, CANCEL, idempotencyKey="again", loanId=loan_id(made))
    [error] = answer["errors"]
    assert (error["code"], error["field"]) == ("AGREEMENT_REFUSED", "loanId")
    assert "is cancelled" in error["message"]


def test_members_read_their_own_notices_page_by_page(house: House) -> None:
    made, other = funded(house), funded(house)
    write_notices(on=DAY)
    change(made.borrower, CANCEL, idempotencyKey="no", loanId=loan_id(made))
    write_notices(on=DAY)
    first = ask(made.borrower, NOTICES, {"first": 1}).data["viewer"]["notices"]
    [edge] = first["edges"]
    assert edge["node"]["name"] == "cancelled"
    assert edge["node"]["loan"] == str(made.loan.public_id)
    assert first["pageInfo"]["hasNextPage"]
    rest = ask(made.borrower, NOTICES, {"after": first["pageInfo"]["endCursor"]})
    page = rest.data["viewer"]["notices"]
    assert [e["node"]["name"] for e in page["edges"]] == ["agreement_ready"]
    assert not page["pageInfo"]["hasNextPage"]
    # Somebody else's is not found, neither as a node nor as a cursor.
    node = "query ($id: ID!) { node(id: $id) { id ... on Notice { subject } } }"
    found = ask(made.borrower, node, {"id": edge["node"]["id"]})
    assert found.data["node"]["subject"] == "Your loan is cancelled"
    assert ask(other.borrower, node, {"id": edge["node"]["id"]}).codes == ["NOT_FOUND"]
    strange = ask(other.borrower, NOTICES, {"after": first["pageInfo"]["endCursor"]})
    assert strange.codes == ["CURSOR_REFUSED"]


def test_the_statements_of_a_page_of_notices_do_not_grow(house: House) -> None:
    made = funded(house)
    counts = []
    for day in (0, 5):
        for one in range(day, day + 5):
            Notice.objects.create(
                member=made.borrower,
                loan=made.loan,
                template="cancelled",
                version=1,
                occasion=f"test:{one}",
                subject="s",
                body="b",
                written_on=DAY,
            )
        counts.append(statements(lambda: ask(made.borrower, NOTICES, {"first": 100})))
    assert counts[0] == counts[1]


def told(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_operations_see_and_send_the_outbox(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    made = funded(house)
    assert "Notices written: 1." in told("notices", "write")
    assert "1 wait to be sent." in told("notices", "list")
    shown = capsys.readouterr().out
    assert "agreement_ready" in shown
    assert made.borrower.email not in shown
    assert "Notices sent: 1; not sent: 0." in told("notices", "send")
    assert [message.to for message in mail.outbox] == [[made.borrower.email]]
    assert "0 wait to be sent." in told("notices", "list")


class Down(BaseEmailBackend):
    """A mail server that isn't there."""

    def send_messages(self, email_messages: Any) -> int:
        raise ConnectionRefusedError(f"{len(email_messages)} message(s) not taken")


def test_a_mail_server_that_is_down_is_told_without_a_trace(house: House, settings: Any) -> None:
    funded(house)
    told("notices", "write")
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    with pytest.raises(CommandError, match="They are kept"):
        told("notices", "send")
    assert "ConnectionRefusedError" in Notice.objects.get().failure


@pytest.mark.parametrize("limit", ["0", "-1", "x", "999999999"])
def test_a_limit_that_is_none_is_refused(house: House, limit: str) -> None:
    with pytest.raises(CommandError, match="number from 1"):
        call_command("notices", "send", f"--limit={limit}")


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2016-04-02", "2016-04-02 has not come yet; today is 2016-04-01"),
        ("0001-01-01", "0001-01-01 is before 1900-01-01"),
        ("soon", "not a date"),
    ],
)
def test_notices_are_written_for_days_that_have_come(house: House, day: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("notices", "write", f"--on={day}")
    assert not Notice.objects.exists()


def test_operations_log_contacts_and_promises(
    house: House, officer: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    made = funded(house)
    Loan.objects.filter(pk=made.loan_id).update(state=LoanState.ARREARS)
    loan, by = str(made.loan_id), f"--by={officer.email}"
    note = "--note=Says [red]tomorrow[/red]\x1b[2J"
    told("contacts", "log", loan, by, "--channel=phone", "--direction=out", note, "--key=a")
    words = ("contacts", "promise", loan, by, "--amount=30.78", "--by-day=2016-04-05", "--key=a")
    said = told(*words)
    assert told(*words) == said
    assert f"£30.78 are promised for loan {loan} by 2016-04-05." in said
    assert Contact.objects.get().staff_id == officer.pk
    promise = Promise.objects.get()
    assert (promise.amount, promise.made_on, promise.actor) == (3_078, DAY, officer.reference)
    told("contacts", "show", loan, by)
    shown = capsys.readouterr().out
    assert "Says [red]tomorrow[/red]" in shown
    assert "\x1b" not in shown
    assert "£30.78" in shown
    assert "open" in shown


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("show", "{loan}", "--by={member}"), "MEMBER_UNKNOWN"),
        ((*PROMISE, "{loan}", "--amount=0", "--by-day=2016-04-05"), "PROMISE_"),
        ((*PROMISE, "{loan}", "--amount=x", "--by-day=2016-04-05"), "AMOUNT_"),
        ((*PROMISE, "{loan}", "--amount=5", "--by-day=soon"), "not a date"),
        ((*PROMISE, "9999999", "--amount=5", "--by-day=2016-04-05"), "LOAN_"),
        ((*PROMISE, "{loan}", "--amount=5", "--by-day=2016-04-05", "--on=2016-04-02"), "not come"),
        (("show", "x", "--by={staff}"), "'x' is not a number"),
        (
            (
                *("log", "{loan}", "--by={staff}", "--key=a"),
                *("--channel=phone", "--direction=in", "--note= "),
            ),
            "CONTACT_REFUSED",
        ),
    ],
)
def test_contacts_that_can_not_be_are_refused(
    house: House, officer: Member, words: tuple[str, ...], refused: str
) -> None:
    made = funded(house)
    Loan.objects.filter(pk=made.loan_id).update(state=LoanState.ARREARS)
    names = {
        "loan": made.loan_id,
        "member": made.borrower.email,
        "staff": officer.email,
    }
    with pytest.raises(CommandError, match=refused):
        call_command("contacts", *(word.format(**names) for word in words))


def test_the_table_of_moves_is_written_and_checked(tmp_path: Any, settings: Any) -> None:
    assert "is current" in told("moves", "--check")
    original = (settings.BASE_DIR / "docs" / "servicing.md").read_text(encoding="utf-8")
    settings.BASE_DIR = tmp_path
    copy = tmp_path / "docs" / "servicing.md"
    copy.parent.mkdir()
    copy.write_text(original.replace("| `funded` |", "| `fund` |"), encoding="utf-8")
    with pytest.raises(CommandError, match="out of date"):
        told("moves", "--check")
    told("moves")
    assert copy.read_text(encoding="utf-8") == original
    copy.write_text("nothing", encoding="utf-8")
    with pytest.raises(CommandError, match="marks"):
        told("moves")
