"""What the marketplace room stores."""

from marketplace.models.agreements import Agreement
from marketplace.models.borrowing import Application, Listing
from marketplace.models.closing import DayRun, DayStep, StagedSlice
from marketplace.models.contacts import Contact, Promise
from marketplace.models.fund import FundAward, FundClaim, FundDecision
from marketplace.models.loan import Loan, LoanMove, Part
from marketplace.models.market import Cycle, CycleMarket, CycleSight, Market
from marketplace.models.matched import RepaidMatched
from marketplace.models.notices import Notice
from marketplace.models.offers import Offer, OfferRate
from marketplace.models.servicing import Distribution, Instalment, LoanEvent, Payment

__all__ = [
    "Agreement",
    "Application",
    "Contact",
    "Cycle",
    "CycleMarket",
    "CycleSight",
    "DayRun",
    "DayStep",
    "Distribution",
    "FundAward",
    "FundClaim",
    "FundDecision",
    "Instalment",
    "Listing",
    "Loan",
    "LoanEvent",
    "LoanMove",
    "Market",
    "Notice",
    "Offer",
    "OfferRate",
    "Part",
    "Payment",
    "Promise",
    "RepaidMatched",
    "StagedSlice",
]
