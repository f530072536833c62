"""Digests of content: the same content gives the same SHA-256, whatever the order of its keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from risk.core.errors import FactsRefused


def canonical_json(content: object) -> str:
    """Content as JSON text with sorted keys and no spaces.

    Raises:
        FactsRefused: for what JSON can't hold, such as an infinite number.
    """
    try:
        return json.dumps(
            content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise FactsRefused(f"This can't be kept: {error}.") from error


def content_hash(content: Mapping[str, object]) -> str:
    """SHA-256 of the content's canonical JSON, 64 hex digits.

    Raises:
        FactsRefused: for what JSON can't hold.
    """
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def bytes_hash(content: bytes) -> str:
    """SHA-256 of bytes, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
