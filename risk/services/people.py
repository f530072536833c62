"""Handles of people: plain text here; who they are is known to another room."""

from __future__ import annotations

from risk.core.errors import HandleRefused, SelfApproval

LONGEST_HANDLE = 60


def checked_handle(handle: str, field: str) -> str:
    """The handle, if it names someone.

    Raises:
        HandleRefused: when it is empty, too long, has spaces around it, or holds anything but
            printable ASCII: letters of other scripts can look like those of somebody else.
    """
    useful = handle and handle == handle.strip() and handle.isascii() and handle.isprintable()
    if not useful or len(handle) > LONGEST_HANDLE:
        raise HandleRefused(f"'{handle}' is not the handle of a person.", field=field)
    return handle


def require_second_person(author: str, approver: str) -> None:
    """Refuse an approval by the author.

    Raises:
        SelfApproval: when they are the same, whatever the case of the letters.
        HandleRefused: when the approver's handle is empty.
    """
    checked_handle(approver, "approver")
    if author.casefold() == approver.casefold():
        raise SelfApproval("The author can't approve: a second person must.", field="approver")
