"""Payment references: how money that arrives says whose it is.

An ISO 11649 creditor reference, ``RF``, two check digits and a body: ours is ``TNR`` and the
member's id in eight digits. That makes 15 characters, so that it fits the 18 that Faster Payments
carries even when it is written in groups of four (``RF03 TNR0 0000 007``). Two check digits
(ISO 7064 mod 97-10) show every single wrong character and every two neighbours exchanged.
"""

from __future__ import annotations

import re

from stdnum import iso11649
from stdnum.iso7064 import mod_97_10

from accounts.core.errors import AccountsRefusal

LONGEST_FASTER_PAYMENTS_REFERENCE = 18
LARGEST_MEMBER_ID = 99_999_999
_PREFIX = "TNR"
# What people and banks put between the characters of a reference; no more than two of it.
_GAP = r"[\s\u00a0./:,-]{0,2}"
_REFERENCE = re.compile(
    _GAP.join(["R", "F", *[r"[0-9]"] * 2, *_PREFIX, *[r"[0-9]"] * 8]) + r"(?![0-9])",
    re.IGNORECASE | re.ASCII,
)


class ReferenceRefused(AccountsRefusal):
    """A member's id that no payment reference can carry."""

    code = "REFERENCE_REFUSED"


def payment_reference(member_id: int) -> str:
    """The reference under which a member pays in.

    Raises:
        ReferenceRefused: an id below 1 or with more than eight digits.
    """
    if not 0 < member_id <= LARGEST_MEMBER_ID:
        raise ReferenceRefused(f"A member's id is 1 to {LARGEST_MEMBER_ID}.", field="member_id")
    body = f"{_PREFIX}{member_id:08d}"
    return f"RF{mod_97_10.calc_check_digits(body + 'RF')}{body}"


def member_in(text: str) -> int | None:
    """The id of the one member whose reference is in ``text``, as a payer wrote it.

    Small letters, words around it, and spaces, dots or hyphens inside it are taken. A reference
    with wrong check digits counts for nothing.

    Returns:
        The member's id; ``None`` without a valid reference, or with those of different members.
    """
    found = set()
    for match in _REFERENCE.finditer(text):
        reference = re.sub(r"[^A-Z0-9]", "", match.group().upper())
        member_id = int(reference[-8:])
        if iso11649.is_valid(reference) and member_id:
            found.add(member_id)
    return found.pop() if len(found) == 1 else None
