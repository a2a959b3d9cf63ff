"""Evaluate: judge a model, or an adapter on its base, on the evaluation or the test split; nothing is trained.

With a second model (`against`) it also tells how far the two lie apart: see `engine/pairing.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import ValidationInfo, field_validator

from gpu_jobs.context import Context
from gpu_jobs.events import Event
from gpu_jobs.sources import DataSource, ModelSource
from gpu_jobs.spec import (
    EVAL_BATCHES,
    GENERATE,
    GENERATE_TOKENS,
    PRECISION,
    RETENTION_DATA,
    SEED,
    Reading,
    knob,
)  # fmt: skip


class Spec(Reading):
    kind: Literal["evaluate"]
    split: Literal["eval", "test"] = knob("eval", "The part of the data on which it is judged.", "Evaluation")
    batch_size: int = knob(16, "Samples at a time.", "Evaluation", ge=1, le=1_048_576)
    eval_batches: int = EVAL_BATCHES
    against: ModelSource | None = knob(
        None,
        "A second model of the same architecture: whether a barrier lies between the two, and how alike they answer.",
        "Evaluation",
        advanced=True,
    )
    path_points: int = knob(
        11, "Points on the line between the two models, both ends included.", "Evaluation", ge=3, le=201, advanced=True
    )
    retention_data: DataSource | None = RETENTION_DATA
    generate: int = GENERATE
    generate_tokens: int = GENERATE_TOKENS
    seed: int = SEED
    precision: Literal["auto", "fp32", "bf16"] = PRECISION

    @field_validator("split")
    @classmethod
    def _has_split(cls, split: str, info: ValidationInfo) -> str:
        if split == "test" and "data" in info.data and not info.data["data"].has_test:
            raise ValueError("split 'test' needs a test split: set data.test_fraction, to 0.1 for example")
        return split


def run(spec: Spec, context: Context) -> Iterator[Event]:
    """Says the quality, and keeps the answers that it writes in `samples.jsonl`."""
    from gpu_jobs.engine.judging import judge

    return judge(spec, context)
