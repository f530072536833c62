"""Members and staff: everyone who can sign in."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower


class Role(models.TextChoices):
    """What someone may see and do beyond their own money."""

    MEMBER = "member", "Member"
    RISK_OFFICER = "risk_officer", "Risk officer"
    AUDITOR = "auditor", "Auditor"
    OPERATIONS = "operations", "Operations"


class MemberManager(BaseUserManager["Member"]):
    """Makes members; e-mail addresses are kept in lower case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> Member:
        """Create a member; without a password they can't sign in."""
        member = self.model(email=email.lower(), **fields)
        member.set_password(password)
        member.save(using=self._db)
        return member

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> Member:
        """Create a member of staff for ``createsuperuser``; operations, with every permission."""
        staff = {"role": Role.OPERATIONS, "is_superuser": True}
        return self.create_user(email, password, **{**fields, **staff})

    def get_by_natural_key(self, username: str | None) -> Member:
        """Whose e-mail address this is, in any case of its letters."""
        return self.get(email=(username or "").lower())


class Member(AbstractBaseUser, PermissionsMixin):
    """A person: borrower, lender or both, or a member of staff."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120)
    postcode = models.CharField(max_length=10, blank=True)
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.MEMBER)
    is_borrower = models.BooleanField(default=False)
    is_lender = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    joined_on = models.DateField()

    objects: ClassVar[MemberManager] = MemberManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name", "joined_on"]

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="accounts_member_email_lower_case"
            ),
            models.CheckConstraint(
                condition=models.Q(role=Role.MEMBER) | models.Q(is_borrower=False, is_lender=False),
                name="accounts_member_staff_neither_lends_nor_borrows",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} {self.pk}"

    @property
    def is_staff(self) -> bool:
        """Whether this is a member of staff."""
        return self.role != Role.MEMBER

    @property
    def reference(self) -> str:
        """How entries name this person: by key, never by name."""
        return f"member:{self.pk}"
