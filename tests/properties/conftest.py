"""The open house for the laws of the market."""

from tests.marketplace.house import committed_house, house, house_template, shared_house

__all__ = ["committed_house", "house", "house_template", "shared_house"]
