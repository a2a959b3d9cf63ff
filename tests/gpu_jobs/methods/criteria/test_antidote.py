"""Antidote: Wanda the other way round."""

from __future__ import annotations

import torch

from gpu_jobs.engine.pruning import masks
from tests.gpu_jobs.methods.criteria.scene import knobs, module, pruned, with_inputs
from tests.gpu_jobs.training import Bench, Outcome, same

ANTIDOTE = {"name": "antidote"}


def test_it_is_wanda_of_what_is_to_be_forgotten() -> None:
    for layer in with_inputs("norms").values():
        wanda = module("wanda").score(knobs("wanda"), layer)
        mask = masks.by_row(module("antidote").score(knobs("antidote"), layer), 0.25)
        lowest_gone = wanda.masked_fill(mask, torch.inf).amin(1)
        highest_kept = wanda.masked_fill(~mask, -torch.inf).amax(1)
        assert (lowest_gone >= highest_kept).all()
        assert ((~mask).sum(1) == int(0.25 * mask.shape[1] + 0.5)).all()


def test_the_share_asked_for_is_zero_on_the_file(bench: Bench, base: Outcome) -> None:
    run = pruned(bench, base, ANTIDOTE)
    kept = masks.load(run.work_dir / "masks.safetensors")
    assert len(kept) == 14
    for name, mask in kept.items():
        weight = run.weights()[f"{name}.weight"]
        assert ((weight == 0).sum(1) == int(0.1 * weight.shape[1] + 0.5)).all()
        assert torch.equal(weight != 0, mask)


def test_of_the_first_block_it_takes_what_wanda_keeps(bench: Bench, base: Outcome) -> None:
    """Later blocks see what is left of those before them."""
    one, other = (pruned(bench, base, {"name": name, "sparsity": 0.5}) for name in ("antidote", "wanda"))
    taken, kept = (masks.load(run.work_dir / "masks.safetensors") for run in (one, other))
    first = [name for name in taken if ".0." in name]
    assert len(first) == 7
    assert all(torch.equal(~taken[name], kept[name]) for name in first)


def test_a_share_of_nothing_is_the_model_as_it_was(bench: Bench, base: Outcome) -> None:
    assert same(pruned(bench, base, ANTIDOTE | {"sparsity": 0}).weights(), base.weights())
