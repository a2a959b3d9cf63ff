"""Rounding to nearest: weights as codes of 2 to 8 bits and a scale for each group, without any training.

    int8, int4         W = code D, or (code - zero) D where asymmetric: even steps
    nf4, fp4, ternary  W = table[code] D
    fp8_e4m3, e5m2     W = float8 D
    one D for the matrix (tensor), for each output (channel), or for so many neighbouring inputs of one (group)

An error is at most half a step: D for even ones, else the widest gap of the format times D. Codes are packed (two of
int4 or nf4 in a byte) and stored with scales in float32, and zeros of a byte, so that the file really is smaller: bits
per parameter count all of it. Embeddings, norms, biases and the output layer stay as they are. A layer's weight is made
from its codes for the time of a forward, so memory falls and time does not: kernels that multiply codes are not used.

`retrain` trains an adapter on the rounded weights (as ordinary numbers, so with the memory of the dense model); merged
into them it is rounded again, and "drop" tells what that cost. nf4 is that of Dettmers et al. 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy, Targets
from gpu_jobs.compressible import Done, layers_of

if TYPE_CHECKING:
    from gpu_jobs.engine.compressed.coding import Coding
    from gpu_jobs.engine.pruning.layers import Layer
    from gpu_jobs.engine.shrinking import Subject

PAPER = "https://arxiv.org/abs/2305.14314"
RETRAINS = "adapters"


class Knobs(registry.Knobs):
    name: Literal["ptq_rtn"]
    format: Literal["int8", "int4", "nf4", "fp4", "ternary", "fp8_e4m3", "fp8_e5m2"] = Field(
        "int8", description="What a code says."
    )
    granularity: Literal["tensor", "channel", "group"] = Field(
        "channel", description="What shares a scale: the whole matrix, the inputs of an output, or a group of them."
    )
    group: int = Field(
        128, ge=8, le=4096, multiple_of=8, description="Inputs of a group.", json_schema_extra={"log": True}
    )
    symmetric: bool = Field(
        True, description="Steps on both sides of 0 alike; off (int8, int4): from least to largest."
    )
    targets: Targets = Field(
        "all", description="Which layers: attention, mlp, all, or names of modules (q_proj, v_proj)."
    )


def check(knobs: Knobs, anatomy: Anatomy) -> None:
    """Raises MethodError where no layer is meant."""
    layers_of(knobs.targets, anatomy)


def compress(knobs: Knobs, subject: Subject) -> Done:
    """Every layer for itself; no data is looked at."""
    from gpu_jobs.engine.compressed.coding import Coding
    from gpu_jobs.engine.pruning import layers

    found = layers.find(subject.bare, knobs.targets, subject.spec.seed)
    how = Coding(knobs.format, knobs.granularity, knobs.group, knobs.symmetric)
    done = {name: _round(subject, layer, how) for name, layer in found.items()}
    coded = sum(layer["bytes"] for layer in done.values())
    return Done(done, {"coded_bits_per_parameter": 8 * coded / sum(layer["values"] for layer in done.values())})


def _round(subject: Subject, layer: Layer, how: Coding) -> dict[str, Any]:
    from gpu_jobs.engine.compressed import replace
    from gpu_jobs.engine.compressed.coded import Coded

    weight, bias = layer.weight, getattr(layer.module, "bias", None)
    made = Coded.of(weight, how, bias, is_transposed=layer.is_transposed)
    replace(subject.bare, layer.name, made)
    error, whole = float((made.rows - weight).norm()), float(weight.norm())
    return {
        "format": how.format, "values": weight.numel(), "bytes": made.stored_bytes(),
        "bits_per_parameter": 8 * made.stored_bytes() / weight.numel(), "error": error,
        "relative_error": error / whole if whole else 0.0,
    }  # fmt: skip
