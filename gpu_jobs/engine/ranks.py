"""One training process among those that share a batch, or the only one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from gpu_jobs import registry
from gpu_jobs.engine import device as devices
from gpu_jobs.spec import Training


class Ranks:
    """This process's place; every method does nothing much when it is alone."""

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world

    @property
    def is_main(self) -> bool:
        """Rank 0 speaks for all and writes what they share."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks, on each of them; does not wait for the GPU."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def barrier(self) -> None:
        """Waits until all ranks are here."""
        if self.world > 1:
            dist.barrier()

    def is_sharded(self, model: nn.Module) -> bool:
        """Whether FSDP2 shares the model out."""
        return self.world > 1 and hasattr(model, "set_requires_gradient_sync")

    def settle(self, model: nn.Module) -> None:
        """After forwards without a backward: FSDP2 leaves the root's weights gathered, under other objects."""
        if self.is_sharded(model):
            model.reshard()  # type: ignore[operator]

    def share(self, spec: Training, model: nn.Module, *, bf16: bool) -> nn.Module:
        """The model as it is called in the loop: its gradients are averaged over the ranks."""
        if self.world == 1:
            return model
        if spec.parallel == "fsdp":
            return _fsdp(model, bf16=bf16)
        is_partial = getattr(registry.method_of(spec.method).module, "IS_PARTIAL", False)
        return _ddp(model, is_partial=is_partial)

    @contextmanager
    def accumulate(self, model: nn.Module, *, is_last: bool) -> Iterator[None]:
        """Gradients travel between the ranks in the last part of a batch only."""
        if self.is_sharded(model):
            model.set_requires_gradient_sync(is_last)  # type: ignore[operator]
        with nullcontext() if is_last or not hasattr(model, "no_sync") else model.no_sync():  # type: ignore[operator]
            yield


ALONE = Ranks()


def join() -> Ranks:
    """The ranks that torch's launcher started: NCCL between GPUs, gloo between CPU processes."""
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    device = devices.pick(ranks.rank)
    if device.type == "cuda":
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    return ranks


def _ddp(model: nn.Module, *, is_partial: bool) -> nn.Module:
    """`is_partial`: in some steps, some parameters have no gradient, which the ranks must not wait for."""
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(
        model, gradient_as_bucket_view=True, broadcast_buffers=False, find_unused_parameters=is_partial
    )


def _fsdp(model: nn.Module, *, bf16: bool) -> nn.Module:
    """FSDP2: each block's weights are gathered for its turn only."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32) if bf16 else None
    options: dict[str, Any] = {"mp_policy": policy} if policy else {}
    for block in blocks(model):
        fully_shard(block, **options)
    sharded: nn.Module = fully_shard(model, **options)  # type: ignore[assignment]
    return sharded


def blocks(model: nn.Module) -> list[nn.Module]:
    """The transformer blocks, which stand in lists of layers; inner ones first."""
    lists = [layer for layer in model.modules() if isinstance(layer, nn.ModuleList)]
    return [block for layer in reversed(lists) for block in layer]
