"""The open house for the tests of whole stories."""

from tests.marketplace.house import committed_house, house, house_template, shared_house

__all__ = ["committed_house", "house", "house_template", "shared_house"]
