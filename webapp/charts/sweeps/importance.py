"""How much of the spread of values is each knob's doing.

fANOVA: the share of the variance that a forest explains by one knob alone (Hutter et al. 2014). It can only judge
knobs that are active in every trial. PED-ANOVA: how far the best tenth's density over a knob is from that of all
(Watanabe et al. 2023), with conditional knobs. Both through Optuna's evaluators, over trials that succeeded.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look, trials
from webapp.charts.sweeps.options import Option, objectives, option
from webapp.charts.sweeps.trials import Trials
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.sweeps.definition import Choices, Definition, Dimension, Space
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

PLACE = 30
TITLE = "Importance"
QUESTION = "Which knobs matter?"
METHODS = {"fanova": "fANOVA", "ped_anova": "PED-ANOVA"}
FEWEST = 10  # trials
MOST = 500  # more are sampled: the forest's time grows with them
TREES, DEPTH = 24, 6  # of the forest: within 0.02 of a full one's shares, in a tenth of its time


class Importance(NamedTuple):
    """`shares` by knob, the largest first; they sum to 1. `left_out`: knobs that the method can't judge."""

    method: str
    shares: dict[str, float]
    left_out: list[str]
    used: int
    count: int  # type: ignore[assignment]  # shadows tuple.count


def applies(definition: Definition) -> bool:
    return len(definition.search.space) > 1


def options(sweep: Sweep) -> list[Option]:
    return [option("method", "by", METHODS.items()), *objectives(definition(sweep))]


def data(sweep: Sweep, method: str = "fanova", objective: str = "0") -> Importance:
    checked, place = definition(sweep), int(objective)
    return of(trials.read(sweep), checked.search.space, look.goal(checked, place), method, place)


def of(found: Trials, space: Space, goal: float, method: str = "fanova", objective: int = 0) -> Importance:
    """The same for the same trials, always: the forest and the sample are drawn with a fixed seed."""
    found = found.take(found.has_succeeded)
    count = len(found.numbers)
    if count > MOST:
        found = found.take(np.sort(np.random.default_rng(0).choice(count, MOST, replace=False)))
    shared = [path for path in space if all(path in point for point in found.params)]
    judged = list(space) if method == "ped_anova" else shared
    judged = [path for path in judged if any(path in point for point in found.params)]
    left_out = [path for path in space if path not in judged]
    if count < FEWEST or not judged:
        return Importance(method, {}, left_out, len(found.numbers), count)
    losses = goal * found.values[:, objective]
    if np.ptp(losses) == 0:  # a forest of such trees has no variance to share out
        return Importance(method, dict.fromkeys(judged, 0.0), left_out, len(found.numbers), count)
    shares = _shares(_study(found.params, losses, space), method, judged)
    return Importance(method, shares, left_out, len(found.numbers), count)


def _shares(study: Study, method: str, judged: list[str]) -> dict[str, float]:
    """Summing to 1, or all 0 where no knob explains anything."""
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fanova = FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEPTH, seed=0)
        evaluator = fanova if method == "fanova" else PedAnovaImportanceEvaluator()
        found = evaluator.evaluate(study, params=judged)
    total = sum(max(share, 0.0) for share in found.values())
    shares = {path: float(max(share, 0.0) / total) if total > 0 else 0.0 for path, share in found.items()}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _study(params: Sequence[Mapping[str, Any]], losses: Float64, space: Space) -> Study:
    """Less is better. In memory, for the evaluators only."""
    import optuna

    logging.getLogger("optuna").setLevel(logging.WARNING)  # it greets every study
    ranges = {path: _distribution(each, [p[path] for p in params if path in p]) for path, each in space.items()}
    study = optuna.create_study(
        storage=optuna.storages.InMemoryStorage(), sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.add_trials(
        optuna.trial.create_trial(
            params={path: _judged(space[path], value) for path, value in point.items() if path in space},
            distributions={path: ranges[path] for path in point if path in space},
            value=float(loss),
        )
        for point, loss in zip(params, losses, strict=True)
    )
    return study


def _distribution(dimension: Dimension, tried: Sequence[Any]) -> BaseDistribution:
    """Wide enough for points from before an edit of the space."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(dimension, Choices):
        return CategoricalDistribution(list(dict.fromkeys([*dimension.choices, *tried])))
    ends = [_judged(dimension, value) for value in (dimension.low, dimension.high, *tried)]
    return FloatDistribution(min(ends), max(ends))


def _judged(dimension: Dimension, value: Any) -> Any:
    """A log knob by its logarithm: its points are even in that, and fANOVA takes them for even."""
    if isinstance(dimension, Choices):
        return value
    return math.log(value) if dimension.log else float(value)


def figure(data: Importance) -> Json:
    if data.count < FEWEST:
        return look.empty(f"Importance needs {FEWEST} trials that succeeded; there are {data.count}.")
    if not data.shares:
        return look.empty("No knob is active in every trial; PED-ANOVA judges those that are not.")
    if not any(data.shares.values()):
        return look.empty("No knob explains any of the spread of values.")
    top = max(data.shares.values())
    return {
        "data": [_bars(data)],
        "layout": theme.layout(
            "share of what the knobs explain" if data.method == "fanova" else "share of what sets the best tenth apart",
            hovermode="closest",
            margin={"l": 16, "r": 16, "t": 6, "b": 40},
            xaxis={"range": [0, top * 1.18], "tickformat": ".0%"},
            yaxis={"autorange": "reversed", "showgrid": False, "automargin": True, "ticks": ""},
            meta=look.caption(*_said(data)),
        ),
    }


def _bars(data: Importance) -> Json:
    shares = list(data.shares.values())
    return {
        "type": "bar", "orientation": "h", "y": [theme.plain(path) for path in data.shares], "x": shares,
        "text": [f"{share:.0%}" for share in shares], "textposition": "outside", "cliponaxis": False, "width": 0.55,
        "marker": {"color": "--series-1"}, "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }  # fmt: skip


def _said(data: Importance) -> list[str]:
    used = f"{data.used:,} trials that succeeded"
    sampled = f"{data.used:,} of {data.count:,} trials, sampled"
    left_out = f"not judged, as it is off in some: {', '.join(data.left_out)}" if data.left_out else ""
    return [sampled if data.used < data.count else used, left_out]
