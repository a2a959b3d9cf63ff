"""Filters for numbers, sizes and times, available in every template."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from textwrap import dedent
from typing import Any

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from webapp.system import staticfiles

register = template.Library()

Number = float | int
THOUSANDS = ("", "k", " M", " B", " T")
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
SERIES_COLOURS = 8


@register.filter
def si(value: Number | None) -> str:
    """41200 -> 41.2k, 35100000 -> 35.1 M, 3.1e15 -> 3.1e15; three significant digits."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return metric(value)
    power = min(len(THOUSANDS) - 1, _power(abs(value), 1000))
    if abs(value) >= 1000 ** len(THOUSANDS):
        return f"{value:.2g}".replace("e+", "e")
    return f"{_significant(value / 1000**power)}{THOUSANDS[power]}"


@register.filter
def number(value: Number | None) -> str:
    """294912 -> 294,912."""
    return "" if value is None else f"{value:,}"


@register.filter(name="bytes")
def bytes_(value: Number | None) -> str:
    """2040109466 -> 1.9 GiB."""
    if value is None:
        return ""
    power = min(len(BINARY) - 1, _power(abs(value), 1024))
    scaled = value / 1024**power
    return f"{scaled:.0f} {BINARY[power]}" if power < 2 or scaled >= 100 else f"{scaled:.1f} {BINARY[power]}"


@register.filter
def metric(value: Number | None) -> str:
    """A measured value with four significant digits: 1.412, 0.0003, 2.91e-05, NaN, ∞."""
    if value is None:
        return ""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.4g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


@register.filter
def percent(value: Number | None) -> str:
    """A share of one: 0.0084 -> 0.84 %, 1 -> 100 %."""
    return "" if value is None else f"{_significant(value * 100)} %"


@register.filter
def duration(value: Number | timedelta | None) -> str:
    """Seconds or a timedelta: 0.4 s, 00:51, 04:12, 1:02:03, 2 d 01:02."""
    if value is None:
        return ""
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if 0 < seconds < 1:
        return f"{seconds:.1f} s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02}:{minute:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


@register.filter
def hours(value: Number | None) -> str:
    """Hours, with as many decimals as two digits need: 0.025, 1.2, 37."""
    if value is None:
        return ""
    if value >= 10 or value == 0:
        return f"{value:,.0f}"
    return _significant(float(f"{value:.2g}")) if value >= 0.001 else "<0.001"


@register.filter
def between(start: datetime | None, stop: datetime | None) -> float | None:
    """Seconds from `start` to `stop`, or to now while it has not ended."""
    return None if start is None else ((stop or timezone.now()) - start).total_seconds()


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """`4 s ago` in a <time> that static/js/time.js keeps counting; the exact moment is its tooltip."""
    if moment is None:
        return "never"
    text = _ago((timezone.now() - moment).total_seconds()) or f"{moment:%-d %b %Y}"
    exact = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time data-relative datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, text)


@register.filter
def words(value: object) -> str:
    """out_of_memory -> out of memory."""
    return str(value).replace("_", " ")


@register.filter
def get(mapping: Mapping[Any, Any] | None, key: object) -> Any:
    return None if mapping is None else mapping.get(key)


@register.filter
def series_class(index: int) -> str:
    """The colour class of the n-th run or line, counted from 0."""
    return f"series-{index % SERIES_COLOURS + 1}"


@register.filter
def docstring(text: str) -> SafeString:
    """A module's docstring: indented blocks are equations, the rest are paragraphs, `names` are code."""
    blocks = [block for block in re.split(r"\n\s*\n", text.strip("\n")) if block.strip()]
    return mark_safe("".join(_block(block) for block in blocks))  # noqa: S308 - every piece is escaped in _block


@register.simple_tag
def stylesheets() -> SafeString:
    """A <link> to all of static/css as one file; while HONE_DEBUG is on, to each, so that a change shows at once."""
    paths = staticfiles.stylesheets() if settings.DEBUG else [staticfiles.ALL_STYLES]
    return format_html_join("\n", '<link rel="stylesheet" href="{}">', ((static(path),) for path in paths))


@register.simple_tag
def module(name: str) -> SafeString:
    """The script of a page, static/js/<name>. What it imports is fetched along with it, not one after the other."""
    imported = ((static(path),) for path in staticfiles.modules_of(name)[1:])
    preloads = format_html_join("\n", '<link rel="modulepreload" href="{}">', imported)
    return format_html('{}\n<script src="{}" type="module"></script>', preloads, static(f"js/{name}"))


@register.simple_tag
def options(values: Iterable[str], chosen: str = "", as_words: bool = False) -> SafeString:
    """An <option> for each value. In a template's own loop a hundred of them take longer than a query."""
    drawn = (_option(str(value), value == chosen, words(value) if as_words else str(value)) for value in values)
    return mark_safe("".join(drawn))  # noqa: S308 - every piece is escaped in _option


def _option(value: str, is_chosen: bool, label: str) -> str:
    return f'<option value="{escape(value)}"{" selected" if is_chosen else ""}>{escape(label)}</option>'


def _block(block: str) -> str:
    if block.startswith("    "):
        return f'<pre class="equation">{escape(dedent(block))}</pre>'
    return "<p>" + re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(block)) + "</p>"


def _power(value: Number, base: int) -> int:
    """How often `base` goes into `value`, such that rounding to three digits never shows 1000k."""
    power = 0
    while value >= base * 0.9995:
        value /= base
        power += 1
    return power


def _significant(value: Number) -> str:
    """Three significant digits without an exponent and without trailing zeros."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _ago(seconds: float) -> str | None:
    if seconds < 1:
        return "now"
    for limit, unit, word in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (2_592_000, 86_400, "d")):
        if seconds < limit:
            return f"{int(seconds // unit)} {word} ago"
    return None
