"""Histograms of weights and gradients: the counts are numpy's, and drawing them changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpu_jobs.engine import histograms, loop
from gpu_jobs.engine.histograms import BINS, binned
from gpu_jobs.engine.job import prepare
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.events import Histograms, decode, encode
from gpu_jobs.spec import parse
from tests.gpu_jobs.training import LORA, TINY, Bench, Outcome, same


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("piece", [7, 1 << 22])
def test_the_counts_are_numpy_s(kind: torch.dtype, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histograms, "PIECE", piece)
    values = torch.randn(30, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(kind)
    values[3, 4], values[5, 6], values[7, 8] = torch.nan, torch.inf, -torch.inf
    plain = values.double().numpy()
    counts, edges = np.histogram(plain[np.isfinite(plain)], BINS)
    found = binned(values)
    assert found is not None
    assert (found["low"], found["high"]) == (edges[0], edges[-1])
    assert found["counts"] == counts.tolist()


@pytest.mark.parametrize("value", [0.0, -2.5, 1e-30, 3e38])
def test_equal_values_lie_in_one_bin_between_rising_ends(value: float) -> None:
    found = binned(torch.full((5,), value))
    assert found is not None
    assert found["low"] < value < found["high"]
    assert sorted(found["counts"]) == [0] * (BINS - 1) + [5]


def test_the_ends_of_float32_have_their_bins() -> None:
    found = binned(torch.tensor([-3.4e38, 0.0, 3.4e38]))
    assert found is not None and (found["counts"][0], found["counts"][-1], sum(found["counts"])) == (1, 1, 3)


def test_no_finite_value_is_no_histogram() -> None:
    assert binned(torch.tensor([torch.nan, torch.inf])) is None
    assert binned(torch.empty(0)) is None


@pytest.fixture(scope="module")
def drawn(bench: Bench) -> Outcome:
    return bench.run({"histograms_every": 4})


def test_each_trained_tensor_has_its_weights_and_gradients(drawn: Outcome) -> None:
    events = drawn.of(Histograms)
    assert [event.step for event in events] == [4, 8]
    weights = drawn.weights()
    for event in events:
        of = {name: bins for name, bins in event.values.items() if name.startswith("weights/")}
        assert {name.removeprefix("weights/") for name in of} == weights.keys()
        assert {name.replace("weights/", "gradients/") for name in of} == event.values.keys() - of.keys()
        for name, bins in of.items():
            numel = weights[name.removeprefix("weights/")].numel()
            assert sum(bins["counts"]) == sum(event.values[name.replace("weights", "gradients")]["counts"]) == numel
        assert decode(encode(event)) == event
    for name, value in weights.items():
        last = events[-1].values[f"weights/{name}"]
        assert (last["low"], last["high"]) in [(float(value.min()), float(value.max())), (0.5, 1.5)]


def test_drawing_changes_nothing(drawn: Outcome, base: Outcome) -> None:
    assert drawn.series("train/loss") == base.series("train/loss")
    assert same(drawn.weights(), base.weights())
    assert base.of(Histograms) == []


def test_gradients_are_those_before_clipping(bench: Bench) -> None:
    job = prepare(parse({**TINY, "histograms_every": 1, "clip_norm": 1e-3}), bench.context(), ALONE)  # type: ignore[arg-type]
    job.bare(**job.data.train.batch(job.sampler.indices(0))).loss.backward()
    wanted = {name: value.grad.clone() for name, value in job.bare.named_parameters()}
    job.bare.zero_grad()
    loop.update(job, 0)
    assert job.gradients.keys() == {f"gradients/{name}" for name in wanted}
    for name, value in wanted.items():
        bins = job.gradients[f"gradients/{name}"]
        assert bins["high"] == pytest.approx(float(value.max()), rel=1e-3, abs=1e-9)
        assert bins["low"] == pytest.approx(float(value.min()), rel=1e-3, abs=1e-9)


def test_only_what_is_trained_is_drawn_under_its_own_name(bench: Bench, base: Outcome) -> None:
    kept = {"kind": "finetune", "model": {"source": "run", "run": 1}, "inputs": {"run:1": base.work_dir / "model"}}
    inputs = kept.pop("inputs")
    run = bench.run({**kept, "method": LORA, "steps": 2, "histograms_every": 2}, inputs=inputs)
    names = list(run.of(Histograms)[0].values)
    assert names and all("lora_" in name and "base_model" not in name for name in names)
    assert {name.partition("/")[0] for name in names} == {"weights", "gradients"}


def test_a_method_without_gradients_has_weights_alone(bench: Bench) -> None:
    run = bench.run({"method": {"name": "mezo"}, "steps": 2, "histograms_every": 1})
    assert {name.partition("/")[0] for event in run.of(Histograms) for name in event.values} == {"weights"}


def test_of_many_tensors_the_largest_are_drawn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histograms, "MOST_TENSORS", 2)
    run = bench.run({"steps": 1, "histograms_every": 1})
    sizes = {name: value.numel() for name, value in run.weights().items()}
    drawn = [name.removeprefix("weights/") for name in run.of(Histograms)[0].values if name.startswith("weights/")]
    assert len(drawn) == 2
    assert min(sizes[name] for name in drawn) >= max(size for name, size in sizes.items() if name not in drawn)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 100_000, "histograms_every": 99}, "0 or at least 100"),
        ({"gpus": 2, "parallel": "fsdp", "histograms_every": 4}, "parallel fsdp"),
    ],
)
def test_what_can_not_be_drawn_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse({**TINY, **changes})
    parse({**TINY, **changes, "histograms_every": 0})
    parse({**TINY, "steps": 100_000, "histograms_every": 100})
