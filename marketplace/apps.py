"""The marketplace app: applications, listings, offers, matching, loans."""

from django.apps import AppConfig


class MarketplaceConfig(AppConfig):
    """Applications, offers, matching and loans."""

    name = "marketplace"
    verbose_name = "Marketplace"
    default_auto_field = "django.db.models.BigAutoField"
