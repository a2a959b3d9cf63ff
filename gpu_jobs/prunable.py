"""What can be pruned and how much of it: patterns, shares per layer, and what is refused. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Self, TypeAlias

from pydantic import Field, model_validator

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy, Targets
from gpu_jobs.errors import MethodError

Pattern: TypeAlias = Literal["unstructured", "2:4", "4:8", "1:4", "structured"]
Allocation: TypeAlias = Literal["uniform", "erk", "global", "owl"]
Unit: TypeAlias = Literal["ffn", "heads", "heads+ffn", "blocks"]


class NM(NamedTuple):
    """Of every `m` neighbouring inputs of an output, `n` are kept."""

    n: int
    m: int


class PruningKnobs(registry.Knobs):
    """What every criterion can be asked."""

    sparsity: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Share that is removed: of the weights of the layers meant, or of their units where structured.",
    )
    pattern: Pattern = Field(
        "unstructured",
        description="unstructured: any weight. n:m: n of every m neighbouring inputs are kept. structured: whole "
        "units, so that the model really becomes smaller.",
    )
    unit: Unit = Field(
        "ffn",
        description="What structured pruning removes: channels of the feed-forward layers, attention heads (llama), "
        "both, or whole blocks.",
        json_schema_extra={"advanced": True},
    )
    targets: Targets = Field(
        "all", description="Which layers are pruned: attention, mlp, all, or names of modules (q_proj, v_proj)."
    )

    @model_validator(mode="after")
    def _pattern_says_how_much(self) -> Self:
        kept = nm(self.pattern)
        if kept and self.sparsity not in (0, 1 - kept.n / kept.m):
            fits = f"{1 - kept.n / kept.m:g}"
            raise ValueError(f"sparsity must be {fits} with pattern {self.pattern}, or 0: {self.sparsity:g} is neither")
        return self

    @model_validator(mode="after")
    def _pattern_is_offered(self) -> Self:
        offered = getattr(registry.method_of(self).module, "PATTERNS", ALL_PATTERNS)
        if self.pattern not in offered:
            raise ValueError(f"pattern {self.pattern!r} is not for {self.name!r}: choose {' or '.join(offered)}")
        if self.unit not in (units := getattr(registry.method_of(self).module, "UNITS", (self.unit,))):
            raise ValueError(f"unit {self.unit!r} is not for {self.name!r}: choose {' or '.join(units)}")
        if self.pattern == "structured" and self.targets != "all":
            raise ValueError("targets must be all with pattern 'structured': unit says what is removed")
        return self


ALL_PATTERNS: tuple[str, ...] = ("unstructured", "2:4", "4:8", "1:4", "structured")


def nm(pattern: str) -> NM | None:
    """(2, 4) of "2:4", None for the other patterns."""
    n, colon, m = pattern.partition(":")
    return NM(int(n), int(m)) if colon else None


def matrices(knobs: PruningKnobs, anatomy: Anatomy) -> dict[str, tuple[int, int]]:
    """The pruned matrices by their layer's name, each (out, in). Raises MethodError where there are none."""
    found = {layer.name: (layer.outputs, layer.inputs) for layer in anatomy.layers(knobs.targets)}
    if not found:
        raise MethodError(f"method.targets {knobs.targets!r} is in no layer of this model.", "method.targets")
    return found


def check(knobs: PruningKnobs, allocation: Allocation, anatomy: Anatomy) -> None:
    """Raises MethodError for a width that m doesn't divide, and for a sparsity that empties a layer."""
    found, kept = matrices(knobs, anatomy), nm(knobs.pattern)
    for name, (_, inputs) in found.items():
        if kept and inputs % kept.m:
            raise MethodError(
                f"pattern {knobs.pattern} needs widths divisible by {kept.m}: {name} has {inputs} inputs; choose "
                "unstructured, or other targets.",
                "method.pattern",
            )
    if knobs.pattern == "unstructured" and allocation in ("uniform", "erk"):
        for name, share in shares(allocation, knobs.sparsity, found).items():
            refuse_empty(name, found[name], share)


def refuse_empty(name: str, shape: tuple[int, int], share: float) -> None:
    """Raises MethodError where no input of an output would be left."""
    if removed(share, shape[1]) >= shape[1]:
        raise MethodError(
            f"method.sparsity is too high: {share:.3g} of {name} leaves none of its {shape[1]} inputs; lower it, or "
            "choose another allocation.",
            "method.sparsity",
        )


def removed(share: float, count: int) -> int:
    """How many of `count` are removed: the share, to the nearest."""
    return int(share * count + 0.5)


def shares(allocation: str, sparsity: float, shapes: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """The share removed of each matrix, where that needs the shapes alone."""
    return erk(sparsity, shapes) if allocation == "erk" else dict.fromkeys(shapes, sparsity)


def erk(sparsity: float, shapes: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Erdos-Renyi densities: each in proportion to (in + out) / (in out), 1 at most, the whole as dense as asked.

    (Mocanu et al. 2018; Evci et al. 2020, with a kernel of size 1.) Those that would pass 1 stay dense and the factor
    is found again for the rest.
    """
    dense: set[str] = set()
    while True:
        rest = {name: shape for name, shape in shapes.items() if name not in dense}
        total = sum(out * inputs for out, inputs in shapes.values())
        budget = (1 - sparsity) * total - sum(shapes[name][0] * shapes[name][1] for name in dense)
        factor = budget / sum(out + inputs for out, inputs in rest.values()) if rest else 0.0
        densities = {name: factor * (out + inputs) / (out * inputs) for name, (out, inputs) in rest.items()}
        full = {name for name, density in densities.items() if density > 1}
        if not full:
            return {name: 1 - densities.get(name, 1.0) for name in shapes}
        dense |= full
