"""Every component in every state, on one page that needs no data."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from webapp.http import PageRequest
from webapp.pages.frame import Capacity
from webapp.pages.sweeps.segments import segments_of
from webapp.pages.templatetags import hone
from webapp.runs.states import Status
from webapp.sweeps.states import TrialStatus

TRIALS = dict.fromkeys(TrialStatus.values, 0) | {"succeeded": 7, "stopped": 4, "failed": 1, "running": 2, "total": 14}

COLOURS = {
    "Grounds": ["ground", "surface", "sunken", "rule", "edge"],
    "Ink": ["ink", "ink-2", "ink-3"],
    "Accent": ["accent", "accent-strong", "accent-soft"],
    "States": ["good", "busy", "wait", "bad", "still"],
    "Series": [f"series-{place}" for place in range(1, 9)],
}
ICONS = ["mark", "menu", "close", "chevron", "up", "down", "top", "grip", "copy", "check", "person", "pause", "play"]


class SampleForm(forms.Form):
    """One field of each sort."""

    name = forms.CharField(help_text="Shown in the table of runs.", initial="lora r16")
    steps = forms.IntegerField(min_value=1, initial=2000)
    schedule = forms.ChoiceField(choices=[("cosine", "Cosine"), ("wsd", "WSD")])
    notes = forms.CharField(widget=forms.Textarea({"rows": 2}), required=False)
    compile = forms.BooleanField(label="torch.compile", required=False, help_text="Slower to start, faster to run.")
    locked = forms.CharField(disabled=True, initial="from the checkpoint", required=False)


@require_safe
@login_required
def styleguide(request: PageRequest) -> HttpResponse:
    now = timezone.now()
    context: dict[str, Any] = {
        "crumbs": [{"label": "Style guide"}],
        "colours": COLOURS,
        "icons": ICONS,
        "statuses": Status.values,
        "segments": segments_of(TRIALS, 20),
        "form": SampleForm(),
        "bad_form": SampleForm({"bad-name": "", "bad-steps": "-3", "bad-schedule": "cosine"}, prefix="bad"),
        "facts": _facts(),
        "tabs": _tabs(),
        "busy": Capacity(3, 4),
        "moments": [now - timedelta(seconds=age) for age in (0, 4, 190, 7300, 190_000)],
        "examples": _examples(),
    }
    return render(request, "pages/styleguide.html", context)


def _facts() -> list[dict[str, str]]:
    rows = [
        ("eval/loss", "1.412", "+0.041 · +3.0 % of baseline"),
        ("Trainable", "0.84 %", "294,912 of 35.1 M"),
        ("Peak memory", "1.9 GiB", "planned 1.8 GiB"),
        ("Speed", "41.2k", "tokens/s"),
    ]
    return [{"label": label, "value": value, "note": note} for label, value, note in rows]


def _examples() -> list[tuple[str, str, str]]:
    """(filter, what goes in, what comes out)."""
    given: dict[Callable[[Any], str], list[float]] = {
        hone.metric: [0.000291, 1.412, 2.9e-05, math.nan, math.inf],
        hone.si: [950, 41_200, 35_100_000, 18e9, 3.1e15],
        hone.number: [294_912],
        hone.percent: [0.0084, 0.119, 1],
        hone.bytes_: [512, 1_258_291, 2_040_109_466, 85_899_345_920],
        hone.duration: [0.4, 51, 252, 3723, 176_520],
    }
    rows = [(spelled, value) for spelled, values in given.items() for value in values]
    return [(spelled.__name__.strip("_"), f"{value:g}", spelled(value)) for spelled, value in rows]


def _tabs() -> list[dict[str, Any]]:
    names = ("Charts", "Log", "Config", "Attempts")
    return [
        {"label": name, "url": "#tabs", "current": name == "Charts", "count": 2 * (name == "Attempts")}
        for name in names
    ]
