"""ComPEFT's deltas are three values, stored in the bytes that the format states, and come back exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from gpu_jobs.engine.merging import ternary
from gpu_jobs.methods.mergers import compeft
from tests.gpu_jobs.methods.mergers.vectors import flat, knobs, merged, random_weights, stream_of, task_vectors

BASE = random_weights(0)


@pytest.mark.parametrize("density", [0.05, 0.2, 0.5])
def test_the_largest_become_alpha_deviations_and_the_rest_nothing(density: float) -> None:
    (expert,) = task_vectors(1)
    values = flat(expert)
    kept = round(density * len(values))
    largest = torch.zeros_like(values)
    largest[values.abs().argsort(descending=True)[:kept]] = 1
    found = flat(merged(knobs("compeft", density=density, alpha=2.0), BASE, [expert]))
    assert torch.allclose(found, 2 * values.std() * values.sign() * largest, atol=1e-8)
    assert len(found.unique()) == 3
    assert int((found != 0).sum()) == kept


def ternary_of(n: int, k: int) -> Tensor:
    draw = torch.Generator().manual_seed(n + k)
    codes = torch.zeros(n, dtype=torch.int8)
    places = torch.randperm(n, generator=draw)[:k]
    codes[places] = (torch.randint(0, 2, (k,), generator=draw) * 2 - 1).to(torch.int8)
    return codes


@pytest.mark.parametrize(("n", "k"), [(0, 0), (1, 0), (1, 1), (7, 7), (100, 1), (1000, 200), (4096, 64), (999, 500)])
def test_codes_come_back_from_as_many_bytes_as_are_stated(n: int, k: int) -> None:
    codes = ternary_of(n, k)
    parts = ternary.encode(codes)
    assert ternary.decode(parts).equal(codes)
    stored = sum(parts[name].numel() for name in ("upper", "lower", "signs"))
    low = 0
    while k and k << (low + 1) <= n:  # the largest l with k 2^l <= n
        low += 1
    bits = [k + (n >> low) + 1, k * low, k] if k else [0, 0, 0]
    assert stored == ternary.stored_bytes(n, k) == sum((count + 7) // 8 for count in bits)


def test_a_fifth_of_the_entries_takes_about_a_bit_each() -> None:
    assert 8 * ternary.stored_bytes(1_000_000, 200_000) / 1_000_000 == pytest.approx(1.05, abs=1e-4)
    assert 8 * ternary.stored_bytes(1_000_000, 50_000) / 1_000_000 == pytest.approx(0.3625, abs=1e-4)


def test_the_file_is_what_it_says_and_gives_the_delta_back(tmp_path: Path) -> None:
    experts, method = task_vectors(2), knobs("compeft", density=0.1, alpha=1.5)
    stream = stream_of(BASE, experts, rows=1_000)
    asked: Any = method
    state = compeft.survey(asked, stream)
    path = tmp_path / "deltas/1.safetensors"
    tensors = ((chunk.name, compeft.codes(asked, chunk, state)[0]) for chunk in stream.chunks())
    size = ternary.save(path, tensors, compeft.magnitudes(asked, state)[0])
    found = dict(ternary.load(path))
    assert flat(found).equal(flat(merged(method, BASE, experts[:1])))
    counts = [(value.numel(), int((value != 0).sum())) for value in found.values()]
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    assert size == path.stat().st_size == header + sum(ternary.stored_bytes(*count) + 16 for count in counts)
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["shapes"]) == {name: list(value.shape) for name, value in BASE.items()}
