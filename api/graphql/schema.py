"""The schema: what can be asked and what can be changed."""

from __future__ import annotations

import graphene

from api.graphql.mutations import Mutation
from api.graphql.queries import Query
from api.graphql.types.loan import Loan

schema = graphene.Schema(query=Query, mutation=Mutation, types=[Loan])
