"""The nearest matrix with equal singular values, by matrix products alone."""

from __future__ import annotations

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonalized(matrix: Tensor) -> Tensor:
    """About U V^T of a matrix (rows, columns) = U S V^T, in bfloat16: singular values between 0.7 and 1.2, or so.

    X = M / |M|, then five times X = a X + (b X X^T + c (X X^T)^2) X; as in torch's Muon, bit for bit.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = (matrix.T if is_tall else matrix).to(torch.bfloat16, copy=True)
    x.div_(x.norm().clamp(min=1e-7))
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = x.addmm(gram.addmm(gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x
