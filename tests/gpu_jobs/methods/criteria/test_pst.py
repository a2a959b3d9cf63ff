"""PST: its beginning, its gradients by hand, its ramp, and what is folded in."""

from __future__ import annotations

import pytest
import torch

from gpu_jobs.engine.adapters import host
from gpu_jobs.engine.pruning import layers, masks
from gpu_jobs.engine.pruning.gradual import ramp
from tests.gpu_jobs.engine.test_pruning import tiny
from tests.gpu_jobs.methods.criteria.learning import learned, logits, put
from tests.gpu_jobs.methods.criteria.scene import knobs, module
from tests.gpu_jobs.training import Bench, Outcome

SCALES = {"rank": 2, "score_rank": 3, "beta": 0.5, "alpha1": 0.7, "alpha2": 1.3}


def randomise(adapted: dict[str, host.AdaptedLayer], share: float = 0.4) -> None:
    """Values that do something, and masks by them."""
    torch.manual_seed(3)
    for layer in adapted.values():
        with torch.no_grad():
            for value in layer.values.parameters():
                value.normal_(std=0.1)
            score = module("pst").importance(layer.knobs, layer.seen, layer.named_values)
            layer.named_values["mask"].copy_(masks.by_matrix(score, share))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_it_begins_at_magnitude(kind: str) -> None:
    _, adapted = put("pst", kind, **SCALES)
    plain = layers.find(tiny(kind), "all", 0)
    for name, layer in adapted.items():
        score = module("pst").importance(layer.knobs, layer.seen, layer.named_values)
        magnitude = module("magnitude").score(knobs("magnitude"), plain[name])
        assert torch.equal(masks.by_matrix(score, 0.4), masks.by_matrix(magnitude, 0.4))


def test_the_scores_get_the_gradient_of_the_mask() -> None:
    """With G = dL / d(M * W'): dL/dS = G * W', and W' gets G * M and its part of S."""
    _, adapted = put("pst", **SCALES)
    randomise(adapted)
    layer = adapted["model.layers.0.mlp.up_proj"]
    u, v, a, b, mask = (layer.named_values[name] for name in ("U", "V", "A", "B", "mask"))
    x, weighting = torch.randn(7, 16), torch.randn(7, 24)
    (layer(x) * weighting).sum().backward()
    upstream = weighting.T @ x  # G
    with torch.no_grad():
        changed = layer.base.weight + 0.5 * u @ v
        of_score = upstream * changed
        of_weight = upstream * mask + of_score * changed.sign()
        expected = {
            "U": 0.5 * of_weight @ v.T, "V": 0.5 * u.T @ of_weight, "A": 0.7 * of_score @ b.T,
            "B": 0.7 * a.T @ of_score, "R": 1.3 * of_score.sum(1), "C": 1.3 * of_score.sum(0),
        }  # fmt: skip
        for name, value in expected.items():
            torch.testing.assert_close(layer.named_values[name].grad, value, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(layer(x), x @ (changed * mask).T)
    assert layer.base.weight.grad is None


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_update_is_folded_in_and_masked(kind: str) -> None:
    model, adapted = put("pst", kind, **SCALES)
    randomise(adapted)
    before, kept = logits(model), {name: layer.named_values["mask"] for name, layer in adapted.items()}
    updates = {name: 0.5 * layer.named_values["U"] @ layer.named_values["V"] for name, layer in adapted.items()}
    host.unload(model, merge=True)
    base = layers.find(tiny(kind), "all", 0)
    for name, layer in layers.find(model, "all", 0).items():
        assert torch.equal(layer.weight, (base[name].weight + updates[name].detach()) * kept[name])
    torch.testing.assert_close(logits(model), before)


def test_the_sparsity_rises_by_the_cubic_rule_and_is_exact_on_the_file(bench: Bench, base: Outcome) -> None:
    steps, sparsity = 10, 0.6
    method = {"name": "pst", "sparsity": sparsity, "warmup": 0.2, "cooldown": 0.3}
    run = learned(bench, base, method, {"learning": {"steps": steps, "batch_size": 4}})
    for number in range(steps):  # told after the step that began with it
        done = min(max(number - 2, 0) / 5, 1)
        assert run.series("prune/sparsity")[number + 1] == pytest.approx(sparsity * (1 - (1 - done) ** 3))
    kept = masks.load(run.work_dir / "masks.safetensors")
    for name, mask in kept.items():
        weight = run.weights()[f"{name}.weight"]
        assert int((weight == 0).sum()) == int((~mask).sum()) == int(0.6 * weight.numel() + 0.5)


def test_the_ramp_begins_and_ends_where_it_is_told_to() -> None:
    assert [ramp(0.8, step, 100, 0.1, 0.3) for step in (0, 10, 70, 99)] == [0, 0, 0.8, 0.8]
    assert ramp(0.8, 40, 100, 0.1, 0.3) == pytest.approx(0.8 * (1 - 0.5**3))
    assert [ramp(0.8, step, 10, 0.5, 0.5) for step in (5, 6)] == [0, 0.8]
