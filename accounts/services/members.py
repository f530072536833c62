"""Taking members in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from accounts.core.chart import MEMBER_KINDS
from accounts.models import Member
from accounts.services.opening import open_accounts


def enrol_members(*, members: Sequence[Member]) -> list[Member]:
    """Store new members and open their accounts in the ledger: two statements for any number.

    Raises:
        django.db.IntegrityError: an e-mail address that is taken.
    """
    with transaction.atomic():
        stored = Member.objects.bulk_create(members)
        holders = [m.pk for m in stored if m.is_borrower or m.is_lender]
        open_accounts(kinds=MEMBER_KINDS, owner_ids=np.array(holders, dtype=np.int64))
    return stored


def set_passwords(*, passwords: Mapping[int, str]) -> None:
    """Let members sign in with these passwords, by member id.

    Raises:
        django.core.exceptions.ValidationError: a password that is too weak.
    """
    with transaction.atomic():
        members = list(Member.objects.filter(pk__in=passwords))
        for member in members:
            validate_password(passwords[member.pk], member)
            member.set_password(passwords[member.pk])
        Member.objects.bulk_update(members, ["password"])
