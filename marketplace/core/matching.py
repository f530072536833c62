"""The matching engine's face: which listings are funded, whose money each takes, at what rate.

:func:`clear_market` clears one market; :func:`accept` is its first stage by itself, and
:func:`allocate` its second. See ``docs/matching.md``.
"""

from marketplace.core.acceptance import accept
from marketplace.core.allocation import DemandsUnmet, allocate, allocate_entries
from marketplace.core.clearing import clear_market
from marketplace.core.cycle import run_markets

__all__ = [
    "DemandsUnmet",
    "accept",
    "allocate",
    "allocate_entries",
    "clear_market",
    "run_markets",
]
