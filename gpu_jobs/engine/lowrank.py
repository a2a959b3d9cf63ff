"""A linear layer whose weight is the product of two factors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LowRank(nn.Module):
    """B A in the place of W. In evaluation, and when it is saved, it is the plain layer with W = B A.

    So a saved model is the one that was judged, to the bit; in training the factors are applied one after the other,
    which is what saves time.
    """

    def __init__(self, layer: nn.Module, rank: int) -> None:
        from transformers.pytorch_utils import Conv1D

        super().__init__()
        self.is_transposed = isinstance(layer, Conv1D)
        weight: Tensor = layer.weight.detach()  # type: ignore[operator]
        left, right = factors(weight.T if self.is_transposed else weight, rank)
        self.left, self.right = nn.Parameter(left), nn.Parameter(right)  # B (out, r), A (r, in)
        self.bias: nn.Parameter | None = getattr(layer, "bias", None)

    @property
    def weight(self) -> Tensor:
        """B A, as the plain layer stores it."""
        product = self.left @ self.right
        return product.T.contiguous() if self.is_transposed else product

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return F.linear(F.linear(x, self.right), self.left, self.bias)
        if not self.is_transposed:
            return F.linear(x, self.weight, self.bias)
        assert self.bias is not None
        flat = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)
        return flat.view(*x.shape[:-1], -1)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.weight.detach()
        if self.bias is not None:
            destination[f"{prefix}bias"] = self.bias if keep_vars else self.bias.detach()

    @torch.no_grad()
    def balance(self) -> None:
        """The same product from factors that share its singular values: B = U S^.5, A = S^.5 V^T.

        By QR of both, so that only an (r, r) matrix is decomposed.
        """
        out, up = torch.linalg.qr(self.left)  # (out, r), (r, r)
        inner, down = torch.linalg.qr(self.right.T)  # (in, r), (r, r)
        u, s, v = torch.linalg.svd(up @ down.T)
        self.left.copy_(out @ u * s.sqrt())
        self.right.copy_(s.sqrt()[:, None] * (v @ inner.T))


def factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """B (out, r) and A (r, in) of the best approximation of this rank."""
    u, s, v = torch.linalg.svd(weight.float(), full_matrices=False)
    rank, root = min(rank, len(s)), s.sqrt()
    return (u[:, :rank] * root[:rank]).contiguous(), (root[:rank, None] * v[:rank]).contiguous()
