"""A fitted law: its optimum, its bootstrap draws, and what it says of any point, with a band and an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpu_jobs import registry
from gpu_jobs.engine.laws import bootstrap as resampling
from gpu_jobs.engine.laws.minima import Minima, minima
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.points import Bootstrap

NOISE_SEED = 1_000_003  # beside the spec's seed: the noise of new measurements is drawn apart from the resamples


@dataclass(frozen=True)
class Fitted:
    """`vectors`, (resamples, free) in the fitted scale, is None without a bootstrap."""

    problem: Problem
    known: Minima
    vectors: Array | None
    bootstrap: Bootstrap
    seed: int
    units: int
    residuals: Array = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "residuals", self.problem.residuals(self.known.best[None])[0])

    @property
    def has_draws(self) -> bool:
        return self.vectors is not None and bool(np.isfinite(self.vectors).all(1).sum() >= 20)

    def values(self, vectors: Array) -> dict[str, Array]:
        """Free parameters and derived numbers by name, (batch,) each."""
        natural = self.problem.natural(vectors)
        params: dict[str, Any] = {name: natural[:, index] for index, name in enumerate(self.problem.names)}
        module = registry.method_of(self.problem.knobs).module
        if hasattr(module, "derived"):
            held = {name: np.full(len(vectors), value) for name, value in self.problem.knobs.fixed.items()}
            with np.errstate(all="ignore"):
                params |= module.derived(self.problem.knobs, {**held, **params})
        return {name: np.broadcast_to(value, len(vectors)) for name, value in params.items()}

    def draws(self) -> dict[str, Array]:
        """Of every free parameter and derived number, (resamples,) each; empty without a bootstrap."""
        return {} if self.vectors is None else self.values(self.vectors)

    def intervals(self, vague: Mapping[str, str]) -> dict[str, Any] | None:
        """Low, high, standard error and median of each; None without a bootstrap."""
        if self.vectors is None:
            return None
        found = {}
        for name, values in self.draws().items():
            finite = values[np.isfinite(values)]
            pair = resampling.quantiles(values, self.bootstrap.level)
            found[name] = {
                "low": pair[0] if pair else None,
                "high": pair[1] if pair else None,
                "se": float(finite.std(ddof=1)) if len(finite) > 1 else None,
                "median": float(np.median(finite)) if len(finite) else None,
                "identified": name not in vague,
            }
        return found

    def curves(self, variables: Mapping[str, Array]) -> Array:
        """What each resample says of points, (resamples, points)"""
        assert self.vectors is not None
        return self.problem.predict(self.vectors, variables)

    def measured(self, curves: Array, spread: int = 0) -> Array:
        """The curves with the noise of one new measurement: residuals drawn anew, widened for the parameters fitted."""
        points, free = len(self.residuals), len(self.problem.names)
        widened = self.residuals * np.sqrt(points / max(points - free, 1))
        random = np.random.RandomState((self.seed + NOISE_SEED + spread) % 2**32)
        noise = random.choice(widened, curves.shape)
        with np.errstate(all="ignore"):
            return np.asarray(curves * np.exp(noise) if self.problem.loss.logs else curves + noise)


def fitted(problem: Problem, bootstrap: Bootstrap, seed: int, polish: int, labels: Sequence[Any] | None) -> Fitted:
    """The optimum from the whole grid of starts, and the refit of every resample."""
    known = minima(problem, polish)
    members = resampling.units(labels, problem.points)
    count = int(members.max()) + 1
    if not bootstrap.resamples:
        return Fitted(problem, known, None, bootstrap, seed, count)
    drawn = resampling.draws(members, bootstrap.resamples, seed)
    return Fitted(problem, known, resampling.refit(problem, known, drawn, members), bootstrap, seed, count)


def bands(fit: Fitted, curves: Array) -> list[dict[str, list[float] | None]]:
    """Of each point: band (of the curve) and interval (of one new measurement)."""
    noisy = fit.measured(curves)
    level = fit.bootstrap.level
    return [
        {"band": _pair(curves[:, index], level), "interval": _pair(noisy[:, index], level)}
        for index in range(curves.shape[1])
    ]


def _pair(values: Array, level: float) -> list[float] | None:
    found = resampling.quantiles(values, level)
    return None if found is None else list(found)


def statistics(measured: Array, predicted: Array) -> dict[str, float | None]:
    """R2 and root mean squares of the errors, of values and of logarithms."""
    error = measured - predicted
    total = float(((measured - measured.mean()) ** 2).sum())
    positive = bool((measured > 0).all() and (predicted > 0).all())
    return {
        "r2": 1 - float((error**2).sum()) / total if total > 0 else None,
        "rmse": float(np.sqrt((error**2).mean())),
        "rmse_log": float(np.sqrt((np.log(measured / predicted) ** 2).mean())) if positive else None,
    }
