"""transformers' Trainer: `Trainer(..., callbacks=[HoneCallback(project="first")])`.

Logs what the Trainer logs, at its global step: `loss` as `train/loss`, `eval_loss` as `eval/loss`. Only the process
that is rank 0 of the world logs. The run ends with the training when the callback has started it.
"""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from hone.run import Run
from hone.starting import init

SPLITS = ("eval", "test")


class HoneCallback(TrainerCallback):
    """Either a `run` to log into, or what `hone.init` takes; `config` is the training arguments unless it is given."""

    def __init__(self, run: Run | None = None, **options: Any) -> None:
        self.run = run
        self._owns = run is None
        self._options = options

    def on_train_begin(self, args: Any, state: Any, control: Any, **context: Any) -> None:
        if not state.is_world_process_zero or self.run is not None:
            return
        self.run = init(**{"config": _config(args, context.get("model")), **self._options})

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **context: Any) -> None:
        if self.run is None or not state.is_world_process_zero:
            return
        numbers = {_named(name): value for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if numbers:
            self.run.log(numbers, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **context: Any) -> None:
        if self.run is not None and self._owns:
            self.run.finish()
            self.run = None


def _named(name: str) -> str:
    split, _, rest = name.partition("_")
    return f"{split}/{rest}" if split in SPLITS and rest else f"train/{name}"


def _config(args: Any, model: Any) -> dict[str, Any]:
    told = {"training": args.to_sanitized_dict()}
    config = getattr(model, "config", None)
    return told | ({"model": config.to_dict()} if config is not None else {})
