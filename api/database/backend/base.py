"""A connection that starts the embedded server again if it has died since."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from api.database import embedded


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, which looks after the embedded server before it connects."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; costs a millisecond or two more while the server runs.

        Raises:
            EmbeddedPostgresFailed: when the server can't be started again.
        """
        embedded.ensure_running()
        return super().get_new_connection(conn_params)
