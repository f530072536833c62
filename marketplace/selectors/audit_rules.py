"""The audit's rules that are one query each: ledger, loans, payments, parts and offers."""

from __future__ import annotations

import operator

from django.db import connection

from marketplace.selectors.findings import Finding, Wrong, finding_of

# How many there are and their sums first, then what is wrong: a book may have millions of rows.
_SUMS_AND_WRONG = """
WITH rows (name, holds, expected, found) AS MATERIALIZED ({})
SELECT NULL AS name, count(*) AS place, coalesce(sum(expected), 0)::bigint,
    coalesce(sum(found), 0)::bigint FROM rows
UNION ALL
SELECT name, row_number() OVER (), expected, found FROM rows WHERE holds IS NOT TRUE
"""

# Each query gives one row a thing looked at: its name, whether the rule holds for it, and the pence
# expected and found. After the rule comes its name in reconciliations.
RULES = (
    (
        "Every loan's amount is the sum of its parts",
        "loan_principal",
        "SELECT 'loan ' || l.id, l.amount = sum(p.size), l.amount, sum(p.size)::bigint"
        " FROM marketplace_loan AS l"
        " JOIN marketplace_part AS p ON p.loan_id = l.id GROUP BY l.id ORDER BY l.id",
    ),
    (
        "The principal of every loan's instalments adds up to its amount",
        "schedule",
        "SELECT 'loan ' || l.id, l.amount = sum(i.principal_due), l.amount,"
        " sum(i.principal_due)::bigint FROM marketplace_loan AS l"
        " JOIN marketplace_instalment AS i ON i.loan_id = l.id GROUP BY l.id ORDER BY l.id",
    ),
    (
        "What is paid of every loan is what its payments were allocated to, row by row",
        "loan_allocated",
        "SELECT 'loan ' || l.id, l.principal_paid = i.principal AND l.interest_paid = i.interest"
        " AND l.principal_paid = coalesce(y.principal, 0)"
        " AND l.interest_paid = coalesce(y.interest, 0),"
        " coalesce(y.principal + y.interest, 0)::bigint, l.principal_paid + l.interest_paid"
        " FROM marketplace_loan AS l JOIN (SELECT loan_id, sum(principal_paid) AS principal,"
        " sum(interest_paid) AS interest FROM marketplace_instalment GROUP BY loan_id) AS i"
        " ON i.loan_id = l.id LEFT JOIN (SELECT loan_id, sum(principal) AS principal,"
        " sum(interest) AS interest FROM marketplace_payment"
        " WHERE bounced_on IS NULL AND allocated_on IS NOT NULL GROUP BY loan_id) AS y"
        " ON y.loan_id = l.id ORDER BY l.id",
    ),
    (
        "What lenders have of each loan is what its payments and the provision fund brought",
        "loan_spread",
        # The fund may have promised more than lenders still lacked when it was spread.
        "SELECT 'loan ' || l.id, coalesce(d.principal_total, 0) BETWEEN"
        " coalesce(y.principal, 0) AND coalesce(y.principal, 0) + coalesce(e.amount, 0)"
        " AND coalesce(d.interest_total, 0) BETWEEN"
        " coalesce(y.interest, 0) AND coalesce(y.interest, 0) + coalesce(e.interest, 0),"
        " coalesce(y.principal + y.interest, 0)::bigint,"
        " coalesce(d.principal_total + d.interest_total, 0)"
        " FROM marketplace_loan AS l LEFT JOIN marketplace_distribution AS d"
        " ON d.loan_id = l.id AND d.number = l.distributions"
        " LEFT JOIN (SELECT loan_id, sum(principal - to_fund_principal - cost_principal)"
        "  AS principal, sum(interest - to_fund_interest - cost_interest) AS interest"
        "  FROM marketplace_payment WHERE bounced_on IS NULL AND distributed_on IS NOT NULL"
        "  GROUP BY loan_id) AS y ON y.loan_id = l.id"
        " LEFT JOIN (SELECT loan_id, sum(amount) AS amount, sum(interest) AS interest"
        "  FROM marketplace_loanevent WHERE kind = 'fund_payment' AND voided_on IS NULL"
        "  GROUP BY loan_id) AS e ON e.loan_id = l.id WHERE l.paid_out_on IS NOT NULL"
        " ORDER BY l.id",
    ),
    (
        "The ledger has of each loan what its borrower still owes, and payments not yet cleared",
        "loan_claims",
        "SELECT 'loan ' || l.id, p.balance = l.owed AND i.balance = l.due AND c.balance ="
        " l.waiting, l.owed + l.due + l.waiting, p.balance + i.balance + c.balance"
        # What is written off is no claim any more.
        " FROM (SELECT id, CASE WHEN paid_out_on IS NULL OR state IN ('written_off', 'settled')"
        "  THEN 0 ELSE amount - principal_paid END AS owed,"
        "  CASE WHEN state IN ('written_off', 'settled') THEN 0 ELSE"
        "  coalesce((SELECT sum(n.interest_due - n.interest_paid)"
        "   FROM marketplace_instalment AS n WHERE n.loan_id = m.id"
        "   AND n.interest_due IS NOT NULL), 0)::bigint END AS due,"
        "  coalesce((SELECT sum(y.amount) FROM marketplace_payment AS y WHERE y.loan_id = m.id"
        "   AND y.distributed_on IS NULL AND y.bounced_on IS NULL), 0)::bigint AS waiting"
        "  FROM marketplace_loan AS m) AS l"
        " JOIN accounts_account AS p ON p.kind = 'principal_owed' AND p.owner_id = l.id"
        " JOIN accounts_account AS i ON i.kind = 'interest_due' AND i.owner_id = l.id"
        " JOIN accounts_account AS c ON c.kind = 'clearing' AND c.owner_id = l.id ORDER BY l.id",
    ),
    (
        "The provision fund owns no more of a loan than is still owed, and only what it paid for",
        "fund_claims",
        "SELECT 'loan ' || l.id, l.fund_principal <= least(l.amount - l.principal_paid,"
        " coalesce(e.amount, 0)) AND l.fund_interest <= least(coalesce((SELECT"
        " sum(i.interest_due - i.interest_paid) FROM marketplace_instalment AS i"
        " WHERE i.loan_id = l.id AND i.interest_due IS NOT NULL), 0), coalesce(e.interest, 0)),"
        " 0::bigint, 0::bigint FROM marketplace_loan AS l"
        " LEFT JOIN (SELECT loan_id, sum(amount) AS amount, sum(interest) AS interest"
        " FROM marketplace_loanevent WHERE kind = 'fund_payment' AND voided_on IS NULL"
        " GROUP BY loan_id) AS e ON e.loan_id = l.id WHERE l.paid_out_on IS NOT NULL"
        " ORDER BY l.id",
    ),
    (
        "Money on offer in the ledger is what the lender's offers have available",
        "on_offer",
        "SELECT 'member ' || a.owner_id, a.balance = coalesce(o.available, 0),"
        " coalesce(o.available, 0)::bigint, a.balance"
        " FROM accounts_account AS a LEFT JOIN (SELECT lender_id, sum(available) AS available"
        " FROM marketplace_offer GROUP BY lender_id) AS o ON o.lender_id = a.owner_id"
        " WHERE a.kind = 'on_offer' ORDER BY a.owner_id",
    ),
    (
        "Money matched in the ledger is what the lender's parts await pay-out with",
        "matched",
        "SELECT 'member ' || a.owner_id, a.balance = coalesce(m.size, 0),"
        " coalesce(m.size, 0)::bigint, a.balance"
        " FROM accounts_account AS a LEFT JOIN (SELECT p.lender_id, sum(p.size) AS size"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " WHERE l.state = 'funded' GROUP BY p.lender_id) AS m ON m.lender_id = a.owner_id"
        " WHERE a.kind = 'matched' ORDER BY a.owner_id",
    ),
    (
        "Nobody holds more of a borrower than the exposure limit of the offer they lent through",
        "exposure",
        "SELECT 'lender ' || p.lender_id || ' in borrower ' || l.borrower_id,"
        " sum(p.size - coalesce(r.principal, 0)) <= max(p.limit), 0::bigint,"
        " greatest(sum(p.size - coalesce(r.principal, 0)) - max(p.limit), 0)::bigint"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " LEFT JOIN marketplace_partreceived AS r"
        " ON r.loan_id = p.loan_id AND r.number = p.number"
        " WHERE l.state <> 'cancelled' GROUP BY p.lender_id, l.borrower_id",
    ),
)

# What the database checks when a distribution is written; so it reads every one there ever was.
HISTORY = (
    "Every distribution's totals are the sums of its parts', and numbers follow each other",
    "distributions",
    "SELECT 'distribution ' || d.number || ' of loan ' || d.loan_id,"
    " d.principal_total = s.principal AND d.interest_total = s.interest AND d.fee_total = s.fee"
    " AND s.parts = cardinality(d.fee)"
    " AND d.number = row_number() OVER (PARTITION BY d.loan_id ORDER BY d.number)"
    " AND (lead(d.number) OVER (PARTITION BY d.loan_id ORDER BY d.number) IS NOT NULL"
    "  OR d.number = l.distributions),"
    " d.principal_total + d.interest_total, (s.principal + s.interest)::bigint"
    " FROM marketplace_distribution AS d JOIN marketplace_loan AS l ON l.id = d.loan_id"
    " CROSS JOIN LATERAL (SELECT sum(u.principal) AS principal, sum(u.interest) AS interest,"
    "  sum(u.fee) AS fee, count(*) AS parts"
    "  FROM unnest(d.principal, d.interest, d.fee) AS u (principal, interest, fee)) AS s"
    " ORDER BY d.loan_id, d.number",
)


def rule_findings(*, thorough: bool = False) -> list[Finding]:
    """Every rule, one statement each; ``thorough`` also looks at what was spread in the past."""
    return [_looked_at(*rule) for rule in (*RULES, *([HISTORY] if thorough else []))]


def _looked_at(rule: str, code: str, query: str) -> Finding:
    with connection.cursor() as cursor:
        cursor.execute(_SUMS_AND_WRONG.format(query))
        (_, checked, *sums), *wrong = cursor.fetchall()
    found = sorted(wrong, key=operator.itemgetter(1))
    return finding_of(
        rule, code, checked, (sums[0], sums[1]), [Wrong(row[0], *row[2:]) for row in found]
    )
