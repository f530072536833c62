"""The rules of comparing, by hand."""

from __future__ import annotations

from datetime import date

import pytest

from accounts.core.chart import LINES, Book, Kind, Side
from accounts.core.reconciliation import (
    BankPosition,
    Check,
    Compared,
    Finding,
    Held,
    age_in_days,
    bank_balances,
    changes,
    client_money,
    compare,
    fund_money,
    statements_missing,
)

DAY = date(2016, 4, 1)


def held(**pence: int) -> dict[Kind, Held]:
    return {Kind(kind): Held(net, max(net, 0)) for kind, net in pence.items()}


def test_amounts_are_compared_one_by_one() -> None:
    check = compare("r", "t", [Compared("a", 500, 500), Compared("b", 200, 201)])
    assert (check.expected, check.found, check.difference, check.checked) == (700, 701, 1, 2)
    assert check.findings == (Finding("b", 1, "expected 2.00, found 2.01"),)
    assert not check.holds
    # Two mistakes that make up for each other are two mistakes.
    both = compare("r", "t", [Compared("a", 5, 6), Compared("b", 6, 5)])
    assert (both.difference, len(both.findings)) == (0, 2)


@pytest.mark.parametrize(
    ("pence", "requirement", "difference"),
    [
        # What lies in the client account: everything of the members', suspense, fees.
        (
            {
                "client_bank": 2_800,
                "cash": 100,
                "on_offer": 200,
                "matched": 300,
                "on_its_way": 400,
                "clearing": 500,
                "suspense": 600,
                "fees": 700,
            },
            2_800,
            0,
        ),
        # Swept fees are own funds at our own bank, and the fund has its own bank, too.
        ({"client_bank": 100, "cash": 100, "own_bank": 50, "own_funds": 50}, 100, 0),
        ({"client_bank": 100, "cash": 100, "fund_bank": 9, "provision_fund": 9}, 100, 0),
        # 60 came back from a member who had spent it: the pond is 60 short until 60 are advanced.
        ({"client_bank": 40, "cash": 100, "debt": 60}, 100, -60),
        (
            {"client_bank": 100, "cash": 100, "debt": 60, "own_bank": -60 + 80, "own_funds": 80},
            100,
            0,
        ),
        # The member has repaid it: now 60 of Tenner's lie in the client account.
        ({"client_bank": 160, "cash": 100, "own_bank": 20, "own_funds": 80}, 100, 60),
        # Nobody ordered that 5 leave: own funds lose them, and the pond is short.
        ({"client_bank": 95, "cash": 100, "own_funds": -5}, 100, -5),
        # 40 of direct debits are on no statement yet; a line of 45 came before its payment did.
        ({"client_bank": 60, "collecting": 40, "cash": 100}, 100, 0),
        ({"client_bank": 145, "collecting": -45, "cash": 100}, 100, 0),
        # 30 more than the fees that were earned were swept.
        ({"client_bank": 70, "cash": 100, "fees": -30}, 100, -30),
    ],
)
def test_client_money_by_hand(pence: dict[str, int], requirement: int, difference: int) -> None:
    in_book = {kind: line for kind, line in LINES.items() if line.book is Book.CASH}
    # Each example is a book that balances: debit sides against credit sides.
    assert not sum(in_book[Kind(kind)].side * net for kind, net in pence.items())
    check = client_money(held(**pence))
    assert (check.expected, check.difference) == (requirement, difference)
    assert check.holds == (difference == 0)
    # The identity of the docstring, but for fees below nothing, which count as nothing.
    rest = {kind: pence.get(kind, 0) for kind in in_book}
    assert difference == (
        (rest[Kind.OWN_FUNDS] - rest[Kind.DEBT] - rest[Kind.OWN_BANK])
        + (rest[Kind.PROVISION_FUND] - rest[Kind.FUND_BANK])
        + min(rest[Kind.FEES], 0)
    )


def test_every_account_of_the_cash_book_is_in_one_pond() -> None:
    """A new kind of account must say where its money lies: then this example has another term."""
    cash = {kind for kind, line in LINES.items() if line.book is Book.CASH}
    banks = {Kind.CLIENT_BANK, Kind.COLLECTING, Kind.OWN_BANK, Kind.FUND_BANK}
    ponds = {Kind.OWN_FUNDS, Kind.DEBT, Kind.PROVISION_FUND}
    in_client_account = cash - banks - ponds
    assert all(LINES[kind].side is Side.CREDIT for kind in in_client_account)
    assert client_money({kind: Held(1, 1) for kind in cash}).expected == len(in_client_account)


def test_debts_are_named_beside_a_shortfall() -> None:
    [finding] = client_money(held(client_bank=40, cash=100, debt=60)).findings
    assert finding.reference == "client"
    assert finding.detail == "expected 1.00, found 0.40; members owe 0.60"


def test_the_fund_is_at_its_own_bank() -> None:
    assert fund_money(held(provision_fund=9, fund_bank=9)).holds
    [finding] = fund_money(held(provision_fund=9, fund_bank=7)).findings
    assert (finding.reference, finding.amount) == ("fund", -2)


def test_the_banks_balance_is_put_right_for_lines_of_other_dates() -> None:
    """£10.00 at the bank; £3.00 of it booked on a later date, £1.00 of the next statement now."""
    position = BankPosition("client", 800, DAY, 1_000, booked_later=300, known_later=100)
    assert bank_balances([position]).holds
    [finding] = bank_balances([BankPosition("client", 800, DAY, 1_000)]).findings
    assert finding == Finding("client", -200, "expected 10.00, found 8.00")
    assert bank_balances([BankPosition("own", 800)]).checked == 0


def test_how_old_a_statement_may_be() -> None:
    positions = [BankPosition("client", 800, DAY, 800), BankPosition("own", 0)]
    assert statements_missing(positions, date(2016, 4, 6)).holds
    [late] = statements_missing(positions, date(2016, 4, 7)).findings
    assert late == Finding("client", 800, "no statement since 2016-04-01")
    [none] = statements_missing([BankPosition("own", 5)], DAY).findings
    assert none == Finding("own", 5, "no statement yet")


def test_age() -> None:
    assert age_in_days(DAY, DAY) == 0
    assert age_in_days(date(2016, 2, 28), date(2016, 3, 1)) == 2


def test_findings_meet_open_breaks_by_rule_and_reference() -> None:
    checks = [
        Check("a", "", findings=(Finding("x", 1), Finding("y", 2))),
        Check("b", "", findings=(Finding("x", 3),)),
    ]
    moves = changes({("a", "x"): 7, ("a", "z"): 8, ("c", "x"): 9}, checks)
    assert moves.new == (("a", Finding("y", 2)), ("b", Finding("x", 3)))
    assert moves.seen == {7: Finding("x", 1)}
    # Rule c was not checked: nobody can say that its break is gone.
    assert moves.cleared == (8,)


@pytest.mark.parametrize(
    "checks",
    [
        [Check("a", "", findings=(Finding("x"), Finding("x")))],
        [Check("a", ""), Check("a", "")],
    ],
)
def test_nothing_is_there_twice(checks: list[Check]) -> None:
    with pytest.raises(ValueError, match="twice"):
        changes({}, checks)
