"""Where a job runs: folders, resolved inputs, and the question whether it should stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Context:
    """`inputs` maps what a spec names but the job can't reach itself ("run:12", "upload:3") to local paths.

    A "run:12" input is the model folder of that run (config.json and safetensors, tokenizer files, or a PEFT adapter
    folder whose base lies in `base/`). `resume_from` is a checkpoint folder written by the same spec, or by one with
    the same data and shapes: then its weights, optimizer state and generators go on under this spec's knobs.
    """

    work_dir: Path
    cache_dir: Path
    inputs: Mapping[str, Path] = field(default_factory=dict)
    resume_from: Path | None = None
    should_stop: Callable[[], bool] = lambda: False
