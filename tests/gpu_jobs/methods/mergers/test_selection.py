"""Order statistics by counting are those of sorting."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gpu_jobs.engine.merging.selection import order_statistics
from tests.gpu_jobs.methods.mergers.vectors import stream_of


def hard() -> Tensor:
    """Ties, zeros of both signs, tiny and huge values, neighbours that differ in the last bit."""
    draw = torch.randn(500, generator=torch.Generator().manual_seed(0))
    special = torch.tensor([0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38, 1.0, 1.0, 1.0, 1.0000001])
    return torch.cat([draw, draw * 1e-6, special]).reshape(-1, 10)


@pytest.mark.parametrize("rank", [0, 1, 17, 250, 504, 505, 506, 900, 1008, 1009])
def test_every_rank_is_found_exactly(rank: int) -> None:
    values = [hard(), -hard().square()]
    found = order_statistics(
        stream_of({"w": hard()}, [{"w": value} for value in values]), lambda chunk: chunk.deltas, lambda n: [rank]
    )
    assert [expert[0] for expert in found] == [float(value.flatten().sort().values[rank]) for value in values]


def test_several_ranks_are_found_in_the_same_passes() -> None:
    passes = 0

    def values(chunk: object) -> list[Tensor]:
        nonlocal passes
        passes += 1
        return chunk.deltas  # type: ignore[attr-defined, no-any-return]

    stream = stream_of({"w": hard()}, [{"w": hard()}], rows=51)  # two pieces
    (found,) = order_statistics(stream, values, lambda n: [0, n // 2, n - 1])
    ordered = hard().flatten().sort().values
    assert found == [float(ordered[0]), float(ordered[len(ordered) // 2]), float(ordered[-1])]
    assert passes == 2 * 2


@pytest.mark.parametrize("ranks", [[0], [504, 17, 504], [1009, 1010], [1010]])
def test_a_single_piece_gives_the_same(ranks: list[int]) -> None:
    whole, cut = (
        order_statistics(
            stream_of({"w": hard()}, [{"w": hard()}], rows=rows), lambda chunk: chunk.deltas, lambda n: ranks
        )
        for rows in (1_000, 7)
    )
    assert whole == cut


def test_a_rank_beyond_the_last_is_infinite() -> None:
    stream = stream_of({"w": hard()}, [{"w": hard()}])
    assert order_statistics(stream, lambda chunk: chunk.deltas, lambda n: [n]) == [[math.inf]]
