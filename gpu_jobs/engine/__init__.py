"""The engine: the one training loop and what it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_jobs.context import Context
    from gpu_jobs.events import Event
    from gpu_jobs.spec import Training


def run(spec: Training, context: Context) -> Iterator[Event]:
    """Trains in this process, or, for several GPUs, in one process for each. Loads torch."""
    if spec.gpus > 1:
        from gpu_jobs.engine.distributed import launch

        return launch(spec, context)
    from gpu_jobs.engine.loop import train

    return train(spec, context)
