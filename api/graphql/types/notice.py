"""What members are told, and the agreements that they accept."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene
from graphene import relay

from marketplace.selectors.agreements import AgreementView
from marketplace.selectors.notices import NoticeView


class Notice(graphene.ObjectType):
    """Something that the member was told."""

    class Meta:
        interfaces = (relay.Node,)
        possible_types = (NoticeView,)

    public_id = graphene.UUID(required=True)
    name = graphene.String(required=True, description='What it is about, such as "arrears".')
    loan = graphene.UUID(description="The loan's public id, where it is about one loan.")
    subject = graphene.String(required=True)
    body = graphene.String(required=True, description="Plain text.")
    written_on = graphene.Date(required=True)
    delivered_at = graphene.DateTime(description="When it was sent by e-mail; none until then.")

    @staticmethod
    def resolve_id(root: NoticeView, info: graphene.ResolveInfo) -> Any:
        """The public id becomes the global one."""
        return root.public_id


class NoticeConnection(relay.Connection):
    """A member's notices, the newest first."""

    class Meta:
        node = Notice
        strict_types = True


class Agreement(graphene.ObjectType):
    """The terms of a loan: offered as they would be accepted today, or as they were accepted."""

    class Meta:
        possible_types = (AgreementView,)

    version = graphene.Int(required=True, description="Of the template.")
    text = graphene.String(required=True, description="Plain text, exactly as it is stored.")
    digest = graphene.String(
        required=True, description="SHA-256 of the text in UTF-8: send it back to accept this text."
    )
    offered_on = graphene.Date(required=True)
    accept_by = graphene.Date(required=True, description="The last day of acceptance.")
    accepted_on = graphene.Date(description="None while it is offered.")
