"""What the accounts room stores."""

from accounts.models.ledger import Account, ChartLine, ClosedDay, Entry, Operation, Transfer
from accounts.models.member import Member, Role
from accounts.models.sealing import DayBalance, Seal, SealedEntry

__all__ = [
    "Account",
    "ChartLine",
    "ClosedDay",
    "DayBalance",
    "Entry",
    "Member",
    "Operation",
    "Role",
    "Seal",
    "SealedEntry",
    "Transfer",
]
