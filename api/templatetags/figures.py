"""Money and rates in templates."""

from __future__ import annotations

from django import template

from api import wording

register = template.Library()


@register.filter
def pounds(pence: int) -> str:
    """An amount, such as £1,234.56."""
    return wording.pounds(pence)


@register.filter
def rate(ppm: int) -> str:
    """A rate for a person, rounded to two decimals, such as 7.13 %."""
    return f"{wording.short_percent(ppm)} %"
