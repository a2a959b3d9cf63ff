"""Where two trained networks lie in the loss landscape: connected or not, and how alike they answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def connectivity(losses: Sequence[float]) -> float:
    """(L(0) + L(1)) / 2 - L(t*), t* where that is farthest from 0, along a path from one network to the other.

    0: as good all the way; negative: a barrier between them (Yang et al. 2021; Zhou et al. 2023).
    """
    path = np.asarray(losses, float)
    gaps = (path[0] + path[-1]) / 2 - path
    return float(gaps[np.argmax(np.abs(gaps))])


def similarity(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Linear centred kernel alignment of two networks' outputs (n, features): 1 when alike up to rotation and scale.

    ||Y'X||^2 / (||X'X|| ||Y'Y||), columns centred (Kornblith et al. 2019).
    """
    x, y = one - one.mean(axis=0), other - other.mean(axis=0)
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / scale) if scale > 0 else 1.0


def regime(connectivity: float, similarity: float, *, barrier: float, alike: float) -> str:
    """I: a barrier higher than `barrier` lies between; II-A: connected, outputs differ; II-B: similarity >= `alike`."""
    if connectivity < -barrier:
        return "I"
    return "II-B" if similarity >= alike else "II-A"
