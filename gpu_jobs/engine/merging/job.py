"""The job of kind merge: look at the task vectors, judge base and experts, find coefficients, merge, judge again."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.engine import device as devices
from gpu_jobs.engine import provenance
from gpu_jobs.engine.export import stored_bytes
from gpu_jobs.engine.folders import Folder
from gpu_jobs.engine.merging import experts, scores
from gpu_jobs.engine.merging.coefficients import Candidate, candidates
from gpu_jobs.engine.merging.experts import Member, Party
from gpu_jobs.engine.merging.inspection import Findings, inspect
from gpu_jobs.engine.merging.scores import Bench, Judged
from gpu_jobs.engine.merging.writing import Merge, finish
from gpu_jobs.events import Artifact, Event, Log, Metrics, Phase, Result, Started, Stopped

if TYPE_CHECKING:
    from gpu_jobs.kinds.merge import Spec

FINAL, DELTAS = "model", "deltas"


@dataclass
class Merging:
    """What the phases of one run share."""

    spec: Spec
    context: Context
    party: Party
    findings: Findings
    bench: Bench
    memory: devices.PeakMemory
    tried: list[dict[str, Any]] = field(default_factory=list)

    def merge(self, candidate: Candidate, name: str) -> tuple[Merge, Folder]:
        """Writes the model of these coefficients into a folder of the work folder."""
        merge = Merge(self.party, candidate.method, candidate.weights, self.spec.seed)
        folder = self.context.work_dir / name
        merge.write(folder)
        finish(folder, self.bench.tokenizer, self.about())
        return merge, Folder(folder)

    def about(self) -> dict[str, Any]:
        """What hone.json says of the merged model."""
        labels = list((self.party.base.config.get("id2label") or {}).values()) if self._classifies else None
        found = {"kind": "merge", "task": self.bench.task, "method": self.spec.method.name, "base": None}
        return found | ({"labels": labels} if labels else {})

    @property
    def _classifies(self) -> bool:
        return str(self.bench.task).endswith("classification")


def merge(spec: Spec, context: Context) -> Iterator[Event]:
    """Raises JobError, before anything is written, for models that don't belong together."""
    with experts.clearing(context):
        yield from _merge(spec, context)


def _merge(spec: Spec, context: Context) -> Iterator[Event]:
    begun = time.perf_counter()
    memory = devices.PeakMemory(devices.pick())
    devices.make_deterministic(devices.pick())
    devices.seed(spec.seed)
    party = experts.gather(spec, context)
    yield Started(step=0, steps=None, facts=_facts(spec, party), provenance=provenance.collect(spec.seed))
    yield Phase(name="inspect", step=0, peak_memory_bytes=memory.end("load"))
    findings = inspect(party, spec.seed)
    yield from _tell(spec, findings)
    job = Merging(spec, context, party, findings, Bench(spec, context, party), memory)
    yield Phase(name="judge", step=0, peak_memory_bytes=memory.end("inspect"))
    start = job.bench.judge(party.base.folder, spec.split)
    judged = {expert.name: job.bench.judge(expert.folder, spec.split) for expert in party.experts}
    yield Phase(name="search", step=0, peak_memory_bytes=memory.end("judge"))
    chosen = yield from _search(job)
    if chosen is None:
        yield Stopped(step=0)  # nothing is kept: it begins anew when it goes on
        return
    yield Phase(name="merge", step=len(job.tried), peak_memory_bytes=memory.end("search"))
    merged, folder = job.merge(chosen, FINAL)
    encoded = merged.write_deltas(context.work_dir / DELTAS)
    yield Phase(name="evaluate", step=len(job.tried), peak_memory_bytes=memory.end("merge"))
    final = job.bench.judge(folder, spec.split)
    yield from _measured(job, final)
    yield from _artifacts(encoded)
    values = _result(job, chosen, [start, final], judged, encoded)
    yield Result(values=values | {"wall_time_s": time.perf_counter() - begun})


def _facts(spec: Spec, party: Party) -> dict[str, Any]:
    config = party.base.config
    task = experts.task_of(party.base) if spec.data() else None
    labels = {"num_labels": len(config["id2label"])} if config.get("id2label") else {}
    return {
        "task": task or "causal_lm",
        "parameters": {"total": party.base.weights.parameters, "trainable": 0},
        "model": {"architecture": config["model_type"], "source": spec.base.source, "config": config | labels},
        "experts": [expert.name for expert in party.experts],
    }


def _tell(spec: Spec, findings: Findings) -> Iterator[Event]:
    """The sizes of the task vectors, and whether the method's drop rate is to be feared."""
    for delta in findings.deltas:
        yield Log(
            message=f"Deltas of {delta['expert']}: mean {delta['mean']:.3g}, variance {delta['variance']:.3g}, from "
            f"{delta['min']:.3g} to {delta['max']:.3g}."
        )
    yield Log(message=f"The experts' signs disagree on {findings.conflicts['share']:.1%} of the entries.")
    if getattr(registry.method_of(spec.method).module, "DROPS", False):
        for sentence in findings.warnings():
            yield Log(message=sentence, level="warning")


def _search(job: Merging) -> Generator[Event, None, Candidate | None]:
    """The best of the candidates; with coefficients by hand there is one, which is not judged here.

    None when the run is asked to stop.
    """
    if job.spec.coefficients.name == "manual":
        return next(candidates(job.spec))
    asking = candidates(job.spec)
    best, least, candidate = None, 0.0, next(asking, None)
    while candidate is not None:
        if job.context.should_stop():
            return None
        _, folder = job.merge(candidate, experts.TRIED)
        judged = job.bench.judge(folder, "eval")
        value = job.bench.value(judged, "eval")
        job.tried.append({"coefficients": candidate.told(), "value": abs(value)})
        knob = {f"search/{candidate.knob}": float(getattr(candidate.method, candidate.knob))}
        yield Metrics(step=len(job.tried), values={"search/value": abs(value), **knob})
        if best is None or value < least:
            best, least = candidate, value
        try:
            candidate = asking.send(value)
        except StopIteration:
            candidate = None
    return best


def _measured(job: Merging, final: Judged) -> Iterator[Event]:
    """The quality on each task, and its mean."""
    single = {f"{task}/{name}": value for task, quality in final.items() for name, value in quality.items()}
    values = scores.means(final)
    if values:
        yield Metrics(step=len(job.tried), values=values | single)
        yield Log(message="Merged: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()) + ".")


def _artifacts(encoded: dict[str, int] | None) -> Iterator[Event]:
    yield Artifact(path=FINAL, kind="model")
    if encoded is not None:
        yield Artifact(path=DELTAS, kind="file")


def _result(
    job: Merging, chosen: Candidate, ends: list[Judged], judged: dict[str, Judged], encoded: dict[str, int] | None
) -> dict[str, Any]:
    """`ends` are the quality of the base and of the merged model, `judged` is that of the experts."""
    job.memory.end("evaluate")
    spec, party, bench = job.spec, job.party, job.bench
    metric = f"{spec.split}/{bench.score}"
    base, merged = ({task: quality[metric] for task, quality in found.items()} for found in ends)
    table = {name: {task: quality[metric] for task, quality in found.items()} for name, found in judged.items()}
    own = _own_tasks(job)
    peak = {"peak_bytes": max(job.memory.phases.values()), "phases": job.memory.phases}
    return {
        "quality": scores.means(ends[1]),
        "split": spec.split,
        "tasks": bench.names,
        "experts": [{"name": e.name, "run": e.run, "task": task} for e, task in zip(party.experts, own, strict=True)],
        "scores": {
            "metric": metric if bench.names else None,
            "base": base,
            "experts": table,
            "merged": merged,
        },
        "retention": _retention(job, table, merged, own),
        "deltas": job.findings.deltas,
        "conflicts": job.findings.conflicts,
        "coefficients": {"chosen": chosen.told(), "search": job.tried},
        "bytes": _bytes(job, encoded),
        "parameters": {"total": party.base.weights.parameters},
        "memory": peak | devices.describe(bench.device),
        "model": FINAL,
    }


def _own_tasks(job: Merging) -> list[int | None]:
    """For each expert the number of its own task."""
    sources = job.spec.data()
    return [None if expert.data is None else sources.index(expert.data) for expert in job.spec.chosen]


def _retention(
    job: Merging, table: dict[str, dict[str, float]], merged: dict[str, float], own: list[int | None]
) -> dict[str, float | None]:
    """Of each task that is an expert's own, what the merged model keeps of the expert's score (the first one's)."""
    found: dict[str, float | None] = {}
    for expert, number in zip(job.party.experts, own, strict=True):
        if number is not None:
            task = job.bench.names[number]
            found.setdefault(task, job.bench.kept(merged[task], table[expert.name][task]))
    return found


def _bytes(job: Merging, encoded: dict[str, int] | None) -> dict[str, Any]:
    members: list[Member] = job.party.experts
    return {
        "base": job.party.base.stored,
        "experts": {member.name: member.stored for member in members},
        "deltas": encoded,
        "stored": stored_bytes(job.context.work_dir / FINAL),
    }
