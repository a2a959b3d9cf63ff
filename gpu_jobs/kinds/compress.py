"""Compress: give a trained model a smaller form, retrain it, and judge the file that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy, adapter_of
from gpu_jobs.context import Context
from gpu_jobs.events import Event
from gpu_jobs.kinds import finetune
from gpu_jobs.shrinking import Retrain, Shrinking
from gpu_jobs.spec import MethodKnobs, knob

if TYPE_CHECKING:
    CompressorKnobs: TypeAlias = Any
else:
    CompressorKnobs = registry.union("compressors")


class Recovery(Retrain):
    """The training that a model in another form recovers by. An adapter is merged when it is done."""

    method: MethodKnobs = Field({"name": "full"}, description="Which weights are trained.", validate_default=True)


class Spec(Shrinking):
    LENGTHS: ClassVar[tuple[int, ...]] = (128, 512, 2048)

    kind: Literal["compress"]
    method: CompressorKnobs = knob(
        {"name": "lowrank_svd"}, "What form the model gets.", "Method", validate_default=True
    )
    retrain: Recovery | None = knob(None, "Training afterwards. Empty: none.", "Retraining")
    learning: Recovery | None = knob(
        None, "How a form that is learned is trained. Empty: with the retraining's settings.", "Retraining",
        advanced=True,
    )  # fmt: skip

    @model_validator(mode="after")
    def _can_retrain_that(self) -> Self:
        allowed = getattr(registry.method_of(self.method).module, "RETRAINS", None)
        if self.retrain is None or allowed is None:
            return self
        trained, is_adapter = self.retrain.method.name, adapter_of(self.retrain.method) is not None
        if allowed == "nothing":
            raise ValueError(f"retrain must be left empty with {self.method.name!r}: fine-tune the run's model instead")
        if allowed == "adapters" and not is_adapter:
            raise ValueError(f"retrain.method must be an adapter with {self.method.name!r}, whose codes can't be "
                             f"trained: {trained!r} is none")  # fmt: skip
        if allowed == "weights" and is_adapter:
            raise ValueError(f"retrain.method can't be the adapter {trained!r} with {self.method.name!r}, whose layers "
                             "it couldn't be merged into: choose full, or another strategy")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _can_learn(self) -> Self:
        learns = hasattr(registry.method_of(self.method).module, "Hooks")
        if learns and self.learning is None and self.retrain is None:
            raise ValueError(f"method {self.method.name!r} learns its form: set learning.steps")
        if self.learning is not None and not learns:
            raise ValueError(f"learning is for methods that learn their form, and {self.method.name!r} doesn't")
        return self

    @property
    def reshapes(self) -> bool:
        """That is what it is for."""
        return True

    def check(self, anatomy: Anatomy) -> None:
        """Raises MethodError where the method doesn't fit a model like this."""
        module = registry.method_of(self.method).module
        if hasattr(module, "check"):
            module.check(self.method, anatomy)

    def trainings(self) -> list[finetune.Spec]:
        """What is learned, and the retraining."""
        learning, found = self.learning or self.retrain, super().trainings()
        if learning and hasattr(registry.method_of(self.method).module, "Hooks"):
            full = registry.methods("strategies")["full"].knobs(name="full")
            found.insert(0, self.training(learning.model_copy(update={"method": full})))
        return found


def run(spec: Spec, context: Context) -> Iterator[Event]:
    """Compresses, and leaves the model in `model/`."""
    from gpu_jobs.engine.compressing import compress

    return compress(spec, context)
