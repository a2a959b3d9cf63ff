"""Times in a zone of their own: Django's `date` turns every time into the server's."""

from __future__ import annotations

from datetime import datetime

from django import template

from webapp.sweeps.scheduling.times import local

register = template.Library()


@register.filter
def in_zone(moment: datetime, timezone: str) -> datetime:
    return local(moment, timezone)


@register.filter
def written(moment: datetime, form: str) -> str:
    """By strftime, in the moment's own zone."""
    return moment.strftime(form)
