"""Lightning's Trainer: `Trainer(logger=HoneLogger(project="first"))`, of `lightning` or of `pytorch_lightning`.

The run starts with the first metric, so that the hyperparameters that Lightning gathers are its configuration, and ends
with the training. Only the process that is rank 0 logs. A metric keeps the name that it was logged by.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only

try:
    from lightning.pytorch.loggers.logger import Logger
except ImportError:
    from pytorch_lightning.loggers.logger import Logger

from hone.run import Run
from hone.starting import init


class HoneLogger(Logger):  # type: ignore[misc]
    """Either a `run` to log into, which stays open, or what `hone.init` takes."""

    def __init__(self, run: Run | None = None, **options: Any) -> None:
        super().__init__()
        self._run = run
        self._owns = run is None
        self._options = options
        self._config: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return str(self._options.get("project", ""))

    @property
    def version(self) -> int | str:
        """The run's number, once there is one."""
        return self._run.id if self._run is not None and self._run.id is not None else ""

    @property
    def experiment(self) -> Run | None:
        """The run, once there is one: Lightning asks for it before it tells the hyperparameters."""
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        self._config |= vars(params) if isinstance(params, Namespace) else params

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        if self._run is None:
            self._run = init(**{"config": self._config, **self._options})
        self._run.log(metrics, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._run is not None and self._owns:
            self._run.finish("succeeded" if status == "success" else "failed")
