"""A comparison as its address: everything that is asked stands in it, so that a link shows the same to everybody."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from webapp.runs.tables import MOST_CHARACTERS, WORDS
from webapp.sweeps.comparison.choosing import LARGEST_ID, Choice
from webapp.sweeps.comparison.question import Question, Test, goal_of

BudgetName = Literal["steps", "tokens", "flops", "wall_time_s", "energy_kwh", "memory_bytes", "trainable"]
MOST_PATHS = 10


class Which(BaseModel):
    """Which runs; all that is given must hold. `baseline` is one of them."""

    model_config = ConfigDict(frozen=True)

    runs: str = Field("", max_length=40_000, description="Numbers of runs, separated by commas.")
    project: str = Field("", max_length=100, description="A project's slug; all of yours when left out.")
    q: str = Field("", max_length=MOST_CHARACTERS, description=WORDS)
    status: str = Field("", max_length=200, description="Statuses, and the groups active, waiting, final.")
    kind: str = Field("", max_length=200)
    tag: str = Field("", max_length=400, description="Tags that each must all have, separated by commas.")
    sweep: int | None = Field(None, ge=1, le=LARGEST_ID, description="All runs of this sweep.")
    baseline: int | None = Field(None, ge=1, le=LARGEST_ID, description="A run that the others are held against.")

    @field_validator("runs")
    @classmethod
    def _are_numbers(cls, text: str) -> str:
        for word in parts(text):
            if not (word.isascii() and word.isdecimal() and len(word) < 19):
                raise ValueError(f"runs must be numbers separated by commas, not {word[:40]!r}")
        return text

    @property
    def choice(self) -> Choice:
        words = self.model_dump(include={"q", "status", "kind", "tag"})
        return Choice(runs=tuple(dict.fromkeys(int(word) for word in parts(self.runs))), **words)


class Address(Which):
    metric: str = Field("", max_length=250, description="Quality: its last value. Empty: what most of them have.")
    goal: Literal["", "minimize", "maximize"] = Field("", description="Empty: by the metric's name.")
    group: str = Field(
        "", max_length=400, description="Paths of the spec, separated by commas; empty: everything but the seed."
    )
    budget: BudgetName = Field("steps", description="What is held equal.")
    tolerance: float = Field(5, ge=0, le=1000, description="Per cent by which a group may miss the baseline's budget.")
    test: Test = Field("auto", description="auto: paired where both groups have the same seeds, else Welch's.")

    @field_validator("group")
    @classmethod
    def _are_few(cls, text: str) -> str:
        if len(parts(text)) > MOST_PATHS:
            raise ValueError(f"group must be at most {MOST_PATHS} paths, not {len(parts(text))}")
        return text

    def question(self, metric: str, own_baselines: tuple[int, ...]) -> Question:
        asked: dict[str, Any] = self.model_dump(include={"baseline", "budget", "test"})
        return Question(
            metric=metric,
            goal=self.goal or goal_of(metric),
            group=tuple(parts(self.group)),
            tolerance=self.tolerance / 100,
            own_baselines=own_baselines,
            **asked,
        )


def parts(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
