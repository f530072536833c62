"""What the accounts room stores."""

from accounts.models.banking import (
    BankDetails,
    BankFile,
    BankLine,
    BankStatement,
    OutgoingPayment,
    PaymentFileStored,
    SuspenseItem,
)
from accounts.models.collecting import Collection, CollectionFileStored, Mandate
from accounts.models.ledger import Account, ChartLine, ClosedDay, Entry, Operation, Transfer
from accounts.models.member import Member, Role
from accounts.models.reconciliation import Break, Reconciliation, ReconciliationCheck
from accounts.models.sealing import DayBalance, Seal, SealedEntry

__all__ = [
    "Account",
    "BankDetails",
    "BankFile",
    "BankLine",
    "BankStatement",
    "Break",
    "ChartLine",
    "ClosedDay",
    "Collection",
    "CollectionFileStored",
    "DayBalance",
    "Entry",
    "Mandate",
    "Member",
    "Operation",
    "OutgoingPayment",
    "PaymentFileStored",
    "Reconciliation",
    "ReconciliationCheck",
    "Role",
    "Seal",
    "SealedEntry",
    "SuspenseItem",
    "Transfer",
]
