"""Evolutionary samplers that keep no state: what Optuna's would store is computed from the trials.

Only imported once such a sampler is asked, because Optuna takes half a second to load.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import NSGAIISampler, RandomSampler
from optuna.trial import TrialState

from webapp.sweeps.definition import Range
from webapp.sweeps.search import dimensions

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from webapp.sweeps.search.outcomes import Outcome
    from webapp.sweeps.search.problem import Problem


class Nsga2(NSGAIISampler):
    """Generations are the finished trials in order, one population each.

    Optuna's parents of a generation are the elite of the last one and its parents, stored one generation after the
    other; here they are the elite of all earlier trials, which differs only by points that were crowded out once.
    """

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        return len(_complete(study)) // (self.population_size or 1)

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        size = self.population_size or 1
        return _complete(study)[generation * size : (generation + 1) * size]

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        earlier = _complete(study)[: generation * (self.population_size or 1)]
        return self._elite_population_selection_strategy(study, earlier)


class Cma(RandomSampler):
    """CMA-ES over the ranges that always count; everything else is random.

    The optimizer of the `cmaes` package is made anew and told all whole generations, in the order of the trials: its
    state is a function of what it was told. Optuna's CmaEsSampler stores it, pickled, in its trials.
    """

    def __init__(self, problem: Problem, told: Sequence[Outcome], population: int | None) -> None:
        super().__init__(seed=problem.seed)
        self._problem, self._told, self._population = problem, told, population

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        return {path: self._problem.distributions[path] for path in self._problem.numeric}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        if not search_space:
            return {}
        shares = np.minimum(self._optimizer.ask(), dimensions.BELOW_ONE)  # (ranges,) in [0, 1]
        return {
            path: dimensions.placed(self._problem.space[path], float(share), path in self._problem.whole)
            for path, share in zip(search_space, shares, strict=True)
        }

    @cached_property
    def _optimizer(self) -> Any:
        count = len(self._problem.numeric)
        optimizer = importlib.import_module("cmaes").CMA(
            mean=np.full(count, 0.5), sigma=1 / 6, bounds=np.tile([0.0, 1.0], (count, 1)), seed=self._problem.seed,
            population_size=self._population,
        )  # fmt: skip
        solutions = [(self._shares(params), one.losses[0]) for one in self._told if one.losses is not None
                     and (params := self._problem.fitting(one.params)) is not None]  # fmt: skip
        size = optimizer.population_size
        for start in range(0, len(solutions) - size + 1, size):
            optimizer.tell(solutions[start : start + size])
        return optimizer

    def _shares(self, params: dict[str, Any]) -> Any:
        ranges = {path: one for path in self._problem.numeric if isinstance(one := self._problem.space[path], Range)}
        return np.array(
            [dimensions.share(one, params[path], path in self._problem.whole) for path, one in ranges.items()]
        )


def _complete(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
