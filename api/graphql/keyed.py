"""Mutations that are done once a key: who may, what was asked, and one service call each."""

# ruff: noqa: ARG003 - graphene hands root and info to every resolver.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import graphene

from accounts.models import Member
from api.business_date import today
from api.graphql.refusals import Answer, refusing

_KEY = "Chosen by the client, 1 to 120 characters: the same again gives the first answer again."


class KeyedInput(graphene.InputObjectType):
    """What every input of a change has."""

    idempotency_key = graphene.String(required=True, description=_KEY)


@dataclass(frozen=True)
class Asked:
    """A change that somebody asks for.

    Attributes:
        member: who asks, and may.
        input: what was sent.
        on: the business date.
    """

    member: Member
    input: Any
    on: date

    @property
    def actor(self) -> str:
        """Who asks, by reference; keys are kept apart by it."""
        return self.member.reference

    @property
    def key(self) -> str:
        """The key under which it is done once."""
        key: str = self.input.idempotency_key
        return key


class KeyedMutation(Answer, graphene.Mutation):
    """A change of something of one's own; whatever is raised becomes the answer's ``errors``.

    Attributes:
        takes: its input.
        allows: finds the member who asks, and refuses who may not.
    """

    class Meta:
        abstract = True

    takes: ClassVar[type[KeyedInput]]
    allows: ClassVar[Callable[[graphene.ResolveInfo], Member]]

    @classmethod
    def __init_subclass_with_meta__(cls, **options: Any) -> None:
        """Hand the one argument, ``input``, to graphene."""
        given = {"input": cls.takes(required=True)}
        super().__init_subclass_with_meta__(arguments=given, **options)

    @classmethod
    @refusing
    def mutate(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        input: KeyedInput,  # noqa: A002 - the schema's word
    ) -> Any:
        """Refuse who may not, then change."""
        return cls.change(Asked(cls.allows(info), input, today()))

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Parse, call one service, and read back what it made."""
        raise NotImplementedError
