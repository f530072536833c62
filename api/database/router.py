"""Only the owner's connection migrates; every query of the application runs under its own role."""

from __future__ import annotations


class OwnerMigrates:
    """Database router: no migration through the application's connection."""

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool:  # noqa: ARG002
        """Whether ``app_label`` may be migrated through the alias ``db``."""
        return db == "owner"
