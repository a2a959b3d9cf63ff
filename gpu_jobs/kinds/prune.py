"""Prune: remove weights of a trained model by a criterion, retrain what is left, and judge the file that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy, adapter_of
from gpu_jobs.context import Context
from gpu_jobs.events import Event
from gpu_jobs.kinds import finetune
from gpu_jobs.prunable import Allocation, check
from gpu_jobs.shrinking import Retrain, Shrinking
from gpu_jobs.spec import knob

if TYPE_CHECKING:
    CriterionKnobs: TypeAlias = Any
else:
    CriterionKnobs = registry.union("criteria")


class OneShot(BaseModel):
    """All at once, before the retraining."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="One shot")

    name: Literal["one_shot"] = "one_shot"


class Iterative(BaseModel):
    """In rounds, each of which removes the same share of what is left, and retrains."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Iterative")

    name: Literal["iterative"] = "iterative"
    rounds: int = Field(3, ge=1, le=100, description="How many.")
    rewind: bool = Field(
        False,
        description="Lottery ticket: train before the first pruning, too, and after each pruning go back to the "
        "weights of the model it began with (Frankle and Carbin 2019).",
    )


class Gradual(BaseModel):
    """While it is retrained, by the cubic rule: fast at first (Zhu and Gupta 2017)."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Gradual")

    name: Literal["gradual"] = "gradual"
    every: int = Field(10, ge=1, le=1_000_000, description="Steps between two prunings.")
    until: float = Field(0.75, gt=0, le=1, description="Share of the steps after which the sparsity is reached.")


Timing: TypeAlias = Annotated[OneShot | Iterative | Gradual, Field(discriminator="name")]


class Spec(Shrinking):
    kind: Literal["prune"]
    method: CriterionKnobs = knob({"name": "magnitude"}, "Which weights go.", "Method", validate_default=True)
    allocation: Allocation = knob(
        "uniform",
        "How the sparsity is shared out over layers. uniform: alike. erk: less in small ones. global: by the scores of "
        "all. owl: less where inputs have outliers.",
        "Method",
    )
    schedule: Timing = knob({"name": "one_shot"}, "When weights go.", "Method", advanced=True, validate_default=True)
    learning: Retrain | None = knob(
        None, "How a criterion that learns its masks is trained. Empty: with the retraining's settings.", "Retraining",
        advanced=True,
    )  # fmt: skip

    @model_validator(mode="after")
    def _allocation_fits(self) -> Self:
        module = registry.method_of(self.method).module
        if self.allocation != "uniform" and self.method.pattern != "unstructured":
            raise ValueError(f"allocation must be uniform with pattern {self.method.pattern!r}")
        if self.allocation != "uniform" and not hasattr(module, "score") and not hasattr(module, "scores"):
            raise ValueError(f"allocation must be uniform with method {self.method.name!r}, which has none to choose")
        if self.allocation == "global" and hasattr(module, "update"):
            raise ValueError(f"allocation can't be global with {self.method.name!r}, which works layer by layer")
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        if self.schedule.name == "one_shot":
            return self
        module, retrain = registry.method_of(self.method).module, self.retrain
        if retrain is None:
            raise ValueError(f"schedule {self.schedule.name!r} needs retrain: name its method and steps")
        if self.method.pattern == "structured" or not (hasattr(module, "score") or hasattr(module, "scores")):
            raise ValueError(f"schedule must be one_shot with {self.method.name!r}, pattern {self.method.pattern!r}")
        if self.schedule.name == "gradual" and (adapter_of(retrain.method) is not None or hasattr(module, "update")):
            raise ValueError("schedule 'gradual' needs a criterion that only scores, and all weights retrained (full)")
        return self

    @model_validator(mode="after")
    def _can_learn(self) -> Self:
        learns = hasattr(registry.method_of(self.method).module, "Hooks")
        if learns and self.learning is None and self.retrain is None:
            raise ValueError(f"method {self.method.name!r} learns its masks: set learning.steps")
        if self.learning is not None and not learns:
            raise ValueError(f"learning is for criteria that learn their masks, and {self.method.name!r} doesn't")
        if learns:
            self.learned_by()
        return self

    @property
    def changes(self) -> int:
        """Iterative pruning is judged after every round."""
        return self.schedule.rounds if self.schedule.name == "iterative" else 1

    @property
    def reshapes(self) -> bool:
        """Whole units are taken out."""
        return bool(self.method.pattern == "structured")

    def check(self, anatomy: Anatomy) -> None:
        """Raises MethodError for widths that a pattern doesn't divide, and for layers that would be left empty."""
        check(self.method, self.allocation, anatomy)

    def trainings(self) -> list[finetune.Spec]:
        """What is learned, the rounds, and with rewinding one before them."""
        found = super().trainings()
        if self.schedule.name == "iterative":
            found *= self.schedule.rounds + self.schedule.rewind
        if hasattr(registry.method_of(self.method).module, "Hooks"):
            found.insert(0, self.learned_by())
        return found

    def learned_by(self) -> finetune.Spec:
        """The training in which the masks are learned; what is trained is the criterion's to say, not the method's."""
        settings = self.learning or self.retrain
        assert settings is not None
        full = registry.methods("strategies")["full"].knobs(name="full")
        return self.training(settings.model_copy(update={"method": full}))


def run(spec: Spec, context: Context) -> Iterator[Event]:
    """Prunes, and leaves the model in `model/` and the masks in `masks.safetensors`."""
    from gpu_jobs.engine.pruning import prune

    return prune(spec, context)
