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
from marketplace.selectors.direct_debits import COLLECTED_FROM

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
        "collected": [state.value for state in COLLECTED_FROM],
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

# What is collected next is another amount, or on another day. Whoever was told of a prepayment is
# told that it bounced.
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
    UNION ALL
    SELECT y.loan_id, n.occasion || ':bounced'
    FROM marketplace_payment AS y JOIN marketplace_notice AS n ON n.loan_id = y.loan_id
        AND n.template = %(name)s AND n.occasion = 'payment:' || y.number
    WHERE y.excess = 'smaller' AND y.bounced_on > %(since)s AND y.bounced_on <= %(on)s
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
WHERE l.state = ANY (%(collected)s)
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

# Arrays are unpacked by themselves, once: joined to parts straight away, the planner may unpack a
# loan's arrays anew for each of its parts. A default that was taken back at once is not told.
_DEFAULT_LENDER = f"""
WITH moved AS MATERIALIZED (
    SELECT l.id, 'move:' || m.id AS occasion, m.moved_on, l.public_id,
        CASE WHEN l.covered THEN %(covered)s ELSE %(uncovered)s END AS fund
    FROM marketplace_loanmove AS m JOIN marketplace_loan AS l ON l.id = m.loan_id
    WHERE {_RECORDED} AND m.state_after = 'default' AND l.defaulted_on IS NOT NULL),
received AS MATERIALIZED (
    SELECT r.loan_id, r.number, r.principal FROM marketplace_partreceived AS r
    WHERE r.loan_id IN (SELECT id FROM moved))
SELECT p.lender_id AS member, m.id AS loan, m.occasion, m.moved_on, count(*) AS parts,
    sum(p.size - coalesce(r.principal, 0))::bigint AS outstanding, m.fund, m.public_id AS reference
FROM moved AS m JOIN marketplace_part AS p ON p.loan_id = m.id
LEFT JOIN received AS r ON r.loan_id = p.loan_id AND r.number = p.number
GROUP BY p.lender_id, m.id, m.occasion, m.moved_on, m.fund, m.public_id
"""

# A loan's awards that paid, and the distributions of the fund's money, are in the same order.
_FUND_PAID = """
WITH decided AS MATERIALIZED (
    SELECT c.loan_id, w.number, w.decision_id, e.decided_on, w.principal + w.interest AS awarded
    FROM marketplace_funddecision AS e JOIN marketplace_fundaward AS w ON w.decision_id = e.id
    JOIN marketplace_fundclaim AS c ON c.id = w.claim_id
    JOIN marketplace_loanevent AS v ON v.loan_id = c.loan_id AND v.number = w.number
    WHERE v.voided_on IS NULL AND e.decided_on > %(since)s AND e.decided_on <= %(on)s),
awards AS (
    SELECT c.loan_id, w.number, row_number() OVER (PARTITION BY c.loan_id ORDER BY w.number)
        AS place
    FROM marketplace_fundaward AS w JOIN marketplace_fundclaim AS c ON c.id = w.claim_id
    WHERE w.number IS NOT NULL AND c.loan_id IN (SELECT loan_id FROM decided)),
spread AS (
    SELECT s.loan_id, s.number, row_number() OVER (PARTITION BY s.loan_id ORDER BY s.number)
        AS place
    FROM marketplace_distribution AS s
    WHERE s.kind = 'fund' AND s.loan_id IN (SELECT loan_id FROM decided)),
brought AS MATERIALIZED (
    SELECT a.loan_id, a.number AS award, u.number, u.principal + u.interest - u.fee - coalesce(
        u.principal_before + u.interest_before - u.fee_before, 0) AS pence
    FROM decided AS v JOIN awards AS a ON a.loan_id = v.loan_id AND a.number = v.number
    JOIN spread AS s ON s.loan_id = a.loan_id AND s.place = a.place
    JOIN marketplace_distribution AS d ON d.loan_id = s.loan_id AND d.number = s.number
    LEFT JOIN marketplace_distribution AS b ON b.loan_id = d.loan_id AND b.number = d.number - 1
    CROSS JOIN LATERAL unnest(d.principal, d.interest, d.fee, b.principal, b.interest, b.fee)
        WITH ORDINALITY AS u (principal, interest, fee, principal_before, interest_before,
            fee_before, number))
SELECT p.lender_id AS member, v.loan_id AS loan, 'decision:' || v.decision_id AS occasion,
    v.decided_on, v.awarded, sum(g.pence)::bigint AS paid, l.public_id AS reference
FROM decided AS v JOIN brought AS g ON g.loan_id = v.loan_id AND g.award = v.number
JOIN marketplace_part AS p ON p.loan_id = g.loan_id AND p.number = g.number
JOIN marketplace_loan AS l ON l.id = v.loan_id
GROUP BY p.lender_id, v.loan_id, v.decision_id, v.decided_on, v.awarded, l.public_id
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

# Whoever was told of something is told that it was taken back.
_TOLD = """
SELECT n.member_id AS member, l.id AS loan, n.occasion, n.written_on AS told_on,
    l.public_id AS reference
FROM marketplace_notice AS n JOIN marketplace_loan AS l ON l.id = n.loan_id
"""

_DEFAULT_LIFTED = f"""{_TOLD}
JOIN marketplace_loanmove AS d ON d.loan_id = l.id AND n.occasion = 'move:' || d.id
JOIN marketplace_loanmove AS m ON m.loan_id = l.id AND m.id > d.id
WHERE n.template IN ('default', 'default_lender') AND {_RECORDED}
    AND m.state_before IN ('default', 'written_off')
    AND m.state_after NOT IN ('default', 'written_off', 'settled', 'recovered')
"""

_FUND_TAKEN_BACK = f"""{_TOLD}
JOIN marketplace_fundclaim AS c ON c.loan_id = l.id
JOIN marketplace_fundaward AS w ON w.claim_id = c.id AND n.occasion = 'decision:' || w.decision_id
JOIN marketplace_loanevent AS v ON v.loan_id = l.id AND v.number = w.number
WHERE n.template = 'fund_paid' AND v.voided_on > %(since)s AND v.voided_on <= %(on)s
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
    NoticeName.DEFAULT: _moved(_OWED, after="= 'default'")
    + " AND l.state IN ('default', 'written_off')",
    NoticeName.DEFAULT_LENDER: _DEFAULT_LENDER,
    NoticeName.DEFAULT_LIFTED: _DEFAULT_LIFTED,
    NoticeName.FUND_PAID: _FUND_PAID,
    NoticeName.FUND_TAKEN_BACK: _FUND_TAKEN_BACK,
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
