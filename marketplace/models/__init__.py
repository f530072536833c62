"""What the marketplace room stores."""

from marketplace.models.borrowing import Application, Listing
from marketplace.models.loan import (
    Distribution,
    Instalment,
    Loan,
    LoanMove,
    Part,
    Payment,
)
from marketplace.models.market import Cycle, Market
from marketplace.models.offers import Offer, OfferRate

__all__ = [
    "Application",
    "Cycle",
    "Distribution",
    "Instalment",
    "Listing",
    "Loan",
    "LoanMove",
    "Market",
    "Offer",
    "OfferRate",
    "Part",
    "Payment",
]
