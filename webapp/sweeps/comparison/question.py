"""What a comparison is asked: which metric, against whom, how runs are grouped, what is held equal."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Goal = Literal["minimize", "maximize"]
Test = Literal["auto", "paired", "welch"]
PREFERRED = ("eval/loss", "eval/accuracy", "eval/perplexity")  # of those that as many runs have, the first
MAXIMIZED = ("accuracy", "f1", "exact_match", "reward", "bleu", "rouge", "recall", "precision")


class Question(BaseModel):
    model_config = ConfigDict(frozen=True)

    metric: str = Field(min_length=1, max_length=250, description="Quality: the last value of this metric.")
    goal: Goal = "minimize"
    baseline: int | None = Field(None, description="A run; the group that holds it is the baseline.")
    own_baselines: tuple[int, ...] = Field((), description="The runs that the compared ones name as their baseline.")
    group: tuple[str, ...] = Field((), description="Paths of the spec; none: everything but the seed.")
    budget: str = Field("steps", description="What is held equal.")
    tolerance: float = Field(0.05, ge=0, le=10, description="Largest share by which a group may miss the baseline's.")
    test: Test = Field("auto", description="auto: paired where both have the same seeds, else Welch's.")
    confidence: float = Field(0.95, gt=0.5, lt=1)

    @property
    def sign(self) -> float:
        """1 where less is better, -1 where more is."""
        return 1.0 if self.goal == "minimize" else -1.0


def goal_of(metric: str) -> Goal:
    """The way a metric improves, by its name: what is no accuracy or the like is a loss."""
    name = metric.rpartition("/")[2]
    return "maximize" if any(word in name for word in MAXIMIZED) else "minimize"
