"""The text of an agreement: right to the penny, and the same bytes every time."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.agreement import (
    CURRENT,
    TEMPLATES,
    Terms,
    TermsRefused,
    agreement_digest,
    contract_apr,
    render_agreement,
)
from marketplace.core.wording import long_date, one_decimal, percent, pounds

# £1,000 at 1 % a month as one part, in two instalments (docs/servicing.md): £507.51 each, of which
# interest £10.00 and £5.02. The fee is £15.00, so £985.00 are paid out.
TERMS = Terms(
    loan="11111111-1111-1111-1111-111111111111",
    borrower="22222222-2222-2222-2222-222222222222",
    amount=100_000,
    arrangement_fee=1_500,
    rate=126_825,
    lenders=1,
    principal=(49_751, 50_249),
    interest=(1_000, 502),
    due_on=(date(2016, 5, 3), date(2016, 6, 1)),
    paid_out_on=date(2016, 4, 1),
    offered_on=date(2016, 4, 1),
    accept_by=date(2016, 4, 6),
    withdrawal_days=14,
    default_months=4,
)


def test_facts_before_the_contract_are_right_to_the_penny() -> None:
    text = render_agreement(TERMS)
    for fact in (
        "Amount of credit                £1,000.00\n",
        "Arrangement fee, kept back      £15.00\n",
        "Paid out to you                 £985.00\n",
        "Rate of interest                12.6825 % a year, fixed\n",
        # 10.00 + 5.02 of interest and 15.00 of fee.
        "Total charge for credit         £30.02 (interest £15.02, fee £15.00)\n",
        # 507.51 twice.
        "Total amount repayable          £1,015.02\n",
        "Offered on 1 April 2016. You can accept until the end of 6 April 2016.\n",
        "2 monthly instalments.",
        "until 14 days after the day of your\nacceptance",
    ):
        assert fact in text
    rows = re.findall(r"^ +(\d+)  (.{18}) +(\S+) +(\S+) +(\S+) +(\S+)$", text, re.MULTILINE)
    assert [(number, day.strip(), *money) for number, day, *money in rows] == [
        ("1", "3 May 2016", "£507.51", "£497.51", "£10.00", "£502.49"),
        ("2", "1 June 2016", "£507.51", "£502.49", "£5.02", "£0.00"),
    ]


def test_the_apr_counts_the_fee_and_months_as_twelfths() -> None:
    # 985.00 = 507.51 (v + v²), where v is what a pound a month away is worth: a quadratic.
    v = (-1 + math.sqrt(1 + 4 * 985.00 / 507.51)) / 2
    expected = v**-12 - 1
    assert TERMS.apr == pytest.approx(expected, abs=1e-9)
    assert f"APR                             {expected * 100:.1f} %\n" in render_agreement(TERMS)
    # Without a fee it is the rate of interest, but for the rounding to pence.
    assert contract_apr(100_000, TERMS.instalments) == pytest.approx(1.01**12 - 1, abs=1e-4)


def test_same_terms_same_bytes_and_another_term_another_digest() -> None:
    text = render_agreement(TERMS)
    assert render_agreement(replace(TERMS)) == text
    assert agreement_digest(text) == hashlib.sha256(text.encode("utf-8")).hexdigest()
    later = replace(
        TERMS,
        paid_out_on=date(2016, 4, 4),
        due_on=(date(2016, 5, 4), date(2016, 6, 6)),
    )
    others = [later, replace(TERMS, arrangement_fee=1_501), replace(TERMS, lenders=2)]
    assert len({agreement_digest(render_agreement(each)) for each in [TERMS, *others]}) == 4


def test_every_version_renders_and_lines_fit_a_page() -> None:
    assert max(TEMPLATES) == CURRENT
    for version in TEMPLATES:
        text = render_agreement(TERMS, version)
        assert "{" not in text
        assert text.endswith("\n")
        assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    "changes",
    [
        {"principal": (49_751, 50_248)},
        {"interest": (1_502,)},
        {"due_on": ()},
        {"arrangement_fee": 100_000},
        {"arrangement_fee": -1},
    ],
)
def test_terms_that_do_not_add_up_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(TermsRefused) as refusal:
        replace(TERMS, **changes)  # type: ignore[arg-type]
    assert refusal.value.code == "TERMS_REFUSED"


def test_a_version_that_never_was_is_refused() -> None:
    with pytest.raises(TermsRefused, match="no template 99"):
        render_agreement(TERMS, 99)


@given(
    st.lists(st.tuples(st.integers(1, 200_000), st.integers(0, 50_000)), min_size=1, max_size=60),
    st.integers(0, 99),
)
def test_the_text_says_exactly_what_is_due(rows: list[tuple[int, int]], fee_percent: int) -> None:
    """Every penny of the terms can be read back out of the text."""
    amount = sum(principal for principal, _ in rows)
    terms = replace(
        TERMS,
        amount=amount,
        arrangement_fee=amount * fee_percent // 100,
        principal=tuple(principal for principal, _ in rows),
        interest=tuple(interest for _, interest in rows),
        due_on=tuple(date(2016, 5, 1) + timedelta(days=30 * n) for n in range(len(rows))),
    )
    text = render_agreement(terms)
    found = re.findall(r"^ +\d+  .{18} +(\S+) +(\S+) +(\S+) +(\S+)$", text, re.MULTILINE)
    read = [[round(float(m[1:].replace(",", "")) * 100) for m in money] for money in found]
    owed = amount
    for (principal, interest), line in zip(rows, read, strict=True):
        owed -= principal
        assert line == [principal + interest, principal, interest, owed]
    assert owed == 0


@pytest.mark.parametrize(
    ("fraction", "told"),
    [
        (0.1274, "12.7 %"),
        (0.1275, "12.8 %"),  # halves up, as CONC has it
        (0.12749999, "12.7 %"),
        (0.0, "0.0 %"),
        (824.0, "82400.0 %"),
    ],
)
def test_an_apr_has_one_decimal(fraction: float, told: str) -> None:
    assert one_decimal(fraction) == told


def test_figures_and_dates_as_people_read_them() -> None:
    assert (pounds(123_456), pounds(5), pounds(-5)) == ("£1,234.56", "£0.05", "-£0.05")
    assert (percent(70_000), percent(71_250), percent(126_825)) == (
        "7.00 %",
        "7.125 %",
        "12.6825 %",
    )
    assert long_date(date(2024, 2, 29)) == "29 February 2024"
