"""Filters that only the run pages need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from django import template

from webapp.pages.scaling.ladder_cells import power

register = template.Library()


@register.filter
def epoch(moment: datetime) -> str:
    """Seconds since 1970, as scripts count."""
    return repr(moment.timestamp())


@register.filter
def raw(value: float) -> str:
    """A number for a script: all digits, no grouping."""
    return repr(float(value))


@register.filter
def flops(value: float | None) -> str:
    """A number of FLOPs: 2.5e+12 -> 2.5e12."""
    return power(value)


@register.filter
def is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


@register.filter
def plain(value: object) -> str:
    """A value of a spec or a result as text: true, 0.001, a list as JSON; an empty one is a dash."""
    if value is None or value == "" or value == {} or value == []:
        return "–"  # noqa: RUF001 - the dash of an empty cell
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000:
        return f"{value:,}"
    return json.dumps(value, ensure_ascii=False)


@register.filter
def cut_prefix(path: str, folder: str) -> str:
    """checkpoints/step-4/model.safetensors in the folder checkpoints/step-4 -> model.safetensors."""
    return path.removeprefix(f"{folder}/")


@register.filter
def field_name(loc: list[object]) -> str:
    """["spec", "optimizer", "lr"] -> optimizer.lr."""
    return ".".join(str(step) for step in (loc[1:] if loc[:1] == ["spec"] else loc))
