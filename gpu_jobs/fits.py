"""Whether a method's knobs fit a model's layers, told before anything is built. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from gpu_jobs.anatomy import Anatomy, Layer
from gpu_jobs.errors import MethodError


def linear(name: str, anatomy: Anatomy, targets: Any) -> list[Layer]:
    """The meant layers. Raises MethodError for a GPT-2, whose layers (Conv1D) not every method of PEFT can adapt."""
    if anatomy.config["model_type"] == "gpt2":
        raise MethodError(f"method {name!r} adapts linear layers, and those of a gpt2 are Conv1D: choose lora or dora.")
    return anatomy.layers(targets)


def rank(value: int, layers: list[Layer], knob: str = "rank") -> int:
    """The rank. Raises MethodError where it exceeds a side of a layer."""
    for layer in layers:
        if value > min(layer.inputs, layer.outputs):
            side = min(layer.inputs, layer.outputs)
            raise MethodError(
                f"method.{knob} must not exceed the smaller side of a layer: {value} > {side} of {layer.name}."
            )
    return value


def even(value: int, knob: str = "rank") -> int:
    """The value. Raises MethodError where it is odd."""
    if value % 2:
        raise MethodError(f"method.{knob} must be even: {value}.")
    return value


def inputs(layers: list[Layer]) -> list[tuple[Layer, int]]:
    """Each layer with its number of inputs."""
    return [(layer, layer.inputs) for layer in layers]


def outputs(layers: list[Layer]) -> list[tuple[Layer, int]]:
    """Each layer with its number of outputs."""
    return [(layer, layer.outputs) for layer in layers]


def block(limit: int, widths: Iterable[tuple[Layer, int]], knob: str, *, least: int = 1, step: int = 1) -> int:
    """The largest multiple of `step` up to `limit` that divides all widths.

    Raises MethodError, naming the layer that leaves none of at least `least`.
    """
    common, found = 0, limit - limit % step
    for layer, width in widths:
        common = math.gcd(common, width)
        found = max((size for size in range(step, limit + 1, step) if common % size == 0), default=0)
        if found < least:
            raise MethodError(
                f"method.{knob} finds no size from {least} to {limit} that divides the widths of all adapted layers: "
                f"{layer.name} has {width}."
            )
    return found
