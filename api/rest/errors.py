"""Refusals in REST: one body for all of them, ``{code, field, message}``."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.response import Response

from api.errors import Told, told


def refusal_response(
    error: Exception,
    context: dict[str, Any],  # noqa: ARG001 - the framework's signature
) -> Response:
    """The response for whatever a view raised (Django REST framework's exception handler)."""
    known = _told(error)
    return Response(
        {"code": known.code, "field": known.field, "message": known.message},
        status=known.status,
    )


def _told(error: Exception) -> Told:
    """The framework's own refusals in our words, all others as everywhere."""
    match error:
        case NotAuthenticated():
            return Told("UNAUTHENTICATED", "Sign in first.", status=error.status_code)
        case APIException():
            return Told(
                str(error.default_code).upper(), str(error.detail), status=error.status_code
            )
        case Http404():
            return Told("NOT_FOUND", "There is no such thing.", status=404)
        case PermissionDenied():
            return Told("FORBIDDEN", "You may not do this.", status=403)
        case _:
            return told(error)
