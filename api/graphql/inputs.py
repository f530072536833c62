"""What inputs of several mutations share."""

from __future__ import annotations

import graphene

_KEY = "Chosen by the client, 1 to 120 characters: the same again gives the first answer again."


def idempotency_key() -> graphene.String:
    """The key under which something is done once."""
    return graphene.String(required=True, description=_KEY)
