"""Two at once assess the same applications: one writes, both get the same answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from risk.core.facts import ApplicationFacts
from risk.models import Assessment
from risk.selectors.assessments import AssessmentView
from risk.services.approving import approve_model, approve_rate_table
from risk.services.assessing import assess_applications
from risk.services.shadow import store_shadows
from tests.risk.conftest import ON, Registered

APPLICATIONS = [
    ApplicationFacts(f"application-{number}", 300_000, 36, {"searches": number % 5})
    for number in range(200)
]


@pytest.fixture(scope="module", autouse=True)
def _approved(unsigned: Registered) -> None:
    approve_model(model_version=unsigned.model_version, approver="officer-2", on=ON)
    approve_rate_table(rate_table=unsigned.rate_table, approver="officer-2", on=ON)


def test_both_get_the_same_assessments() -> None:
    together = Barrier(4)

    def assess(_: int) -> list[AssessmentView]:
        try:
            connection.ensure_connection()
            together.wait(timeout=30)
            return assess_applications(applications=APPLICATIONS, on=ON)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(assess, range(4))
    assert all(other == first for other in others)
    assert Assessment.objects.count() == len(APPLICATIONS)


def test_scores_are_stored_inside_a_transaction_only() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        store_shadows(versions=[], assessed=[], on=ON)
