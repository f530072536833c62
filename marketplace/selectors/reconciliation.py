"""The marketplace's part of an internal reconciliation: the rules of its audit, as checks."""

from __future__ import annotations

from accounts.core.reconciliation import Check, Finding, both
from marketplace.selectors.audit import Wrong, market_findings


def market_checks() -> list[Check]:
    """What loans, parts and offers say against the ledger and each other; eight statements.

    The audit's rules (:func:`marketplace.selectors.audit.market_findings`), with every loan, part
    or member that breaks one as a finding. Call it in one snapshot.
    """
    return [
        Check(
            finding.code,
            finding.rule,
            finding.expected,
            finding.found,
            finding.checked,
            tuple(_difference(wrong) for wrong in finding.all_wrong),
        )
        for finding in market_findings()
    ]


def _difference(wrong: Wrong) -> Finding:
    amount = wrong.found - wrong.expected
    return Finding(wrong.name, amount, both(wrong.expected, wrong.found) if amount else "")
