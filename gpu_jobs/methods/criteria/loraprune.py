"""LoRAPrune: heads and channels go while LoRA trains, by an importance that needs the gradients of LoRA alone.

    g = gB A + B gA - gB gA                  in the place of dL/dW, which is never computed
    I = |g * (W + s B A)|                    summed over a unit's rows and columns; s = alpha / rank
    score = 0.9 score + 0.1 sum_layers I / ||I||_2

(Zhang et al. 2023, "LoRAPrune: Structured Pruning Meets Low-Rank Parameter-Efficient Fine-Tuning".) g is how far B A
moves in a step of plain gradient descent. As in the authors' code: absolute values (`norm` square: (g (W + s B A))^2,
unchecked against the paper), gradients after clipping, a unit that went stays away, every `every` steps by the cubic
rule between `warmup` and `cooldown`, weakest units of each block first. Different from it: every block loses as many
units, since the config of a model holds one width for all (there the first tenth and the last block are spared), and
there is no dropout on LoRA. A unit that went is masked at its rows; at the end LoRA is merged and the units are taken
out. rank (in + out) numbers a layer are trained, on the layers of attention and feed-forward alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts
from gpu_jobs.prunable import Pattern, PruningKnobs, Unit

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.contracts import Step
    from gpu_jobs.engine.adapters.host import AdaptedLayer
    from gpu_jobs.engine.job import Job
    from gpu_jobs.engine.pruning.structured import Group, Units

PAPER = "https://arxiv.org/abs/2305.18403"
PATTERNS = ("structured",)
UNITS = ("ffn", "heads", "heads+ffn")
LR = 1e-4
MEMORY = 0.9


class Knobs(PruningKnobs):
    name: Literal["loraprune"]
    pattern: Pattern = Field("structured", description="Whole units go, so that the model really becomes smaller.")
    unit: Unit = Field("heads+ffn", description="Attention heads (llama), channels of feed-forward layers, or both.")
    rank: int = Field(8, ge=1, le=256, description="Rank of LoRA.")
    alpha: float = Field(16.0, gt=0, le=65536, description="LoRA's update is scaled by alpha / rank.")
    norm: Literal["abs", "square"] = Field(
        "abs", description="How the importance of weights is summed.", json_schema_extra={"advanced": True}
    )
    every: int = Field(10, ge=1, le=1_000_000, description="Steps between two prunings.")
    warmup: float = Field(0.1, ge=0, le=0.9, description="Share of the steps before the first unit goes.")
    cooldown: float = Field(0.1, ge=0, le=0.9, description="Share of the steps after the last has gone.")


def setup(knobs: Knobs, model: nn.Module, layers: Any) -> nn.Module:
    """LoRA on every layer; nothing else is trained. Raises MethodError where no unit would be left."""
    import sys

    from gpu_jobs.engine.adapters import host
    from gpu_jobs.engine.pruning.structured import groups, refuse_none

    seed = next(iter(layers.values())).seed
    host.attach(knobs, sys.modules[__name__], model, list(layers), seed)
    for group in groups(model, knobs.unit):
        refuse_none(knobs.sparsity, group.count, "heads" if group.kind == "heads" else "channels")
    return model


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """A as torch begins linear layers, B zero, and which outputs stay."""
    import torch

    bound = base.inputs**-0.5
    a = (torch.rand(knobs.rank, base.inputs, generator=generator) * 2 - 1) * bound
    return {
        "A": torch.nn.Parameter(a),
        "B": torch.nn.Parameter(torch.zeros(base.outputs, knobs.rank)),
        "kept": torch.ones(base.outputs, dtype=torch.bool),
    }


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + s B A x, of the outputs that stay"""
    y = base(x) + x @ values["A"].T @ values["B"].T * (knobs.alpha / knobs.rank)
    return y * values["kept"]  # type: ignore[no-any-return]


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """W + s B A and the bias, of the outputs that stay"""
    bias = None if base.bias is None else base.bias * values["kept"]
    return whole(knobs, base, values) * values["kept"][:, None], bias


def whole(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s B A, (out, in)"""
    return base.weight + values["B"] @ values["A"] * (knobs.alpha / knobs.rank)  # type: ignore[no-any-return]


def gradient(a: Tensor, b: Tensor, of_a: Tensor, of_b: Tensor) -> Tensor:
    """g, (out, in)"""
    return of_b @ a + b @ of_a - of_b @ of_a


def importance(knobs: Knobs, layer: AdaptedLayer) -> Tensor:
    """I, (out, in)"""
    values = layer.named_values
    a, b = values["A"], values["B"]
    assert a.grad is not None
    assert b.grad is not None
    found = gradient(a, b, a.grad, b.grad) * whole(knobs, layer.seen, values)
    return found.abs() if knobs.norm == "abs" else found.square()


class Hooks(contracts.Hooks):
    """Keeps the scores, and takes units away."""

    knobs: Knobs
    sparsity = 0.0
    changed = 0.0  # share of the units that went before this step

    def begin(self, job: Job) -> None:
        import torch

        from gpu_jobs.engine.adapters import host
        from gpu_jobs.engine.pruning.structured import groups

        super().begin(job)
        self.layers, self.groups = host.adapted(self.model), groups(self.model, self.knobs.unit)
        self.scores = {each.name: torch.zeros(each.count, device=job.device) for each in self.groups}
        self.kept = {name: torch.ones_like(score, dtype=torch.bool) for name, score in self.scores.items()}

    def before_step(self, step: Step) -> None:
        from gpu_jobs.engine.pruning.gradual import ramp

        knobs, self.changed = self.knobs, 0.0
        due = ramp(knobs.sparsity, step.number, self.spec.steps, knobs.warmup, knobs.cooldown)
        if due > self.sparsity and (step.number % knobs.every == 0 or due == knobs.sparsity):
            self.prune(due)

    def update(self, step: Step) -> Tensor | None:
        """The scores are those of the gradients that the step is made with."""
        import torch

        from gpu_jobs.engine.loop import clip

        norm = clip(self.job)
        with torch.no_grad():
            for group in self.groups:
                self.listen(group)
        self.job.optimizer.step()
        self.job.optimizer.zero_grad(set_to_none=True)
        return norm

    def listen(self, group: Group) -> None:
        """Adds what this step says of the units; nothing where that is no number."""
        import torch

        sums = [importance(self.knobs, self.layers[name]).sum(1) for name in group.rows]
        sums += [importance(self.knobs, self.layers[name]).sum(0) for name in group.columns]
        parts = [each.view(group.count, -1).sum(1) for each in sums]
        new = torch.stack([part / (part.norm() + 1e-8) for part in parts]).sum(0)
        score = self.scores[group.name]
        mean = MEMORY * score + (1 - MEMORY) * new
        self.scores[group.name] = torch.where(new.isfinite().all(), mean, score)

    def prune(self, sparsity: float) -> None:
        """Takes away as many units of every group."""
        from gpu_jobs.engine.pruning.masks import lowest
        from gpu_jobs.prunable import removed

        was = sum(int(kept.sum()) for kept in self.kept.values())
        for group in self.groups:
            scores = self.scores[group.name].masked_fill(~self.kept[group.name], -1.0)
            self.keep(group, ~lowest(scores[None], removed(sparsity, group.count))[0])
        self.sparsity = sparsity
        self.changed = (was - sum(int(kept.sum()) for kept in self.kept.values())) / sum(map(len, self.kept.values()))

    def keep(self, group: Group, kept: Tensor) -> None:
        """Masks the rows of the units that are not kept."""
        self.kept[group.name] = kept
        for name in group.rows:
            mask = self.layers[name].named_values["kept"]
            mask.copy_(kept.repeat_interleave(len(mask) // group.count))

    def finish(self) -> None:
        """All have gone that must; LoRA is merged."""
        from gpu_jobs.engine.adapters import host

        if self.sparsity < self.knobs.sparsity:
            self.prune(self.knobs.sparsity)
        host.unload(self.model, merge=True)

    def units(self) -> Units:
        """What stays."""
        from gpu_jobs.engine.pruning.structured import units_of

        return units_of(self.groups, self.kept)

    def readings(self) -> dict[str, float | Tensor]:
        return {"prune/sparsity": self.sparsity, "prune/mask_change": self.changed}

    def tensors(self) -> dict[str, Tensor]:
        import torch

        scores = {f"score|{name}": value for name, value in self.scores.items()}
        kept = {f"kept|{name}": value for name, value in self.kept.items()}
        return {**scores, **kept, "sparsity": torch.tensor(self.sparsity, dtype=torch.float64)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self.sparsity = float(tensors["sparsity"])
        for group in self.groups:
            self.scores[group.name] = tensors[f"score|{group.name}"]
            self.keep(group, tensors[f"kept|{group.name}"])
