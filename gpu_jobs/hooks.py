"""Hooks that several methods share. Free of torch at import time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gpu_jobs import contracts
from gpu_jobs.errors import MethodError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.contracts import Batch, Step
    from gpu_jobs.engine.job import Job
    from gpu_jobs.spec import Training


def refuse_fsdp(job: Job) -> None:
    """Raises MethodError where ranks share each matrix, for methods that need whole ones."""
    if job.ranks.world > 1 and job.spec.parallel == "fsdp":
        raise MethodError(f"method {job.spec.method.name!r} needs whole matrices: set parallel to 'ddp'.")


class Calibrated(contracts.Hooks):
    """Begins with what the model makes of the run's first `knobs.samples` training samples.

    A resumed run does not look again: it gets the same beginning back from the checkpoint.
    """

    def begin(self, job: Job) -> None:
        super().begin(job)
        refuse_fsdp(job)
        if job.context.resume_from is None:
            was_training = job.bare.training
            job.bare.eval()
            self.calibrate()
            job.bare.train(was_training)

    def calibrate(self) -> None:
        """Sets what the adapter begins with; every rank does the same."""
        raise NotImplementedError

    def samples(self) -> Iterator[Batch]:
        """The first training samples, one at a time, on the model's device."""
        job, left, step = self.job, self.knobs.samples, 0
        while left > 0:
            for sample in job.sampler.indices(step)[:left]:
                batch = job.objective.prepare(job.data.train.batch(sample.reshape(1)), training=False)
                yield job.to_device(batch)
            left, step = left - job.spec.batch_size, step + 1

    def layers(self) -> dict[str, Any]:
        """PEFT's LoRA layers by name."""
        from gpu_jobs.engine.adapters import rewritten

        return rewritten.lora_layers(self.model)

    def watch(self, look: Callable[[str, Tensor], None]) -> None:
        """Runs the samples through the model and shows `look` what goes into each adapted layer."""
        import torch

        from gpu_jobs.engine import objective

        handles = [
            layer.register_forward_pre_hook(lambda _, inputs, name=name: look(name, inputs[0]))
            for name, layer in self.layers().items()
        ]
        with torch.no_grad(), self.job.autocast():
            for batch in self.samples():
                objective.logits_of(self.job.bare, batch)
        for handle in handles:
            handle.remove()


class Rewriting(Calibrated):
    """A LoRA that begins with a part of its base, chosen by data; the method's file says REWRITES."""

    def take_out(self, layer: Any, a: Tensor, b: Tensor) -> None:
        """Lets a layer begin with A (r, in) and B (out, r), and takes s B A out of its base."""
        from gpu_jobs.engine.adapters import rewritten

        rewritten.begin(layer, a, b)

    def tensors(self) -> dict[str, Tensor]:
        """What was taken out of every base."""
        from gpu_jobs.engine.adapters import rewritten

        kept = {name: getattr(layer, rewritten.START) for name, layer in self.layers().items()}
        return {f"{name}.{side}": value for name, pair in kept.items() for side, value in zip("AB", pair, strict=True)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        for name, layer in self.layers().items():
            self.take_out(layer, tensors[f"{name}.A"], tensors[f"{name}.B"])


class Penalised(contracts.Hooks):
    """Adds the gradient of `penalty()` to that of the loss. The loss that is told stays the objective's."""

    def penalty(self) -> Tensor:
        """A scalar that is minimised beside the loss."""
        raise NotImplementedError

    def begin(self, job: Job) -> None:
        super().begin(job)
        refuse_fsdp(job)
        self._penalty: Tensor | None = None

    def gradients(self, step: Step) -> Tensor:
        """Past the gradients' own machinery, which sums over ranks: all of them have this one whole."""
        import torch

        loss, penalty, trained = step.backward(), self.penalty(), list(self.trained().values())
        found = torch.autograd.grad(penalty, trained, allow_unused=True)
        for value, gradient in zip(trained, found, strict=True):
            if gradient is not None:
                value.grad = gradient if value.grad is None else value.grad + gradient
        self._penalty = penalty.detach()
        return loss

    def readings(self) -> dict[str, float | Tensor]:
        return {} if self._penalty is None else {"train/penalty": self._penalty}


class VirtualTokens(contracts.Hooks):
    """Checks that the text and the virtual tokens before it have room in the model's context."""

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        config: Any = model.config
        limit = getattr(config, "max_position_embeddings", None)
        if limit and spec.sequence_length + knobs.tokens > limit:
            raise MethodError(
                f"sequence_length and method.tokens must fit the model's context together: {spec.sequence_length} + "
                f"{knobs.tokens} > {limit}."
            )
