"""Templates of notices: complete, readable, and never a promise."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from marketplace.core.notices import (
    FUND_COVERS,
    FUND_COVERS_NOT,
    TEMPLATES,
    NoticeName,
    NoticeRefused,
    Template,
    current_template,
)

# What each sort of field could be: money and rates are integers, days are dates.
_SPEC = re.compile(r"\{(\w+)(?::(\w+))?\}")
_SAMPLES: dict[str, Any] = {"money": 123_456, "date": date(2016, 5, 3), "rate": 70_000, "": 3}


def filled(template: Template) -> tuple[str, str]:
    specs = dict(_SPEC.findall(template.subject + template.body))
    return template.render({name: _SAMPLES[spec] for name, spec in specs.items()})


def test_a_notice_reads_as_people_write() -> None:
    subject, body = current_template(NoticeName.ARREARS).render(
        {
            "days": 31,
            "overdue": 3_078,
            "day": date(2016, 6, 3),
            "oldest_on": date(2016, 5, 3),
            "reference": "abc",
        }
    )
    assert subject == "Your loan is 31 day(s) behind"
    assert body.startswith(
        "£30.78 was due on your loan by 3 June 2016 and is not paid; the oldest of it was due on "
        "3 May 2016."
    )
    assert body.endswith("\n\nLoan abc")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: f"{t.name}-{t.version}")
def test_every_template_renders_short_and_promises_nothing(template: Template) -> None:
    subject, body = filled(template)
    assert "{" not in subject + body
    assert "\n" not in subject
    assert len(subject) <= 200
    assert len(body) <= 1_000
    said = f"{subject} {body}".lower().replace("it is no guarantee", "")
    for promise in ("guarantee", "safe", "risk-free", "certain", "will be paid", "protected"):
        assert promise not in said


def test_every_name_has_a_template_and_versions_are_kept_apart() -> None:
    assert {template.name for template in TEMPLATES} == set(NoticeName)
    assert len({(t.name, t.version) for t in TEMPLATES}) == len(TEMPLATES)
    for name in NoticeName:
        newest = max(t.version for t in TEMPLATES if t.name is name)
        assert current_template(name).version == newest


@pytest.mark.parametrize(
    "name",
    [
        NoticeName.ARREARS,
        NoticeName.BOUNCED,
        NoticeName.DEFAULT,
        NoticeName.HARDSHIP,
        NoticeName.HARDSHIP_ENDED,
        NoticeName.ARRANGEMENT,
        NoticeName.ARRANGEMENT_ENDED,
    ],
)
def test_whoever_struggles_is_told_where_to_get_help(name: NoticeName) -> None:
    body = current_template(name).body
    assert "moneyhelper.org.uk" in body
    assert "stepchange.org" in body


def test_the_fund_is_no_guarantee_in_any_notice_about_it() -> None:
    assert "no guarantee" in FUND_COVERS
    assert "does not cover" in FUND_COVERS_NOT
    assert "may pay no more" in current_template(NoticeName.FUND_PAID).body


def test_other_fields_than_the_template_has_are_refused() -> None:
    template = current_template(NoticeName.CANCELLED)
    for fields in ({}, {"amount": 1}, {"amount": 1, "reference": "x", "name": "Ada"}):
        with pytest.raises(NoticeRefused, match="takes amount, reference") as refusal:
            template.render(fields)
        assert refusal.value.code == "NOTICE_REFUSED"
