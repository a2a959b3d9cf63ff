"""The one shuffling function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def order(n: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """The order in which an epoch visits `n` samples: a permutation that (n, epoch, seed) alone decide."""
    return np.random.default_rng([seed, epoch]).permutation(n).astype(np.int64, copy=False)
