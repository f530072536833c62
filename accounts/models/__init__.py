"""What the accounts room stores."""

from accounts.models.ledger import Account, ChartLine, Entry, Operation, Transfer
from accounts.models.member import Member, Role

__all__ = ["Account", "ChartLine", "Entry", "Member", "Operation", "Role", "Transfer"]
