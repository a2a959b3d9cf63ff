"""Brings another tool's trials into a sweep: the sampler learns from them, and nothing is run for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from webapp.accounts.errors import FieldError, Invalid
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.states import CLOSED, TrialStatus

Given = Mapping[str, Any]  # {"params": {path: value}, "status", "values": [number per objective] or None, "message"?}


def import_observations(sweep: Sweep, observations: Sequence[Given]) -> int:
    """Adds a trial for each and tells how many. Raises Invalid, and then adds none."""
    objectives = len(sweep.definition["objective"])
    if errors := [error for index, one in enumerate(observations) for error in _errors(one, index, objectives)]:
        raise Invalid(errors[:100])
    with transaction.atomic():
        Sweep.objects.select_for_update().get(pk=sweep.pk)
        last = Trial.objects.filter(sweep=sweep).aggregate(last=Max("number"))["last"] or 0
        now = timezone.now()
        trials = [
            Trial(
                sweep=sweep, number=number, params=one["params"], source=Trial.Source.IMPORTED, status=one["status"],
                values=one.get("values"), message=str(one.get("message", "")), seeds=1, ended_at=now,
            )
            for number, one in enumerate(observations, last + 1)
        ]  # fmt: skip
        return len(Trial.objects.bulk_create(trials, batch_size=1000))


def _errors(one: Given, index: int, objectives: int) -> list[FieldError]:
    found: list[FieldError] = []
    params, status, values = one.get("params"), one.get("status"), one.get("values")
    if not isinstance(params, Mapping) or not all(_is_plain(value) for value in params.values()):
        msg = "params must be an object of numbers, texts and booleans."
        found.append({"loc": ["observations", index, "params"], "msg": msg})
    if status not in {str(name) for name in CLOSED}:
        msg = f"status must be one of {', '.join(sorted(CLOSED))}, not {status!r}."
        found.append({"loc": ["observations", index, "status"], "msg": msg})
    is_full = isinstance(values, Sequence) and len(values) == objectives and all(_is_number(value) for value in values)
    if not (is_full or (values is None and status != TrialStatus.SUCCEEDED)):
        msg = f"values must be {objectives} finite numbers, one per objective, not {str(values)[:100]}."
        found.append({"loc": ["observations", index, "values"], "msg": msg})
    return found


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
