"""What PEFT's layers compute is what our files say they do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gpu_jobs import registry
from gpu_jobs.engine import adapters
from gpu_jobs.engine.adapters import rewritten
from tests.gpu_jobs.methods.test_lora import build


def adapted(name: str, **changes: Any) -> tuple[Any, Tensor]:
    """A random-valued adapter of this kind on a layer (out 24, in 16), and the weight it had before."""
    torch.manual_seed(0)
    model = build("llama")
    before = model.model.layers[0].mlp.up_proj.weight.detach().clone()
    knobs = registry.methods("adapters")[name].knobs(name=name, targets=["up_proj"], **changes)
    adapters.attach(knobs, model, task="causal_lm", seed=0)
    layer = model.model.layers[0].mlp.up_proj
    for value in layer.parameters():
        if value.requires_grad:
            nn.init.normal_(value, std=0.3)
    return layer, before


def effective(layer: Any) -> Tensor:
    """The weight that the layer applies: its output of the identity."""
    with torch.no_grad():
        found: Tensor = layer.eval()(torch.eye(16)).T
    return found


def close(layer: Any, expected: Tensor) -> None:
    torch.testing.assert_close(effective(layer), expected.detach(), atol=1e-5, rtol=1e-4)


def lora(layer: Any) -> Tensor:
    a, b = rewritten.factors(layer)
    return b @ a


def test_rslora_divides_by_the_root_of_the_rank() -> None:
    layer, w = adapted("rslora", rank=4, alpha=6)
    close(layer, w + 6 / 2 * lora(layer))


def test_dora_gives_each_row_its_trained_length() -> None:
    layer, w = adapted("dora", rank=4, alpha=8)
    direction = w + 2 * lora(layer)
    length = layer.lora_magnitude_vector["default"].weight
    close(layer, length[:, None] * direction / direction.norm(dim=1, keepdim=True))


def test_ia3_scales_outputs() -> None:
    layer, w = adapted("ia3")
    close(layer, layer.ia3_l["default"] * w)


def test_vera_scales_corners_of_shared_matrices() -> None:
    layer, w = adapted("vera", rank=5)
    a, b = layer.vera_A["default"][:, :16], layer.vera_B["default"][:24]
    inner = layer.vera_lambda_d["default"][:, None] * a
    close(layer, w + layer.vera_lambda_b["default"][:, None] * b @ inner)


def test_loha_multiplies_two_updates() -> None:
    layer, w = adapted("loha", rank=3, alpha=6)
    first, second = (
        getattr(layer, f"hada_w{n}_a")["default"] @ getattr(layer, f"hada_w{n}_b")["default"] for n in (1, 2)
    )
    close(layer, w + 2 * first * second)


def test_lokr_is_a_kronecker_product() -> None:
    layer, w = adapted("lokr", rank=1, alpha=3)
    small, low = layer.lokr_w1["default"], layer.lokr_w2_a["default"] @ layer.lokr_w2_b["default"]
    close(layer, w + 3 * torch.kron(small, low))


def test_hira_multiplies_the_weight_with_its_update() -> None:
    layer, w = adapted("hira", rank=3)
    close(layer, w + w * (layer.hira_B["default"] @ layer.hira_A["default"]))


@pytest.mark.parametrize(("name", "changes"), [("oft", {"block": 4, "neumann": False}), ("hra", {"rank": 4})])
def test_an_orthogonal_adapter_keeps_all_lengths(name: str, changes: dict[str, Any]) -> None:
    """W' = W R with R R^T = I leaves W W^T as it was."""
    layer, w = adapted(name, **changes)
    found = effective(layer)
    assert (found - w).norm() > 0.1 * w.norm()
    torch.testing.assert_close(found @ found.T, w @ w.T, atol=1e-5, rtol=1e-4)


def test_boft_is_orthogonal_but_for_its_scales() -> None:
    layer, w = adapted("boft", block=4)
    found = effective(layer) / layer.boft_s["default"]
    torch.testing.assert_close(found @ found.T, w @ w.T, atol=1e-4, rtol=1e-3)


def test_fourierft_is_an_inverse_transform() -> None:
    layer, w = adapted("fourierft", frequencies=7, scale=9)
    dense = torch.zeros(24, 16)
    rows, columns = layer.indices["default"]
    dense[rows, columns] = layer.fourierft_spectrum["default"].detach()
    close(layer, w + 9 * torch.fft.ifft2(dense).real)


@pytest.mark.parametrize("name", ["shira", "supertuning"])
def test_a_sparse_adapter_changes_as_many_entries_as_it_trains(name: str) -> None:
    layer, w = adapted(name, **({"rank": 2} if name == "shira" else {"sparsity": 0.9}))
    changed = (effective(layer) - w).abs() > 1e-6
    assert int(changed.sum()) == (2 * (16 + 24) if name == "shira" else int(0.1 * 16 * 24))
    if name == "supertuning":
        assert w[changed].abs().min() >= w[~changed].abs().max()


def test_c3a_adds_circulant_blocks() -> None:
    layer, w = adapted("c3a", block=8)
    change = (effective(layer) - w).view(3, 8, 2, 8).transpose(1, 2)  # (3, 2) blocks of (8, 8)
    shifted = change.roll((1, 1), (2, 3))
    torch.testing.assert_close(change, shifted, atol=1e-5, rtol=1e-4)


def test_miss_repeats_its_matrix_over_the_inputs() -> None:
    """The groups are interleaved: input k is of group k modulo r."""
    layer, w = adapted("miss", rank=4)
    change = effective(layer) - w
    groups = change.view(24, 4, 4)
    torch.testing.assert_close(groups, groups[:, :1].expand_as(groups), atol=1e-5, rtol=1e-4)


def test_road_turns_and_stretches_pairs() -> None:
    layer, w = adapted("road", group=8)
    found, half = effective(layer), 4
    t, alpha = layer.road_theta["default"].detach(), layer.road_alpha["default"].detach()
    first, second = w.view(3, 2, half, 16).unbind(1)  # of each group of 8 outputs, pairs half a group apart
    cos, sin = ((alpha * f(t)).view(3, half, 1) for f in (torch.cos, torch.sin))
    turned = torch.stack([cos * first - sin * second, cos * second + sin * first], 1).reshape(24, 16)
    torch.testing.assert_close(found, turned, atol=1e-5, rtol=1e-4)


def test_delora_adds_parts_of_length_one() -> None:
    """Each is scaled by l / r, and its columns by those of W."""
    layer, w = adapted("delora", rank=4)
    a, b = layer.delora_A["default"], layer.delora_B["default"]
    parts = [torch.outer(b[:, i] / b[:, i].norm(), a[i] / a[i].norm()) for i in range(4)]
    close(layer, w + layer.delora_lambda["default"] / 4 * torch.stack(parts).sum(0) * w.norm(dim=0))


@pytest.mark.parametrize("name", ["pissa", "olora"])
def test_a_part_that_is_taken_out_leaves_the_rest(name: str) -> None:
    """W_rest + s B0 A0 = W; PiSSA's part holds the r largest singular values, OLoRA's B is orthonormal."""
    torch.manual_seed(0)
    model = build("llama")
    w = model.model.layers[0].mlp.up_proj.weight.detach().clone()
    knobs = registry.methods("adapters")[name].knobs(name=name, targets=["up_proj"], rank=4, alpha=8)
    adapters.attach(knobs, model, task="causal_lm", seed=0)
    layer = model.model.layers[0].mlp.up_proj
    close(layer, w)
    part = 2 * lora(layer).detach()
    torch.testing.assert_close(layer.base_layer.weight + part, w, atol=1e-6, rtol=0)
    if name == "pissa":
        torch.testing.assert_close(torch.linalg.svdvals(part)[:4], torch.linalg.svdvals(w)[:4], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            torch.linalg.svdvals(layer.base_layer.weight.detach())[:12],
            torch.linalg.svdvals(w)[4:],
            atol=1e-5,
            rtol=1e-4,
        )
    else:
        b = layer.lora_B["default"].weight.detach()
        torch.testing.assert_close(b.T @ b, torch.eye(4) * b[:, 0].square().sum(), atol=1e-5, rtol=1e-4)


def test_orthogonal_lora_begins_with_factors_that_cancel() -> None:
    torch.manual_seed(0)
    model = build("llama")
    knobs = registry.methods("adapters")["orthogonal"].knobs(name="orthogonal", targets=["up_proj"], rank=4)
    adapters.attach(knobs, model, task="causal_lm", seed=0)
    a, b = rewritten.factors(model.model.layers[0].mlp.up_proj)
    assert a.norm() > 0.1
    assert b.norm() > 0.1
    torch.testing.assert_close(b @ a, torch.zeros(24, 16), atol=1e-6, rtol=0)
