"""``manage.py audit``: whether ledger, loans and parts agree to the penny; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from api.demo.report import show_audit
from marketplace.selectors.audit import audit
from marketplace.selectors.findings import Finding


def require_all(findings: Sequence[Finding]) -> None:
    """End with exit status 1 unless every rule holds.

    Raises:
        CommandError: naming the rules that don't.
    """
    broken = [finding.rule for finding in findings if not finding.holds]
    if broken:
        raise CommandError(f"The audit failed: {'; '.join(broken)}.", returncode=1)


class Command(BaseCommand):
    help = "Re-derives the whole book and compares; exit status 1 when anything is wrong."

    def handle(self, *args: Any, **options: Any) -> None:
        findings = audit()
        show_audit(Console(width=140), findings)
        require_all(findings)
