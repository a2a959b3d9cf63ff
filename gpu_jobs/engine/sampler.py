"""Which samples each step reads: a pure function of the step, so that a resumed run reads what it would have read."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.engine.data import order

Indices = NDArray[np.int64]


class Sampler:
    """Every epoch visits each sample once, in a new order; a batch may reach over the end of an epoch."""

    def __init__(self, samples: int, batch_size: int, seed: int) -> None:
        self._samples, self._batch_size = samples, batch_size
        self._order = lru_cache(maxsize=2)(lambda epoch: order(samples, epoch, seed))

    def indices(self, step: int) -> Indices:
        """(batch_size,) the samples of update `step`, counted from 0."""
        places = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        epochs, offsets = np.divmod(places, self._samples)
        return np.concatenate([self._order(int(epoch))[offsets[epochs == epoch]] for epoch in np.unique(epochs)])

    def position(self, step: int) -> dict[str, int]:
        """Where the data stand before update `step`: the epoch, and the samples of it that are done."""
        epoch, offset = divmod(step * self._batch_size, self._samples)
        return {"epoch": epoch, "offset": offset}
