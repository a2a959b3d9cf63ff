"""What criteria that learn their masks have in common. Free of torch at import time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_jobs import contracts

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.adapters.host import AdaptedLayer
    from gpu_jobs.engine.job import Job


class MaskHooks(contracts.Hooks):
    """Of layers that the method was put on as an adapter, each with its `mask` (out, in) bool among its values."""

    layers: dict[str, AdaptedLayer]
    changed: float | Tensor = 0.0  # share of the masks' entries that were others a step before

    def mask(self, layer: AdaptedLayer) -> Tensor:
        """What is kept now, (out, in) bool."""
        raise NotImplementedError

    def begin(self, job: Job) -> None:
        from gpu_jobs.engine.adapters import host

        super().begin(job)
        self.layers = host.adapted(self.model)

    def renew(self) -> None:
        """Takes the masks anew."""
        import torch

        changed, total = torch.zeros((), device=self.job.device), 0
        with torch.no_grad():
            for layer in self.layers.values():
                old, new = layer.named_values["mask"], self.mask(layer)
                changed += (old != new).sum()
                total += old.numel()
                old.copy_(new)
        self.changed = changed / total

    def finish(self) -> None:
        """The last masks; the model is plain again, with what was learned in its weights, masked."""
        from gpu_jobs.engine.adapters import host

        self.model.eval()
        self.renew()
        self._found = {name: layer.named_values["mask"] for name, layer in self.layers.items()}
        host.unload(self.model, merge=True)

    def found(self) -> dict[str, Tensor]:
        """The masks by layer, (out, in) bool; after `finish`."""
        return self._found

    def readings(self) -> dict[str, float | Tensor]:
        return {"prune/mask_change": self.changed}
