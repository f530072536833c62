"""The outward faces: GraphQL, REST, commands and jobs."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The faces."""

    name = "api"
    verbose_name = "Faces"
    default_auto_field = "django.db.models.BigAutoField"
