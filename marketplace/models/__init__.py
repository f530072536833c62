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
from marketplace.models.market import Cycle, CycleMarket, CycleSight, Market
from marketplace.models.offers import Offer, OfferRate

__all__ = [
    "Application",
    "Cycle",
    "CycleMarket",
    "CycleSight",
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
