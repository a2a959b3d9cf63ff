"""Evolutionary samplers that keep no state: what Optuna's would store is computed from the trials.

Only imported once such a sampler is asked, because Optuna takes half a second to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.samplers import NSGAIISampler
from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


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


def _complete(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
