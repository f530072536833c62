"""The risk app: how likely a loan is to go bad, and what it should cost."""

from django.apps import AppConfig


class RiskConfig(AppConfig):
    """How Django knows this app."""

    name = "risk"
    verbose_name = "Risk"
    default_auto_field = "django.db.models.BigAutoField"
