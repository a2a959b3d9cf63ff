"""SaRA: trains the smallest weights, which do least, and keeps what they learn of low rank.

    mask      the entries with |w| < theta, theta of each weight such that they are `share` of it
    step K    those that have grown to |w| >= theta are done: they stay, and the others begin anew, moments at zero
    each step penalty x (the sum of the singular values of w * mask) of one weight, drawn by chance, joins the loss

(Hu et al. 2024, "SaRA: High-Efficient Diffusion Model Fine-tuning with Progressive Sparse Low-Rank Adaptation"; as in
the authors' released code, but that one theta, 2e-3, holds for all weights there, and the count of what is trained is
known only when the weights are; here it is planned.) The optimizer keeps state of masked entries only, none of which
decays. The whole gradient of the targeted weights is made. A classifier's new head is trained whole. The result is
saved as a plain model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, entries, registry
from gpu_jobs.adaptable import choose_layers
from gpu_jobs.anatomy import HEADS, Anatomy, Targets
from gpu_jobs.shapes import Shapes, count, size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job

PAPER = "https://arxiv.org/abs/2409.06633"
IS_PARTIAL = True  # after step K a weight may have nothing left to train
PARALLEL = ("ddp",)  # entries of a weight are compared, which no rank has whole under fsdp
LR = 5e-4


class Knobs(registry.Knobs):
    name: Literal["sara"]
    share: float = Field(0.1, gt=0, le=1, description="Share of each weight that is trained: its smallest entries.")
    renew: int = Field(
        2500, ge=1, le=10**8, description="Step K that looks which are still small.", json_schema_extra={"log": True}
    )
    penalty: float = Field(5e-4, ge=0, le=1, description="Weight of the singular values' sum; 0: none.")
    targets: Targets = Field("all", description="Which layers are trained: a group, or the names of modules.")


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """The weights of the targeted layers take part. Raises MethodError when there are none."""
    return choose_layers(knobs, model)


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The weights whose entries are trained, and a classifier's new head."""
    names = [f"{layer.name}.weight" for layer in anatomy.layers(knobs.targets)]
    return {name: anatomy.shapes[name] for name in names} | anatomy.head()


def quota(knobs: Knobs, values: int) -> int:
    """Entries of a weight of so many values."""
    return max(1, int(knobs.share * values))


def head(trained: Any) -> Any:
    """What is trained whole."""
    return {name: value for name, value in trained.items() if name.split(".")[0] in HEADS}


def slots(knobs: Knobs, trained: Shapes) -> int:
    """The entries of all weights."""
    return sum(quota(knobs, size(shape)) for name, shape in trained.items() if name not in head(trained))


def values(knobs: Knobs, trained: Shapes) -> int:
    """The entries of all weights, and all of a head."""
    return slots(knobs, trained) + count(head(trained))


def optimized(knobs: Knobs, anatomy: Anatomy, trained: Shapes) -> Shapes:
    """A slot for each entry, and the head."""
    own: Shapes = {entries.SLOTS: (slots(knobs, trained),)}
    return own | dict(head(trained))


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """Beside the optimizer's state the slots, and theta of each weight."""
    weights = len(trained) - len(head(trained))
    return {"optimizer": parts["optimizer"] + entries.SLOT_BYTES * slots(knobs, trained) + 4 * weights}


class Hooks(entries.EntryHooks):
    """Chooses at the beginning and at step K."""

    def count(self) -> int:
        return sum(quota(self.knobs, v.numel()) for n, v in self.trained().items() if n not in self.whole())

    def whole(self) -> dict[str, nn.Parameter]:
        return dict(head(self.trained()))

    def begin(self, job: Job) -> None:
        import torch

        super().begin(job)
        places, limits = [], []
        for name, weight in self.slots.weights.items():
            smallest = weight.data.abs().flatten().topk(quota(self.knobs, weight.numel()), largest=False)
            places.append(smallest.indices + self.slots.offsets[name])
            limits.append(smallest.values.max())
        self.limits = torch.stack(limits)  # theta of each weight
        found = torch.cat(places)
        self.slots.fill(torch.arange(len(found), device=found.device), found)

    def select(self, step: contracts.Step) -> None:
        if step.number == self.knobs.renew:
            self.renew()
        if self.knobs.penalty:
            self.flatten(step.number)

    def renew(self) -> None:
        """What has grown beyond theta is done; the optimizer forgets all."""
        import torch

        grown = [
            part.slots[self.slots.values.data[part.slots].abs() > limit]
            for part, limit in zip(self.slots.parts, self.limits, strict=True)
        ]
        self.slots.release(torch.cat(grown))
        self.forget(torch.arange(len(self.slots.place), device=self.slots.place.device))

    def flatten(self, number: int) -> None:
        """Adds the penalty's gradient, U V^T at the masked entries, to that of one weight."""
        import torch

        generator = torch.Generator().manual_seed(self.spec.seed * 1_000_003 + number)
        part = self.slots.parts[int(torch.randint(len(self.slots.parts), (), generator=generator))]
        if part.weight.grad is None:
            return
        masked = torch.zeros_like(part.weight).flatten()
        masked[part.positions] = part.weight.data.flatten()[part.positions]
        u, _, v = torch.linalg.svd(masked.view_as(part.weight), full_matrices=False)
        part.weight.grad.add_(u @ v, alpha=self.knobs.penalty)

    def readings(self) -> dict[str, Any]:
        active = int((self.slots.place >= 0).sum())
        return {"active/entries": float(active), "active/share": active / self.count()}

    def tensors(self) -> dict[str, Tensor]:
        return super().tensors() | {"limits": self.limits}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        super().restore(tensors)
        self.limits = tensors["limits"]
