"""How good models are on the tasks of a merge: the same samples for each of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_jobs.context import Context
from gpu_jobs.engine import data, judging, models, precision
from gpu_jobs.engine import device as devices
from gpu_jobs.engine.evaluation import Side, evaluate
from gpu_jobs.engine.folders import Folder
from gpu_jobs.engine.merging.experts import Party, task_of
from gpu_jobs.sources import BuiltinData
from gpu_jobs.sources import Data as DataOptions

if TYPE_CHECKING:
    from gpu_jobs.kinds.merge import Spec

Quality = dict[str, float]  # by the name of the measure, like eval/loss
Judged = dict[str, Quality]  # by task


@dataclass(frozen=True)
class Asked:
    """What judging asks of a spec."""

    resolved_task: str
    batch_size: int
    eval_batches: int


class Bench:
    """The tasks' data, loaded once, on which any number of models are judged."""

    def __init__(self, spec: Spec, context: Context, party: Party) -> None:
        self._spec, self._context = spec, context
        self.device = devices.pick()
        self.bf16 = precision.is_bf16(spec, self.device)
        sources = spec.data()
        self.task = task_of(party.base) if sources else None
        self.names = _named(sources)
        self.tokenizer = models.tokenizer_of(party.base.folder, context)
        self.data = {name: self._load(source) for name, source in zip(self.names, sources, strict=True)}

    def _load(self, source: DataOptions) -> data.Data:
        is_text = self.task != "image_classification"
        return data.load(
            source, task=str(self.task), tokenizer=(self.tokenizer or {"name": "byte"}) if is_text else None,
            sequence_length=self._spec.sequence_length, context=self._context, seed=self._spec.seed, form="auto",
        )  # fmt: skip

    @property
    def score(self) -> str:
        """The measure by which models are compared; a loss is better the smaller it is."""
        return "loss" if str(self.task).endswith("_lm") else "accuracy"

    def judge(self, folder: Folder, side: Side) -> Judged:
        """The quality on every task."""
        if not self.data:
            return {}
        first = next(iter(self.data.values()))
        bare: Any = models.build(
            folder, context=self._context, seed=self._spec.seed, task=str(self.task), vocab_size=first.vocab_size,
            labels=first.labels, pad_token_id=getattr(first.tokenizer, "pad_token_id", None),
        )  # fmt: skip
        bare = judging.settled(bare, self.device, bf16=self.bf16)
        asked = Asked(str(self.task), self._spec.batch_size, self._spec.eval_batches)
        return {
            name: evaluate(judging.judged(asked, self._context, loaded, bare, self.device, bf16=self.bf16), side)
            for name, loaded in self.data.items()
        }

    def value(self, judged: Judged, side: Side) -> float:
        """The mean score over the tasks, as a loss: less is better."""
        mean = sum(quality[f"{side}/{self.score}"] for quality in judged.values()) / len(judged)
        return mean if self.score == "loss" else -mean

    def kept(self, merged: float, expert: float) -> float | None:
        """What a merged model keeps of an expert's score: 1 is as good, less is worse. None where there is no ratio."""
        above, below = (expert, merged) if self.score == "loss" else (merged, expert)
        return above / below if below else None


def means(judged: Judged) -> Quality:
    """Each measure, averaged over the tasks."""
    measures: Iterable[str] = next(iter(judged.values()), {})
    return {name: sum(quality[name] for quality in judged.values()) / len(judged) for name in measures}


def _named(sources: list[DataOptions]) -> list[str]:
    """Short names of data, each its own."""
    names = [_name(source) for source in sources]
    return [name if names.count(name) == 1 else f"{name} ({number + 1})" for number, name in enumerate(names)]


def _name(source: DataOptions) -> str:
    if isinstance(source, BuiltinData):
        return source.name
    return source.reference() or Path(str(getattr(source, "path", None) or getattr(source, "id", ""))).name
