"""What members have to be told and have not been: one statement for each sort of notice.

Looked at is what was recorded in the last days (:data:`DAYS_BACK`), not on one day alone: what
somebody does after a day is closed is told at the next close. A notice's occasion names the move,
event, payment or day that it is about, so that it is written once whatever is looked at twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection

from marketplace.core.house import HOUSE, House
from marketplace.core.notices import ARREARS_STAGES, FUND_COVERS, FUND_COVERS_NOT, NoticeName

DAYS_BACK = 14


@dataclass(frozen=True)
class DueNotice:
    """Something that a member is to be told; ``fields`` are those of the notice's template."""

    name: NoticeName
    member_id: int
    loan_id: int | None
    occasion: str
    fields: Mapping[str, Any]


def due_notices(on: date, house: House = HOUSE) -> list[DueNotice]:
    """What is to be told by the end of ``on``; one statement a sort of notice, whatever is told."""
    parameters = {
        "on": on,
        "since": on - timedelta(days=DAYS_BACK),
        "acceptance": house.acceptance_days,
        "rescission": house.rescission_days,
        "stages": list(ARREARS_STAGES),
        "covered": FUND_COVERS,
        "uncovered": FUND_COVERS_NOT,
    }
    return [due for name, query in _QUERIES.items() for due in _asked(name, query, parameters)]


def _asked(name: NoticeName, query: str, parameters: Mapping[str, Any]) -> list[DueNotice]:
    with connection.cursor() as cursor:
        cursor.execute(_NOT_TOLD.format(query), {**parameters, "name": name.value})
        columns = [column.name for column in cursor.description][3:]
        return [
            DueNotice(name, member, loan, occasion, dict(zip(columns, fields, strict=True)))
            for member, loan, occasion, *fields in cursor.fetchall()
        ]


_NOT_TOLD = """
WITH due AS MATERIALIZED ({})
SELECT * FROM due AS d WHERE NOT EXISTS (
    SELECT FROM marketplace_notice AS n WHERE n.occasion = d.occasion AND n.template = %(name)s
    AND n.member_id = d.member AND n.loan_id IS NOT DISTINCT FROM d.loan)
"""

_RECORDED = "m.recorded_on > %(since)s AND m.recorded_on <= %(on)s"

# Moves of loans that were recorded, with their loans.
_MOVES = f"""
FROM marketplace_loanmove AS m JOIN marketplace_loan AS l ON l.id = m.loan_id
WHERE {_RECORDED} AND m.state_before {{before}} AND m.state_after {{after}}
"""

_OVERDUE = """
(SELECT coalesce(sum(i.principal_due + i.interest_due - i.principal_paid - i.interest_paid), 0)
 FROM marketplace_instalment AS i
 WHERE i.loan_id = l.id AND i.interest_due IS NOT NULL AND i.due_on < %(on)s)::bigint AS overdue
"""


def _moved(fields: str, *, before: str = "IS NOT NULL", after: str) -> str:
    """Something that a loan's borrower is told of a move."""
    return (
        "SELECT l.borrower_id AS member, l.id AS loan, 'move:' || m.id AS occasion,"
        f" {fields}, l.public_id AS reference {_MOVES.format(before=before, after=after)}"
    )


def _closed(state: str) -> str:
    """The same of a loan that has ended, and is at that end still."""
    moved = _moved("l.amount, m.moved_on", after=f"= '{state}'")
    return f"{moved} AND l.state = m.state_after"


def _to_lenders(money: str, parts: str, occasion: str, moves: str) -> str:
    """One notice a lender for all moves recorded on a day."""
    return (
        f"SELECT p.lender_id AS member, NULL::bigint AS loan, '{occasion}:' || m.recorded_on"
        f" AS occasion, sum(p.size)::bigint AS {money}, m.recorded_on AS day,{parts}"
        f" count(DISTINCT l.id) AS loans {moves.replace('WHERE', _WITH_PARTS)}"
        " GROUP BY p.lender_id, m.recorded_on"
    )


_WITH_PARTS = "JOIN marketplace_part AS p ON p.loan_id = l.id WHERE"
_PAID_OUT = _MOVES.format(before="= 'funded'", after="= 'active'")
_CANCELLED = _MOVES.format(before="= 'funded'", after="= 'cancelled'")

_AGREEMENT_READY = """
SELECT l.borrower_id AS member, l.id AS loan, 'funded' AS occasion, l.amount,
    l.term_months AS months, l.rate, l.funded_on + %(acceptance)s AS accept_by,
    l.public_id AS reference
FROM marketplace_loan AS l
WHERE l.state = 'funded' AND l.accepted_on IS NULL
    AND l.funded_on <= %(on)s AND l.funded_on + %(acceptance)s >= %(on)s
"""

_PAID = """
l.amount - l.arrangement_fee AS paid_out, l.amount, l.arrangement_fee AS fee, l.instalment,
(SELECT min(i.due_on) FROM marketplace_instalment AS i WHERE i.loan_id = l.id) AS due_on,
coalesce(l.accepted_on, m.moved_on) + %(rescission)s AS withdraw_by
"""

_LISTING_EXPIRED = """
SELECT t.borrower_id AS member, NULL::bigint AS loan, 'listing:' || t.id AS occasion, t.amount,
    t.expires_on
FROM marketplace_listing AS t LEFT JOIN marketplace_loan AS l ON l.listing_id = t.id
WHERE t.state = 'expired' AND l.id IS NULL
    AND t.expires_on > %(since)s AND t.expires_on <= %(on)s
"""

# What is collected next is another amount, or on another day.
_DEBIT_CHANGED = """
SELECT l.borrower_id AS member, l.id AS loan, c.occasion, n.amount AS next_amount,
    n.due_on AS next_on, z.due_on AS last_on, l.public_id AS reference
FROM (
    SELECT loan_id, 'event:' || number || CASE WHEN voided_on IS NULL THEN '' ELSE ':voided' END
        AS occasion
    FROM marketplace_loanevent
    WHERE kind IN ('due_day', 'holiday')
        AND coalesce(voided_on, recorded_on) > %(since)s
        AND coalesce(voided_on, recorded_on) <= %(on)s
    UNION ALL
    SELECT y.loan_id, 'payment:' || y.number
    FROM marketplace_payment AS y
    WHERE y.excess = 'smaller' AND y.bounced_on IS NULL AND y.recorded_on > %(since)s
        AND y.recorded_on <= %(on)s AND EXISTS (
            SELECT FROM marketplace_instalment AS i WHERE i.loan_id = y.loan_id
            AND i.kind = 'prepayment' AND i.due_on = y.received_on)
) AS c
JOIN marketplace_loan AS l ON l.id = c.loan_id
JOIN LATERAL (
    SELECT i.due_on, sum(i.principal_due + coalesce(i.interest_due, i.interest_planned)
        - i.principal_paid - i.interest_paid)::bigint AS amount
    FROM marketplace_instalment AS i WHERE i.loan_id = l.id AND i.due_on > %(on)s
    GROUP BY i.due_on ORDER BY i.due_on LIMIT 1
) AS n ON true
JOIN LATERAL (
    SELECT max(i.due_on) AS due_on FROM marketplace_instalment AS i WHERE i.loan_id = l.id
) AS z ON true
"""

_BOUNCED = """
SELECT l.borrower_id AS member, l.id AS loan, 'payment:' || y.number AS occasion, y.amount,
    y.received_on, l.public_id AS reference
FROM marketplace_payment AS y JOIN marketplace_loan AS l ON l.id = y.loan_id
WHERE y.bounced_on > %(since)s AND y.bounced_on <= %(on)s
"""

_ARREARS = """
SELECT l.borrower_id AS member, l.id AS loan,
    'arrears:' || o.oldest_on || ':' || (
        SELECT max(s) FROM unnest(%(stages)s::int[]) AS s WHERE s <= %(on)s::date - o.oldest_on
    ) AS occasion,
    %(on)s::date - o.oldest_on AS days, o.overdue, %(on)s::date AS day, o.oldest_on,
    l.public_id AS reference
FROM marketplace_loan AS l
JOIN LATERAL (
    SELECT min(i.due_on) AS oldest_on,
        sum(i.principal_due + i.interest_due - i.principal_paid - i.interest_paid)::bigint
        AS overdue
    FROM marketplace_instalment AS i
    WHERE i.loan_id = l.id AND i.due_on < %(on)s AND i.interest_due IS NOT NULL
        AND i.principal_paid + i.interest_paid < i.principal_due + i.interest_due
) AS o ON o.oldest_on IS NOT NULL
WHERE l.state = 'arrears'
"""

_OWED = """
m.moved_on, l.amount - l.principal_paid + (SELECT coalesce(sum(i.interest_due - i.interest_paid), 0)
FROM marketplace_instalment AS i WHERE i.loan_id = l.id)::bigint AS owed
"""

_DEFAULT_LENDER = f"""
SELECT p.lender_id AS member, l.id AS loan, 'move:' || m.id AS occasion, m.moved_on,
    count(*) AS parts, sum(p.size - coalesce(r.principal, 0))::bigint AS outstanding,
    CASE WHEN l.covered THEN %(covered)s ELSE %(uncovered)s END AS fund, l.public_id AS reference
FROM marketplace_loanmove AS m JOIN marketplace_loan AS l ON l.id = m.loan_id
JOIN marketplace_part AS p ON p.loan_id = l.id
LEFT JOIN marketplace_partreceived AS r ON r.loan_id = p.loan_id AND r.number = p.number
WHERE {_RECORDED} AND m.state_after = 'default'
GROUP BY p.lender_id, l.id, m.id
"""

# A loan's awards that paid, and the distributions of the fund's money, are in the same order.
_FUND_PAID = """
SELECT p.lender_id AS member, a.loan_id AS loan, 'decision:' || a.decision_id AS occasion,
    a.decided_on, a.awarded,
    sum(u.principal + u.interest - u.fee - coalesce(u.principal_before + u.interest_before
        - u.fee_before, 0))::bigint AS paid, l.public_id AS reference
FROM (
    SELECT c.loan_id, w.decision_id, e.decided_on, w.principal + w.interest AS awarded,
        row_number() OVER (PARTITION BY c.loan_id ORDER BY w.number) AS place
    FROM marketplace_fundaward AS w JOIN marketplace_fundclaim AS c ON c.id = w.claim_id
    JOIN marketplace_funddecision AS e ON e.id = w.decision_id
    WHERE w.number IS NOT NULL
) AS a
JOIN (
    SELECT s.loan_id, s.number, row_number() OVER (PARTITION BY s.loan_id ORDER BY s.number)
        AS place
    FROM marketplace_distribution AS s
    WHERE s.kind = 'fund' AND s.loan_id IN (SELECT loan_id FROM marketplace_fundclaim)
) AS s ON s.loan_id = a.loan_id AND s.place = a.place
JOIN marketplace_distribution AS d ON d.loan_id = s.loan_id AND d.number = s.number
LEFT JOIN marketplace_distribution AS b ON b.loan_id = d.loan_id AND b.number = d.number - 1
CROSS JOIN LATERAL unnest(d.principal, d.interest, d.fee, b.principal, b.interest, b.fee)
    WITH ORDINALITY AS u (principal, interest, fee, principal_before, interest_before, fee_before,
        number)
JOIN marketplace_part AS p ON p.loan_id = a.loan_id AND p.number = u.number
JOIN marketplace_loan AS l ON l.id = a.loan_id
WHERE a.decided_on > %(since)s AND a.decided_on <= %(on)s
GROUP BY p.lender_id, a.loan_id, a.decision_id, a.decided_on, a.awarded, l.public_id
"""

_FUND_DECLINED = """
SELECT p.lender_id AS member, c.loan_id AS loan, 'decision:' || w.decision_id AS occasion,
    count(*) AS parts, l.public_id AS reference
FROM marketplace_fundaward AS w JOIN marketplace_fundclaim AS c ON c.id = w.claim_id
JOIN marketplace_funddecision AS e ON e.id = w.decision_id
JOIN marketplace_loan AS l ON l.id = c.loan_id
JOIN marketplace_part AS p ON p.loan_id = c.loan_id
WHERE w.number IS NULL AND e.decided_on > %(since)s AND e.decided_on <= %(on)s
GROUP BY p.lender_id, c.loan_id, w.decision_id, l.public_id
"""


def _event(kind: str, fields: str) -> str:
    """Something that a loan's borrower is told of an event that stands."""
    return (
        "SELECT l.borrower_id AS member, l.id AS loan, 'event:' || m.number AS occasion,"
        f" {fields}, l.public_id AS reference FROM marketplace_loanevent AS m"
        f" JOIN marketplace_loan AS l ON l.id = m.loan_id WHERE {_RECORDED}"
        f" AND m.kind = '{kind}' AND m.voided_on IS NULL"
    )


_ENDED = "IN ('active', 'arrears')"

_QUERIES: dict[NoticeName, str] = {
    NoticeName.AGREEMENT_READY: _AGREEMENT_READY,
    NoticeName.PAID_OUT: _moved(_PAID, before="= 'funded'", after="= 'active'"),
    NoticeName.LENT: _to_lenders("lent", " count(*) AS parts,", "lent", _PAID_OUT),
    NoticeName.CANCELLED: _moved("l.amount", after="= 'cancelled'")
    + " AND EXISTS (SELECT FROM marketplace_application AS a WHERE a.id = l.application_id"
    " AND a.state = 'cancelled')",
    NoticeName.LAPSED: _moved(
        "l.amount, l.funded_on + %(acceptance)s AS accept_by", after="= 'cancelled'"
    )
    + " AND EXISTS (SELECT FROM marketplace_application AS a WHERE a.id = l.application_id"
    " AND a.state = 'expired')",
    NoticeName.LISTING_EXPIRED: _LISTING_EXPIRED,
    NoticeName.MATCH_CANCELLED: _to_lenders("returned", "", "cancelled", _CANCELLED),
    NoticeName.DEBIT_CHANGED: _DEBIT_CHANGED,
    NoticeName.BOUNCED: _BOUNCED,
    NoticeName.ARREARS: _ARREARS,
    NoticeName.DEFAULT: _moved(_OWED, after="= 'default'"),
    NoticeName.DEFAULT_LENDER: _DEFAULT_LENDER,
    NoticeName.FUND_PAID: _FUND_PAID,
    NoticeName.FUND_DECLINED: _FUND_DECLINED,
    NoticeName.HARDSHIP: _event("hardship", "m.until"),
    NoticeName.HARDSHIP_ENDED: _moved(
        f"m.moved_on, {_OVERDUE}", before="= 'hardship'", after=_ENDED
    ),
    NoticeName.ARRANGEMENT: _event("arrangement", "m.effective_on, m.amount, m.months"),
    NoticeName.ARRANGEMENT_ENDED: _moved(
        f"m.moved_on, {_OVERDUE}", before="= 'arrangement'", after=_ENDED
    ),
    NoticeName.REPAID: _closed("repaid"),
    NoticeName.SETTLED: _closed("settled"),
    NoticeName.RECOVERED: _closed("recovered"),
    NoticeName.RESCINDED: _closed("rescinded"),
}
