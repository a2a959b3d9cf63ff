"""Finetune: go on from a trained model on other data, with all weights or an adapter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from gpu_jobs.context import Context
from gpu_jobs.events import Event
from gpu_jobs.spec import Training, knob


class Spec(Training):
    kind: Literal["finetune"]
    eval_before: bool = knob(True, "Judge the base before the first step, too.", "Evaluation", advanced=True)


def run(spec: Spec, context: Context) -> Iterator[Event]:
    """Trains, and leaves the model, or the adapter alone, in `model/`."""
    from gpu_jobs import engine

    return engine.run(spec, context)
