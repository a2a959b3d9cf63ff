"""GradNormLoRP: weights by length and direction, with the optimizer in a subspace for the directions.

    W = gain v / |v|, row by row      v begins as W, gain as the lengths of its rows: training begins at the base
    v                                 trained as GaLore trains a weight, in r directions, chosen anew every K steps
    gain                              trained as it is

(Huang et al. 2024, "Gradient Weight-normalized Low-rank Projection for Efficient LLM Training"; numbers as in the
authors' released code. A summary of the paper writes v as W_0 plus a product of factors, and projects gradients from
both sides, unchecked; here v is whole, projected as in GaLore, and everything else is trained, too.) |v| is part of the
gradient. Layers that are normalised compute W in each forward and keep it for the backward: more bytes than the plan's
activations. The result is saved as a plain model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.adaptable import choose_layers
from gpu_jobs.anatomy import HEADS, Anatomy
from gpu_jobs.methods.strategies import galore
from gpu_jobs.shapes import Shapes, count

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/2412.19616"
PARALLEL = galore.PARALLEL
LR = 1e-3


class Knobs(galore.Knobs):
    name: Literal["gradnorm_lorp"]  # type: ignore[assignment]
    rank: int = Field(8, ge=1, le=65_536, description="Directions r of the subspace.", json_schema_extra={"log": True})


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """Gain and direction in the place of weights; all that is there is trained."""
    from gpu_jobs.engine.gain import Gain

    choose_layers(knobs, model)
    chosen = {name for name, value in model.named_parameters() if value.requires_grad}
    for name, layer in list(model.named_modules()):
        if f"{name}.weight" in chosen and name.split(".")[0] not in HEADS:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, Gain(layer))
    return model.requires_grad_(True)  # type: ignore[no-any-return]


def replaced(knobs: Knobs, anatomy: Anatomy) -> set[str]:
    """The weights that are normalised."""
    return {f"{layer.name}.weight" for layer in anatomy.layers(knobs.targets)}


def directions(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """v of each."""
    return {f"{layer.name}.direction": (layer.outputs, layer.inputs) for layer in anatomy.layers(knobs.targets)}


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Gains, directions, and every other weight."""
    gone = replaced(knobs, anatomy)
    gains = {f"{layer.name}.gain": (layer.outputs,) for layer in anatomy.layers(knobs.targets)}
    kept = {name: shape for name, shape in anatomy.shapes.items() if name not in gone}
    return kept | directions(knobs, anatomy) | gains


def _projected(trained: Shapes) -> Shapes:
    return {name: shape for name, shape in trained.items() if name.endswith(".direction")}


def optimized(knobs: Knobs, anatomy: Anatomy, trained: Shapes) -> Shapes:
    """R in the place of each direction."""
    return trained | {name: galore.small(shape, knobs.rank) for name, shape in _projected(trained).items()}


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """Beside the optimizer's state, R and Q."""
    shapes = _projected(trained).values()
    kept = sum(count({"R": galore.small(shape, knobs.rank), "Q": galore.basis(shape, knobs.rank)}) for shape in shapes)
    return {"optimizer": parts["optimizer"] + 4 * kept}


class Hooks(galore.Hooks):
    """Projects the directions."""

    def is_projected(self, name: str, value: nn.Parameter) -> bool:
        return name.endswith(".direction")
