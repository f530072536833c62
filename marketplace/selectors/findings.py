"""What an audit found: one thing that must hold, and what breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Wrong(NamedTuple):
    """One thing that breaks a rule: its name, and the pence where the rule is about an amount."""

    name: str
    expected: int = 0
    found: int = 0


@dataclass(frozen=True)
class Finding:
    """One thing that must hold: how much was looked at, and what was found wrong.

    Attributes:
        rule: what must hold, for a person.
        checked, wrong: how many.
        example: the first that is wrong.
        code: the rule's name in reconciliations.
        expected, found: pence in all, where the rule is about an amount.
        all_wrong: everything that is wrong.
    """

    rule: str
    checked: int
    wrong: int
    example: str = ""
    code: str = ""
    expected: int = 0
    found: int = 0
    all_wrong: tuple[Wrong, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was found wrong."""
        return self.wrong == 0


def finding_of(
    rule: str, code: str, checked: int, sums: tuple[int, int], wrong: list[Wrong]
) -> Finding:
    """A rule looked at so often, with what breaks it; ``sums`` are pence expected and found."""
    example = wrong[0].name if wrong else ""
    return Finding(rule, checked, len(wrong), example, code, *sums, all_wrong=tuple(wrong))
