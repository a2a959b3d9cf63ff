"""What a ladder is asked: the budget to foresee, which runs it is made of, and the law that goes through them.

The runs are those of `gpu_jobs.ladder`. Their learning rates come from the Step Law, which was fitted from 60 million
parameters up; for models of thousands of parameters it says rates at which they do not learn. `cap` holds them down
there: benchmarks/tiny_rates.py measures which cap is sane.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from gpu_jobs import ladder, registry
from gpu_jobs.points import Bootstrap, HuberLog, Objective
from webapp.runs import specs
from webapp.runs.errors import Invalid

if TYPE_CHECKING:
    LawKnobs: TypeAlias = Any
else:
    LawKnobs = registry.union("laws")

STEP_LAW_FROM = 60_000_000  # parameters of the smallest models that the Step Law was fitted on
TINY_CAP = 0.003  # see benchmarks/tiny_rates.py
KNOWN_OF_A_RUNG = {"N", "D", "C", "M"}
OPTIMA = "N_opt"  # what laws explain that go through the best sizes of slices, and not through single runs
MOST_RUNGS = 200
MOST_FLOPS = 1e30


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Reach: TypeAlias = Annotated[
    float,
    Field(
        ge=1,
        le=1e6,
        description="How many times dearer the target is than the dearest rung.",
        json_schema_extra={"log": True},
    ),
]


class Grid(Part):
    """Every size with every number of tokens per parameter."""

    model_config = ConfigDict(title="Grid")

    name: Literal["grid"] = "grid"
    sizes: int = Field(4, ge=1, le=12, description="Model sizes, each twice the one before.")
    ratios: list[Annotated[float, Field(gt=0, le=1e5)]] = Field(
        list(ladder.RATIOS), min_length=1, max_length=12, description="Tokens per parameter."
    )
    reach: Reach = 30.0

    def rungs(self, target: float, sequence_length: int) -> list[ladder.Rung]:
        return ladder.grid(
            target, reach=self.reach, sizes=self.sizes, ratios=self.ratios, sequence_length=sequence_length
        )


class Isoflop(Part):
    """Slices of equal FLOPs, each with several sizes: a parabola has its lowest point at the best one."""

    model_config = ConfigDict(title="IsoFLOP slices")

    name: Literal["isoflop"] = "isoflop"
    budgets: int = Field(3, ge=1, le=8, description="Slices, each four times dearer than the one before.")
    sizes: int = Field(5, ge=3, le=15, description="Sizes in each, from a quarter to four times the middle one.")
    ratio: float = Field(20.0, gt=0, le=1e5, description="Tokens per parameter of the middle one.")
    reach: Reach = 30.0

    def rungs(self, target: float, sequence_length: int) -> list[ladder.Rung]:
        return ladder.isoflop(
            target,
            reach=self.reach,
            budgets=self.budgets,
            sizes=self.sizes,
            ratio=self.ratio,
            sequence_length=sequence_length,
        )


class StepLaw(Part):
    """The published Step Law: lr = 1.79 N^-0.713 D^0.307, batch = 0.58 D^0.571 tokens."""

    model_config = ConfigDict(title="Step Law")

    name: Literal["step_law"] = "step_law"
    factor: float = Field(
        1.0, gt=0, le=100, description="Times the learning rate that it says.", json_schema_extra={"log": True}
    )
    cap: float | None = Field(
        TINY_CAP,
        gt=0,
        le=10,
        description="Highest rate of models below 60 million parameters, where the law is extrapolated and too high. "
        "0.003 is best at 27 to 200 thousand parameters, 0.01 at 3 to 7 thousand (measured). Empty: no cap.",
        json_schema_extra={"log": True},
    )

    def rate(self, parameters: int, rate: float) -> float:
        """The learning rate, made of the law's own."""
        asked = self.factor * rate
        return min(asked, self.cap) if self.cap is not None and parameters < STEP_LAW_FROM else asked


class Fixed(Part):
    """The same rate and batch for every rung."""

    model_config = ConfigDict(title="The same for all")

    name: Literal["fixed"] = "fixed"
    lr: float = Field(1e-3, gt=0, le=10, description="Peak learning rate.", json_schema_extra={"log": True})
    batch_size: int = Field(32, ge=1, le=1_048_576, description="Sequences per update.")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


if TYPE_CHECKING:
    Design: TypeAlias = Grid | Isoflop
    Rates: TypeAlias = StepLaw | Fixed
else:
    Design = Annotated[Grid | Isoflop, Field(discriminator="name")]
    Rates = Annotated[StepLaw | Fixed, Field(discriminator="name")]


class Definition(Part):
    """`base` is a pretrain spec. Rungs set its model's shape, learning rate, batch, steps, warm-up and seed."""

    target_flops: float = Field(
        gt=0,
        description="The budget to foresee, in FLOPs (6 N D, N without embeddings).",
        json_schema_extra={"log": True},
    )
    base: dict[str, Any] = Field(description="A pretrain spec: data, tokenizer, optimizer, schedule, sequence length.")
    design: Annotated[Design, BeforeValidator(_named)] = Field(
        {"name": "grid"}, description="Which runs.", validate_default=True
    )
    rates: Annotated[Rates, BeforeValidator(_named)] = Field(
        {"name": "step_law"}, description="Their learning rate and batch.", validate_default=True
    )
    warmup: float | None = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of a rung's steps over which its rate rises. Empty: as many steps as the base says.",
        json_schema_extra={"advanced": True},
    )
    seeds: int = Field(1, ge=1, le=20, description="Runs of each rung, with seeds one apart.")
    law: LawKnobs = Field({"name": "chinchilla"}, description="What is fitted to the rungs.", validate_default=True)
    holdout: int = Field(
        1,
        ge=0,
        le=20,
        description="The dearest rungs that are foreseen instead of fitted.",
        validate_default=True,
    )
    objective: Objective = Field(HuberLog(), description="What the fit minimises, as a sum over the points.")
    bootstrap: Bootstrap = Field(Bootstrap(unit="run"), description="Where the intervals come from.")

    @field_validator("target_flops")
    @classmethod
    def _can_be_spent(cls, target: float) -> float:
        if target > MOST_FLOPS:
            raise ValueError(f"target_flops must not exceed {MOST_FLOPS:g}, not {target:g}")
        return target

    @field_validator("law")
    @classmethod
    def _rungs_tell_it(cls, law: Any) -> Any:
        if unknown := [name for name in law.variables if name not in KNOWN_OF_A_RUNG]:
            raise ValueError(f"a rung has N and D: law {law.name!r} also reads {', '.join(unknown)}")
        if law.target not in ("loss", OPTIMA):
            raise ValueError(f"a rung has a loss: law {law.name!r} explains {law.target}")
        return law

    @field_validator("holdout")
    @classmethod
    def _can_be_foreseen(cls, holdout: int, info: ValidationInfo) -> int:
        law = info.data.get("law")
        if holdout and law is not None and law.target == OPTIMA:
            raise ValueError(f"law {law.name!r} foresees the best size of a slice and no single run: set holdout to 0")
        return holdout


def laws() -> list[str]:
    """Those that can go through rungs as they come, and the one that is typed."""
    return [method.name for method in registry.methods("laws").values() if _can_be_told(method)]


def _can_be_told(law: registry.Method) -> bool:
    if any(field.is_required() for name, field in law.knobs.model_fields.items() if name != "name"):
        return True
    usual: Any = law.knobs(name=law.name)
    return set(usual.variables) <= KNOWN_OF_A_RUNG and usual.target in ("loss", OPTIMA)


def checked(definition: Mapping[str, Any]) -> Definition:
    """Raises Invalid with every broken rule at its field."""
    try:
        return Definition.model_validate(dict(definition))
    except ValidationError as error:
        raise Invalid(specs.errors_of(error, definition)) from None
