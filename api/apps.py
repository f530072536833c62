"""The outward faces: GraphQL, REST, commands and jobs."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "Faces"
    default_auto_field = "django.db.models.BigAutoField"
