"""A cycle, or a payment's spreading, that dies on its last step leaves nothing, and runs again.

Another connection holds a lock on a lender's account, so that the work comes as far as its posting
and waits there, everything else written; then its backend is killed. Or the account is closed, and
the ledger itself refuses the posting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, connections
from django.db.utils import OperationalError

from accounts.core.chart import Kind
from accounts.models import Account, Entry, Transfer
from accounts.services.posting import AccountUnknown
from marketplace.models import (
    Application,
    Cycle,
    Distribution,
    Instalment,
    Listing,
    Loan,
    LoanMove,
    Offer,
    Part,
    Payment,
)
from marketplace.selectors.audit import audit
from marketplace.services.falling_due import fall_due
from marketplace.services.matching import run_cycle
from marketplace.services.payments import distribute_cleared
from tests.marketplace import house as fixtures
from tests.marketplace.house import (
    Funded,
    House,
    borrowers,
    listing,
    offer,
    paid_out,
    pay,
    shares_of,
)
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE, enrol_lenders

house_template = fixtures.house_template
committed_house = fixtures.committed_house

_TABLES = (
    Account,
    Application,
    Cycle,
    Distribution,
    Entry,
    Instalment,
    Listing,
    Loan,
    LoanMove,
    Offer,
    Part,
    Payment,
    Transfer,
)


def _everything() -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables that the market writes; only sequences may have moved on."""
    return {model.__name__: sorted(model.objects.values_list(), key=str) for model in _TABLES}


@contextmanager
def _owner(database: str) -> Iterator[None]:
    """The owner's connection is to the test's own database."""
    owner = connections["owner"]
    home = owner.settings_dict["NAME"]
    owner.close()
    owner.settings_dict["NAME"] = database
    try:
        yield
    finally:
        owner.close()
        owner.settings_dict["NAME"] = home


def _killed_at_its_posting(database: str, account: int, work: Callable[[], object]) -> None:
    """Run ``work`` in a thread until it waits for ``account``, and kill its backend there."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    with _owner(database), connections["owner"].cursor() as owner:
        owner.execute("BEGIN")
        owner.execute("SELECT FROM accounts_account WHERE id = %s FOR UPDATE", [account])
        thread.start()
        killed = _kill_who_waits()
        thread.join(timeout=10)
        owner.execute("ROLLBACK")
    thread.join()
    assert killed
    [failure] = failures
    assert isinstance(failure, OperationalError)


def _kill_who_waits() -> bool:
    """Whether somebody came to wait with a posting within ten seconds, and was killed."""
    for _ in range(1_000):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND wait_event_type = 'Lock' AND query LIKE '%accounts_post_entry%'"
            )
            if cursor.fetchone() is not None:
                return True
        time.sleep(0.01)
    return False


def _account(kind: Kind, owner: int) -> int:
    return Account.objects.get(kind=kind.value, owner_id=owner).pk


def _market(house: House) -> int:
    """Two lenders and two listings, of which one can be funded; the second lender's account."""
    one, other = enrol_lenders([60_000, 60_000])
    offer(house, one, 60_000, {"A/36": 70_000})
    offer(house, other, 60_000, {"A/36": 71_000})
    for borrower in borrowers(2):
        listing(house, borrower, 100_000)
    return _account(Kind.ON_OFFER, other.pk)


def _cycle() -> tuple[int, int, int]:
    view = run_cycle(on=DAY, actor=ACTOR, key="the cycle")
    return view.loans, view.parts, view.lent


def test_a_killed_cycle_leaves_nothing_and_runs_again(committed_house: House) -> None:
    account = _market(committed_house)
    before = _everything()
    _killed_at_its_posting(committed_house.database, account, _cycle)
    assert _everything() == before
    assert _cycle() == (1, 2, 100_000)
    assert Cycle.objects.get().state == "done"
    assert all(finding.holds for finding in audit())


def test_a_cycle_that_the_ledger_refuses_leaves_nothing(committed_house: House) -> None:
    account = _market(committed_house)
    with _owner(committed_house.database), connections["owner"].cursor() as owner:
        owner.execute("UPDATE accounts_account SET closed_on = %s WHERE id = %s", [DAY, account])
        before = _everything()
        with pytest.raises(AccountUnknown):
            _cycle()
        assert _everything() == before
        owner.execute("UPDATE accounts_account SET closed_on = NULL WHERE id = %s", [account])
    assert _cycle() == (1, 2, 100_000)
    assert all(finding.holds for finding in audit())


def _payment(house: House) -> Funded:
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 3_078, FIRST_DUE)
    return made


def test_a_killed_spreading_leaves_nothing_and_runs_again(committed_house: House) -> None:
    made = _payment(committed_house)
    before = _everything()
    _killed_at_its_posting(
        committed_house.database,
        _account(Kind.CASH, made.lenders[1].pk),
        lambda: distribute_cleared(on=CLEARED, actor=ACTOR),
    )
    assert _everything() == before
    assert distribute_cleared(on=CLEARED, actor=ACTOR) == 2
    # The worked example of payments: 1,206p and 1,306p of principal, 268p and 298p of interest.
    assert shares_of(made.loan_id, 1) == [(1_206, 268, 40), (1_306, 298, 43)]
    assert all(finding.holds for finding in audit())
