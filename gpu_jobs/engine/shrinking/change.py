"""What was done to the model, as the later phases and the result need it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Change:
    """`masks` are of the weights that were zeroed, (out, in) bool by layer; empty where the model's form was changed.

    `shares` say of each layer what share went where it is no longer there to be counted. `facts` are added to
    the result.
    """

    name: str = ""
    pattern: str | None = None
    target: float | None = None
    masks: dict[str, Tensor] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> str:
        """For the log."""
        if self.masks:
            kept, total = (
                sum(int(mask.sum()) for mask in self.masks.values()),
                sum(map(Tensor.numel, self.masks.values())),
            )
            return f"{self.name}: {total - kept:,} of {total:,} weights of {len(self.masks)} layers went."
        return f"{self.name}: done." if self.name else "Nothing was changed yet."

    def plain(self) -> dict[str, Any]:
        """All but the masks, as JSON."""
        found = asdict(Change(self.name, self.pattern, self.target, {}, self.shares, self.facts))
        del found["masks"]
        return found
