"""The characters that banks carry: letters, digits, space and ``/ - ? : ( ) . , ' +``.

Source: European Payments Council, EPC217-08 "SEPA Requirements for an Extended Character Set":
the restricted set of SWIFT, which UK clearing shares. Letters with marks lose them, a few others
have a usual spelling; anything else is refused, never dropped or replaced by a question mark.
"""

from __future__ import annotations

import re
import unicodedata

from accounts.core.errors import AccountsRefusal

_CARRIED = re.compile(r"[A-Za-z0-9/\-?:().,'+ ]*", re.ASCII)
# Groups of characters and the spelling they share; escapes: dotless i, quotation marks, dashes.
_GROUPS = (
    ("Æ", "AE"),
    ("æ", "ae"),
    ("Œ", "OE"),
    ("œ", "oe"),
    ("Ø", "O"),
    ("ø", "o"),
    ("Ł", "L"),
    ("ł", "l"),
    ("ĐÐ", "D"),
    ("đð", "d"),
    ("Þ", "TH"),
    ("þ", "th"),
    ("ß", "ss"),
    ("\u0131", "i"),
    ("\u2018\u2019`", "'"),
    ("\u2010\u2011\u2013\u2014_", "-"),
    ("&", "+"),
    (";", ","),
)
_SPELLED = {ord(character): text for group, text in _GROUPS for character in group}


class BankTextRefused(AccountsRefusal):
    """A text that no bank file can carry."""

    code = "BANK_TEXT_REFUSED"


def bank_text(text: str, *, longest: int, field: str) -> str:
    """Write ``text`` in the characters that banks carry, with single spaces.

    Raises:
        BankTextRefused: empty, longer than ``longest``, or with a character that can't be written.
    """
    marked = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    plain = "".join(character for character in marked if not unicodedata.combining(character))
    written = " ".join(plain.split())
    if not _CARRIED.fullmatch(written):
        raise BankTextRefused(
            "Banks carry letters of the Latin alphabet, digits, spaces and /-?:().,'+ only.",
            field=field,
        )
    # A bank takes a slash at an end, or two together, for a mark of its own.
    written = re.sub("/+", "/", written).strip("/ ")
    if not 0 < len(written) <= longest:
        raise BankTextRefused(f"1 to {longest} characters are needed.", field=field)
    return written
