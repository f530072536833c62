"""Whether this process can serve."""

from __future__ import annotations

from django.db import DatabaseError, connection
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import CharField, Serializer
from rest_framework.views import APIView


class HealthSerializer(Serializer[object]):
    """What works."""

    status = CharField(help_text="ok or failing")
    database = CharField(help_text="reachable or unreachable")


class Health(APIView):
    """Whether the database can be reached; for load balancers, without sign-in."""

    authentication_classes = ()
    permission_classes = [AllowAny]
    renderer_classes = [JSONRenderer]

    @extend_schema(
        operation_id="health",
        summary="Whether this process can serve",
        description="Asks the database one small question.",
        responses={
            200: HealthSerializer,
            503: OpenApiResponse(HealthSerializer, description="The database is out of reach."),
        },
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - nothing is asked
        """One small statement."""
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DatabaseError:
            return Response({"status": "failing", "database": "unreachable"}, status=503)
        return Response({"status": "ok", "database": "reachable"})
