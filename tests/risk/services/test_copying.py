"""COPY through Django's connection."""

from __future__ import annotations

import pytest

from risk.models import PastApplication
from risk.services.copying import copy_rows


@pytest.mark.usefixtures("committed_db")
def test_rows_are_copied_inside_a_transaction_only() -> None:
    with pytest.raises(RuntimeError):
        copy_rows(PastApplication, ("row_number",), [])
