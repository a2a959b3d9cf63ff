"""Light-PEFT: learns early which heads, channels and updates do little, and trains on without them.

    first      loss + lambda sum |m|      m, from 1, multiplies each attention head and feed-forward channel
    then       of each block the heads and channels with the smallest |m| go, of the updates those modules with the
               smallest mean of |s B A x| / |W x|, and of the others' ranks those with the smallest sum over steps of
               |mean(A_i * dA_i)| + |mean(B_i * dB_i)|, of row i of A and column i of B
    after      what is left of the LoRA is trained on the smaller base

(Gu et al. 2024, "Light-PEFT: Lightening Parameter-Efficient Fine-Tuning via Early Pruning", and the authors' released
code; how A and B are put together and that ranks are compared within a module is unchecked against both.) What goes is
held at zero by masks until the run ends; then the LoRA is merged and heads and channels are cut out, so that the result
is a plain model which is really smaller. Training therefore gets no faster and takes no less memory when they go. As
many go of each block, since a config has one width for all; heads of a llama only, by groups that share keys and
values. The masks that are learned act in training alone: what is evaluated before the cut is the whole model.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from gpu_jobs import contracts, registry
from gpu_jobs.adaptable import AdapterChoice
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.engine.pruning.structured import Units

PAPER = "https://arxiv.org/abs/2406.03792"
LR = 3e-4
PARALLEL = ()  # what goes is chosen by what one process has seen
IS_PARTIAL = True
IS_PRUNING = True
ENDS_PLAIN = True
CUTTABLE = ("llama", "gpt2", "bert", "vit")
FFN, HEADS = "ffn_mask", "head_mask"  # the parameters' names


class Knobs(registry.Knobs):
    name: Literal["light_peft"]
    adapter: AdapterChoice = Field(
        {"name": "lora", "targets": "all"}, validate_default=True, description="The update that is trained: a lora."
    )
    heads: float = Field(1 / 3, ge=0, le=0.9, description="Share of the attention heads that goes, of a llama.")
    ffn: float = Field(1 / 3, ge=0, le=0.9, description="Share of the feed-forward channels that goes.")
    modules: float = Field(0.5, ge=0, le=0.9, description="Share of the layers that lose their update.")
    ranks: float = Field(0.5, ge=0, le=0.9, description="Share of the ranks that the other updates lose.")
    l1: float = Field(1e-4, ge=0, le=1, description="Weight of the masks' length in the loss.")
    estimate: float = Field(0.1, gt=0, le=1, description="Share of the steps after which it prunes.")

    @field_validator("adapter")
    @classmethod
    def _has_ranks(cls, adapter: registry.Knobs) -> registry.Knobs:
        if adapter.name != "lora":
            raise ValueError(f"adapter must be lora, whose ranks can go: {adapter.name!r} is another")
        return adapter


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """Puts masks beside each block's layers. Raises MethodError for an architecture that can't be cut."""
    import torch

    config = model.config.to_dict()
    for name, size in _masks(config).items():
        for _, block in _blocks(model):
            block.register_parameter(name, torch.nn.Parameter(torch.ones(size, device=model.device)))
    return model  # type: ignore[no-any-return]


def beside(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The masks of all blocks."""
    return {
        f"{number}.{name}": (size,) for number in range(anatomy.blocks) for name, size in _masks(anatomy.config).items()
    }


def _masks(config: Any) -> dict[str, int]:
    """A block's masks by name. Raises MethodError for an architecture that can't be cut."""
    kind = config["model_type"]
    if kind not in CUTTABLE:
        raise MethodError(f"method 'light_peft' is for {', '.join(CUTTABLE)}, and this is a {kind}.")
    width = config.get("hidden_size") or config["n_embd"]
    found = {FFN: int(config.get("intermediate_size") or config.get("n_inner") or 4 * width)}
    return found | ({HEADS: int(config["num_key_value_heads"])} if kind == "llama" else {})


def _blocks(model: Any) -> list[tuple[str, Any]]:
    from gpu_jobs.engine.pruning import walk

    found = walk.stack(model.get_base_model())
    if found is None:
        raise MethodError("method 'light_peft' needs one stack of blocks.")
    return [(f"{found[0]}.{number}", block) for number, block in enumerate(found[1])]


class Hooks(contracts.Hooks):
    """Watches, prunes once, and cuts at the end."""

    def __init__(self, knobs: Any, model: Any, spec: Any) -> None:
        import torch

        from gpu_jobs.engine.adapters import rewritten

        super().__init__(knobs, model, spec)
        self.is_pruned = False
        self.blocks = [block for _, block in _blocks(model)]
        self.updates: dict[str, Any] = rewritten.lora_layers(model)
        ranks = [layer.r["default"] for layer in self.updates.values()]
        self.live = torch.ones(len(ranks), max(ranks), dtype=torch.bool)  # (modules, ranks)
        self.moments = torch.zeros(len(ranks), max(ranks))  # summed importance of ranks
        self.ratios = torch.zeros(len(ranks))  # summed importance of modules
        self.handles = [handle for block in self.blocks for handle in self._masked(block)]
        self.handles += [
            handle for number, layer in enumerate(self.updates.values()) for handle in self._watched(number, layer)
        ]

    def begin(self, job: Job) -> None:
        super().begin(job)
        self.live, self.moments, self.ratios = (
            value.to(job.device) for value in (self.live, self.moments, self.ratios)
        )

    def _masked(self, block: Any) -> list[Any]:
        """Lets the masks act on what goes into a block's last feed-forward layer and into its output projection."""
        from gpu_jobs.engine.pruning import structured

        kind = str(self.model.config.model_type)  # type: ignore[union-attr]
        places = {FFN: structured.FFN[kind].columns[0]}
        places |= {HEADS: structured.HEADS[kind].columns[0]} if hasattr(block, HEADS) else {}
        return [
            block.get_submodule(place).register_forward_pre_hook(partial(self._multiply, getattr(block, name)))
            for name, place in places.items()
        ]

    def _multiply(self, mask: Tensor, layer: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        if not self.is_pruned and not layer.training:
            return None
        x = inputs[0]
        grouped = x.view(*x.shape[:-1], len(mask), -1) * mask[:, None].to(x.dtype)
        return grouped.view(x.shape), *inputs[1:]

    def _watched(self, number: int, layer: Any) -> list[Any]:
        """Notes how long a layer's update is beside its own output."""
        length: list[Tensor] = []

        def own(_: Any, __: Any, out: Tensor) -> None:
            if layer.training and not self.is_pruned:
                length[:] = [out.detach().norm()]

        def update(_: Any, __: Any, out: Tensor) -> None:
            if layer.training and not self.is_pruned:
                self.ratios[number] += layer.scaling["default"] * out.detach().norm() / length[0]

        return [layer.base_layer.register_forward_hook(own), layer.lora_B["default"].register_forward_hook(update)]

    def factors(self) -> list[tuple[Any, Any]]:
        """A (r, in) and B (out, r) of each update."""
        from gpu_jobs.engine.adapters import rewritten

        return [rewritten.factors(layer) for layer in self.updates.values()]

    def masks(self) -> dict[str, list[Any]]:
        """The masks of all blocks by kind."""
        return {name: [getattr(b, name) for b in self.blocks] for name in (FFN, HEADS) if hasattr(self.blocks[0], name)}

    def before_step(self, step: contracts.Step) -> None:
        if not self.is_pruned and step.number == max(1, round(self.knobs.estimate * self.spec.steps)):
            self.prune()

    def gradients(self, step: contracts.Step) -> Tensor:
        """Adds the gradient of the masks' length, and notes what each rank's is."""
        loss = step.backward()
        if not self.is_pruned:
            for mask in (mask for masks in self.masks().values() for mask in masks):
                mask.grad.add_(mask.detach().sign(), alpha=self.knobs.l1)
            for number, (a, b) in enumerate(self.factors()):
                found = (a.detach() * a.grad).mean(1).abs() + (b.detach() * b.grad).mean(0).abs()
                self.moments[number, : len(found)] += found
        return loss

    def prune(self) -> None:
        """Masks become 0 or 1 and are trained no more; what the LoRA loses is zero from now on."""
        import torch

        from gpu_jobs.engine.pruning import masks as selection
        from gpu_jobs.prunable import removed

        with torch.no_grad():
            for name, units in self.chosen().items():
                for number, mask in enumerate(self.masks()[name]):
                    mask.zero_()
                    mask[units[number]] = 1
            gone = selection.lowest(self.ratios[None], removed(self.knobs.modules, len(self.ratios)))[0]
            for number, (a, _) in enumerate(self.factors()):
                count = min(removed(self.knobs.ranks, len(a)), len(a) - 1)
                lowest = selection.lowest(self.moments[number : number + 1, : len(a)], count)[0]
                self.live[number] = False
                self.live[number, : len(a)] = ~lowest & ~gone[number]
        self.settle()
        self.keep(forget=True)

    def chosen(self) -> dict[str, dict[int, Tensor]]:
        """Of each kind of mask the units of each block that stay."""
        from gpu_jobs.engine.pruning import structured

        shares = {FFN: self.knobs.ffn, HEADS: self.knobs.heads}
        return {
            name: {number: structured.kept(mask.detach().abs(), shares[name], name) for number, mask in enumerate(each)}
            for name, each in self.masks().items()
        }

    def settle(self) -> None:
        """From here on masks are fixed."""
        self.is_pruned = True
        for masks in self.masks().values():
            for mask in masks:
                mask.requires_grad_(False)
                mask.grad = None

    def keep(self, *, forget: bool) -> None:
        """Zeroes the ranks that went, and with `forget` their state in the optimizer."""
        for live, (a, b) in zip(self.live, self.factors(), strict=True):
            rows = live[: len(a)]
            for value, mask in ((a, rows[:, None]), (b, rows[None])):
                value.data.mul_(mask)
                for state in self.job.optimizer.state.get(value, {}).values() if forget else ():
                    if getattr(state, "shape", None) == value.shape:
                        state.mul_(mask)

    def after_step(self, step: contracts.Step) -> None:
        if self.is_pruned:
            self.keep(forget=False)

    def values(self) -> int:
        """How many numbers of the LoRA are left."""
        pairs = zip(self.live.sum(1).tolist(), self.factors(), strict=True)
        return sum(int(count) * (a.shape[1] + len(b)) for count, (a, b) in pairs)

    def readings(self) -> dict[str, float | Tensor]:
        return {"active/values": float(self.values())}

    def tensors(self) -> dict[str, Tensor]:
        import torch

        told = torch.tensor([self.is_pruned])
        return {"pruned": told, "live": self.live, "moments": self.moments, "ratios": self.ratios}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self.live, self.moments, self.ratios = (tensors[name] for name in ("live", "moments", "ratios"))
        if bool(tensors["pruned"]):
            self.settle()

    def finish(self) -> None:
        """Merges the LoRA and cuts the base: the job's model is then a plain one."""
        from gpu_jobs.engine import adapters
        from gpu_jobs.engine.optim import own_parameters
        from gpu_jobs.engine.pruning import structured

        if not self.is_pruned:
            self.prune()
        trained, units = self.values(), self.units()
        for handle in self.handles:
            handle.remove()
        for name, masks in self.masks().items():
            for block, _ in zip(self.blocks, masks, strict=True):
                delattr(block, name)
        model = adapters.merge(self.model).cpu()
        structured.narrow(model, units)
        self.job.bare = self.job.model = model.to(self.job.device)
        total = sum(value.numel() for value in own_parameters(model).values())
        self.job.facts = {**self.job.facts, "parameters": {"total": total, "trainable": trained}}

    def units(self) -> Units:
        """What stays."""
        from gpu_jobs.engine.pruning.structured import Units

        found = {
            name: {number: mask.nonzero()[:, 0].cpu() for number, mask in enumerate(masks)}
            for name, masks in self.masks().items()
        }
        return Units(ffn=found[FFN], heads=found.get(HEADS))
