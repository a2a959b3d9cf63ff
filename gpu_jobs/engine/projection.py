"""A fixed random matrix P (D, d) that is never kept: its rows are drawn again from a seed, a piece at a time.

    dense      entries N(0, 1/D)
    sparse     for each entry, with probability 1/s, s = sqrt(D): +-sqrt(s/D), otherwise 0 (Li, Hastie and Church 2006)
    fastfood   blocks H G Pi H B / (|G| sqrt(D)) of n = 2^k >= d rows, cut to d columns: B random signs, Pi a
               permutation, G normal, H the Walsh-Hadamard matrix of +-1 (Le, Sarlos and Smola 2013)

Entries have mean 0 and variance 1/D in all of them, so that columns are of length 1 and orthogonal on average.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gpu_jobs.perturbation import seed_of

ENTRIES = 2**22  # of a piece, where all are drawn


class Projection(NamedTuple):
    """P of this kind; `total` is D, `inner` d."""

    kind: str
    seed: int
    total: int
    inner: int

    def apply(self, place: int, x: Tensor, rows: int) -> Tensor:
        """(rows,) of P x, those of the tensor at this place."""
        parts = [
            FORWARD[self.kind](self, random, x, stop - start) for start, stop, random in self._pieces(place, x, rows)
        ]
        return torch.cat(parts)

    def transpose(self, place: int, y: Tensor) -> Tensor:
        """(d,): P^T y of the rows of the tensor at this place."""
        found = y.new_zeros(self.inner)
        for start, stop, random in self._pieces(place, y, len(y)):
            found += BACKWARD[self.kind](self, random, y[start:stop])
        return found

    def _pieces(self, place: int, like: Tensor, rows: int) -> Iterator[tuple[int, int, torch.Generator]]:
        """Rows that are drawn at once, with their generator."""
        most = max(1, ENTRIES // self.inner) if self.kind == "dense" else max(self.order, ENTRIES // 4)
        for start in range(0, rows, most):
            generator = torch.Generator(like.device).manual_seed(seed_of(self.seed, place, start))
            yield start, min(start + most, rows), generator

    @property
    def order(self) -> int:
        """n: the power of two that holds d."""
        return 1 << (self.inner - 1).bit_length()

    def dense(self, random: torch.Generator, rows: int) -> Tensor:
        """(rows, d)"""
        return torch.randn(rows, self.inner, generator=random, device=random.device) * float(self.total**-0.5)

    def entries(self, random: torch.Generator, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """Row, column and value of the entries that are not zero: as many as are to be expected."""
        s = max(1.0, self.total**0.5)
        count = max(1, round(rows * self.inner / s))
        at = torch.randint(rows * self.inner, (count,), generator=random, device=random.device)
        signs = _signs((count,), random)
        return at // self.inner, at % self.inner, signs * (s / self.total) ** 0.5

    def blocks(self, random: torch.Generator, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """B, Pi and G / (|G| sqrt(D)), each (blocks, n)."""
        shape = (-(-rows // self.order), self.order)
        signs = _signs(shape, random)
        order = torch.rand(shape, generator=random, device=random.device).argsort(-1)
        normal = torch.randn(shape, generator=random, device=random.device)
        return signs, order, normal / (normal.norm(dim=-1, keepdim=True) * self.total**0.5)


def _signs(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.randint(2, shape, generator=random, device=random.device) * 2.0 - 1.0


def hadamard(x: Tensor) -> Tensor:
    """H x along the last dimension, a power of two, in n log n steps."""
    n, width = x.shape[-1], 1
    while width < n:
        pairs = x.reshape(*x.shape[:-1], n // (2 * width), 2, width)
        x = torch.stack([pairs[..., 0, :] + pairs[..., 1, :], pairs[..., 0, :] - pairs[..., 1, :]], -2)
        x, width = x.reshape(*x.shape[:-3], n), 2 * width
    return x


def dense_forward(p: Projection, random: torch.Generator, x: Tensor, rows: int) -> Tensor:
    """P x"""
    return p.dense(random, rows) @ x


def dense_backward(p: Projection, random: torch.Generator, y: Tensor) -> Tensor:
    """P^T y"""
    return p.dense(random, len(y)).T @ y


def sparse_forward(p: Projection, random: torch.Generator, x: Tensor, rows: int) -> Tensor:
    """P x"""
    row, column, value = p.entries(random, rows)
    return x.new_zeros(rows).index_add_(0, row, value * x[column])


def sparse_backward(p: Projection, random: torch.Generator, y: Tensor) -> Tensor:
    """P^T y"""
    row, column, value = p.entries(random, len(y))
    return y.new_zeros(p.inner).index_add_(0, column, value * y[row])


def fastfood_forward(p: Projection, random: torch.Generator, x: Tensor, rows: int) -> Tensor:
    """H G Pi H B x"""
    signs, order, scales = p.blocks(random, rows)
    filled = torch.nn.functional.pad(x, (0, p.order - p.inner))
    mixed = hadamard(signs * filled).gather(-1, order)
    return hadamard(scales * mixed).flatten()[:rows]


def fastfood_backward(p: Projection, random: torch.Generator, y: Tensor) -> Tensor:
    """B H Pi^T G H y, summed over the blocks"""
    signs, order, scales = p.blocks(random, len(y))
    filled = torch.nn.functional.pad(y, (0, -len(y) % p.order)).view(-1, p.order)
    mixed = scales * hadamard(filled)
    back = torch.zeros_like(mixed).scatter(-1, order, mixed)
    return (signs * hadamard(back)).sum(0)[: p.inner]


FORWARD = {"dense": dense_forward, "sparse": sparse_forward, "fastfood": fastfood_forward}
BACKWARD = {"dense": dense_backward, "sparse": sparse_backward, "fastfood": fastfood_backward}
