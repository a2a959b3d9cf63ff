"""IncreLoRA: low-rank updates whose ranks grow during training where they matter.

    Delta = B diag(E) A alpha / (rank + 1e-5);   E begins at 0, A and B as N(0, 0.02)
    score = ema(I) ema(|I - ema(I)|),  I = sum |Delta * dL/dDelta| / sqrt(in out),  both of memory 0.85

(Zhang et al. 2023). After `warmup` steps, every `interval` steps, the `top` layers of the highest score gain `grow`
ranks each, until `target_rank` times the number of layers is reached in all. With `reserve` (advance learning) the
ranks that come next are trained before they count, with E frozen at 1e-5; those left over are silent once the target is
reached, and removed at the end. A and B are kept near orthonormal rows and columns, ||A A^T - 1|| + ||B^T B - 1|| a
piece, averaged. As in the authors' code, except that the last growth stops exactly at the target (theirs can step over
it and then never ends), and that the score of a batch in several parts is the mean of the parts'. The factor 1 / rank
changes at each growth, and the function with it. Delta is multiplied out in every step. New tensors join the optimizer
with its own rules. FSDP can't grow: use ddp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.spec import Training

PAPER = "https://arxiv.org/abs/2308.12043"
LR = 1e-3
GROWS = True
REBUILT = ("score",)
FEW = 64  # layers up to which each one's rank is told
MEMORY = 0.85
WAITING = 1e-5  # E of ranks that are trained before they count


class Knobs(AdapterKnobs):
    name: Literal["increlora"]
    start_rank: int = Field(1, ge=1, le=64, description="Rank of every layer at first.")
    target_rank: int = Field(2, ge=1, le=256, description="Mean rank of all layers at the end.")
    grow: int | None = Field(None, ge=1, le=64, description="Ranks a layer gains at a time. Empty: target_rank / 2.")
    top: int = Field(2, ge=1, le=1024, description="Layers that grow at a time.")
    warmup: int = Field(1000, ge=0, le=10_000_000, description="Steps before the first growth.")
    interval: int = Field(
        1000, ge=1, le=10_000_000, description="Steps between growths.", json_schema_extra={"log": True}
    )
    reserve: bool = Field(True, description="Train ranks before they count (advance learning).")
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    orthogonal: float = Field(
        0.1, ge=0, le=10, description="Weight of the orthogonality of A and B.", json_schema_extra={"advanced": True}
    )


def step_of(knobs: Knobs) -> int:
    """Ranks that a layer gains at a time: 1, 2, 3, 4 for a target of 2, 4, 6, 8."""
    return knobs.grow or max(1, knobs.target_rank // 2)


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """What is trained at first: A and B of the start rank and of those in reserve, E of the start rank."""
    waiting = step_of(knobs) if knobs.reserve and knobs.target_rank > knobs.start_rank else 0
    found: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        rank = knobs.start_rank + waiting
        found |= {f"{layer.name}.A": (rank, layer.inputs), f"{layer.name}.B": (layer.outputs, rank)}
        found[f"{layer.name}.E"] = (knobs.start_rank,)
    return found


def frozen(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """E of the ranks in reserve."""
    if not knobs.reserve or knobs.target_rank <= knobs.start_rank:
        return {}
    return {f"{layer.name}.E_reserve": (step_of(knobs),) for layer in anatomy.layers(knobs.targets)}


def piece(number: int, rank: int, base: Any, generator: Any, *, is_waiting: bool = False) -> dict[str, Tensor]:
    """A (rank, in), E (rank,) and B (out, rank) of one growth."""
    import torch

    from gpu_jobs.engine.adapters.lowrank import normal

    e = torch.full((rank,), WAITING if is_waiting else 0.0)
    return {
        f"A{number}": normal(rank, base.inputs, std=0.02, generator=generator),
        f"E{number}": torch.nn.Parameter(e, requires_grad=not is_waiting),
        f"B{number}": normal(base.outputs, rank, std=0.02, generator=generator),
    }


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """The first piece and the one in reserve, the rank that counts, and the score of the step."""
    import torch

    values = piece(0, knobs.start_rank, base, generator)
    if knobs.reserve and knobs.target_rank > knobs.start_rank:
        values |= piece(1, step_of(knobs), base, generator, is_waiting=True)
    return {**values, "rank": torch.tensor(float(knobs.start_rank)), "score": torch.zeros(())}


def joined(values: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """A (ranks, in), E (ranks,), B (out, ranks) of all pieces."""
    import torch

    pieces = sorted(int(name[1:]) for name in values if name[0] == "A")
    a, e = (torch.cat([values[f"{letter}{number}"] for number in pieces]) for letter in "AE")
    return a, e, torch.cat([values[f"B{number}"] for number in pieces], dim=1)


def lora(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(A, B diag(E) alpha / rank)"""
    a, e, b = joined(values)
    return a, b * e * (knobs.alpha / (values["rank"] + 1e-5))


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + Delta"""
    a, b = lora(knobs, base, values)
    return base.weight + b @ a  # type: ignore[no-any-return]


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + Delta x; the backward adds to the layer's score."""
    a, b = lora(knobs, base, values)
    delta = b @ a

    def listen(gradient: Tensor) -> None:
        values["score"] += (delta.detach() * gradient).abs().sum() / delta.numel() ** 0.5

    if delta.requires_grad:
        delta.register_hook(listen)  # type: ignore[no-untyped-call]
    return base(x) + x @ delta.T  # type: ignore[no-any-return]


class Hooks(contracts.Hooks):
    """Scores the layers, and grows them. `history` tells every growth: (layer, ranks), and (-1, 0) at the end."""

    def __init__(self, knobs: Knobs, model: nn.Module, spec: Training) -> None:
        from gpu_jobs.engine.adapters import host

        super().__init__(knobs, model, spec)
        self.layers = host.adapted(model)
        self.target = knobs.target_rank * len(self.layers)
        self.history: list[tuple[int, int]] = []
        self.added: list[nn.Parameter] = []

    def begin(self, job: Job) -> None:
        import torch

        super().begin(job)
        if job.ranks.is_sharded(job.model):
            raise MethodError("method 'increlora' adds tensors while it trains, which fsdp can't share: use ddp.")
        self.mean = torch.zeros(len(self.layers), device=job.device)
        self.spread = torch.zeros(len(self.layers), device=job.device)

    @property
    def ranks(self) -> list[int]:
        """The ranks that count, layer by layer."""
        ranks = [self.knobs.start_rank] * len(self.layers)
        for layer, more in self.history:
            if layer >= 0:
                ranks[layer] += more
        return ranks

    def gradients(self, step: contracts.Step) -> Tensor:
        import torch

        for layer in self.layers.values():
            layer.named_values["score"].zero_()
        loss = step.backward()
        self._average()
        scores = torch.stack([layer.named_values["score"] for layer in self.layers.values()])
        scores = self.job.ranks.sum(scores) / (self.job.ranks.world * self.spec.accumulation)
        self.mean.mul_(MEMORY).add_(scores, alpha=1 - MEMORY)
        self.spread.mul_(MEMORY).add_((scores - self.mean).abs(), alpha=1 - MEMORY)
        self._straighten()
        return loss

    def _average(self) -> None:
        """The ranks' gradients of tensors that came after the model was shared out, which DDP doesn't know."""
        if self.job.ranks.world == 1:
            return
        for value in self.added:
            if value.grad is not None:
                value.grad = self.job.ranks.sum(value.grad) / self.job.ranks.world

    def _straighten(self) -> None:
        """Adds the gradient of the orthogonality."""
        import torch

        if not self.knobs.orthogonal:
            return
        with torch.enable_grad():
            named = [(name, value) for layer in self.layers.values() for name, value in layer.values.named_parameters()]
            factors = [(name, value) for name, value in named if name[0] in "AB" and value.requires_grad]
            lengths = torch.stack([away(value if name[0] == "A" else value.T) for name, value in factors])
            values = [value for _, value in factors]
            found = torch.autograd.grad(self.knobs.orthogonal * lengths.mean(), values)
        for value, gradient in zip(values, found, strict=True):
            if value.grad is None:
                value.grad = gradient
            else:
                value.grad.add_(gradient)

    def after_step(self, step: contracts.Step) -> None:
        done, left = step.number + 1, self.target - sum(self.ranks)
        if left <= 0 or done <= self.knobs.warmup or done % self.knobs.interval:
            return
        order = (self.mean * self.spread).argsort(descending=True, stable=True).tolist()
        for layer in order[: self.knobs.top]:
            more = min(step_of(self.knobs), self.target - sum(self.ranks))
            if more > 0:
                self.apply(layer, more)
        if sum(self.ranks) == self.target:
            self.apply(-1, 0)

    def apply(self, layer: int, more: int) -> None:
        """One growth, in this run or in one that is resumed; (-1, 0) silences what is left in reserve."""
        import torch

        layers = list(self.layers.values())
        with torch.no_grad():
            if layer < 0:
                for each in layers:
                    for name in waiting(each):
                        getattr(each.values, name).zero_()
            else:
                self._grow(layers[layer], layer, more)
        self.history.append((layer, more))

    def _grow(self, layer: Any, number: int, more: int) -> None:
        """The reserve counts from now on, and there is a new one; without reserve a new piece comes."""
        import torch

        seed = (self.spec.seed * 1_000_003 + len(self.history)) * 4099 + number
        generator = torch.Generator().manual_seed(seed)
        pieces = sum(name.startswith("A") for name, _ in layer.values.named_parameters())
        joining: dict[str, nn.Parameter] = {}
        if self.knobs.reserve and more == step_of(self.knobs):
            e = getattr(layer.values, f"E{pieces - 1}").requires_grad_(True)
            joining[f"{number}.E{pieces - 1}"] = e
            layer.grow(piece(pieces, more, layer.seen, generator, is_waiting=True))
        else:
            layer.grow(piece(pieces, more, layer.seen, generator))
        layer.values.to(self.job.device)
        layer.values.rank += more
        fresh = {f"{letter}{pieces}": getattr(layer.values, f"{letter}{pieces}") for letter in "AEB"}
        joining |= {f"{number}.{name}": value for name, value in fresh.items() if value.requires_grad}
        self._join(joining)
        if self.knobs.reserve and more < step_of(self.knobs):
            self._take_over(layer, pieces - 1, pieces, more)

    def _take_over(self, layer: Any, old: int, new: int, more: int) -> None:
        """The last growth can be smaller than the reserve: its first ranks, and their optimizer state, go on alone."""
        state = self.job.optimizer.state
        for letter in "AEB":
            before, now = (getattr(layer.values, f"{letter}{number}") for number in (old, new))
            now.copy_(before[:, :more] if letter == "B" else before[:more])
            for key, value in state.get(before, {}).items():
                is_alike = getattr(value, "shape", None) == before.shape
                part = value[:, :more] if letter == "B" else value[:more]
                state[now][key] = part.clone() if is_alike else value.clone()
        getattr(layer.values, f"E{old}").zero_()

    def _join(self, named: dict[str, nn.Parameter]) -> None:
        """Into the optimizer, in groups with the options that it gives such tensors."""
        from gpu_jobs.engine.optim import build_optimizer

        self.added += named.values()
        for group in build_optimizer(self.spec, named).param_groups:
            self.job.optimizer.add_param_group(group)

    def finish(self) -> None:
        """Takes away what is left in reserve."""
        for layer in self.layers.values():
            for name in waiting(layer):
                for letter in "AEB":
                    delattr(layer.values, letter + name[1:])

    def readings(self) -> dict[str, float | Tensor]:
        ranks = self.ranks
        each = dict(zip(self.layers, map(float, ranks), strict=True)) if len(ranks) <= FEW else {}
        total: dict[str, float | Tensor] = {"rank/total": float(sum(ranks)), "rank/max": float(max(ranks))}
        return total | {f"rank/{name}": rank for name, rank in each.items()}

    def tensors(self) -> dict[str, Tensor]:
        import torch

        found = {"mean": self.mean, "spread": self.spread}
        return found | ({"history": torch.tensor(self.history)} if self.history else {})

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self.mean, self.spread = tensors["mean"], tensors["spread"]
        for layer, more in tensors["history"].tolist() if "history" in tensors else ():
            self.apply(layer, more)


def waiting(layer: Any) -> list[str]:
    """The names of E of the pieces in reserve."""
    return [name for name, value in layer.values.named_parameters() if name[0] == "E" and not value.requires_grad]


def away(rows: Tensor) -> Tensor:
    """||P P^T - 1||"""
    import torch

    length: Tensor = torch.linalg.norm(rows @ rows.T - torch.eye(len(rows), device=rows.device))
    return length
