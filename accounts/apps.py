"""The accounts app: members and the ledger that holds their money."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Members and the ledger."""

    name = "accounts"
    verbose_name = "Accounts"
    default_auto_field = "django.db.models.BigAutoField"
