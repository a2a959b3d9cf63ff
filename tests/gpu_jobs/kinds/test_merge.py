"""Whole merges of small models: what the result says, what is written, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import gpu_jobs
from gpu_jobs import cost, spec
from gpu_jobs.context import Context
from gpu_jobs.engine.merging import ternary
from gpu_jobs.events import Artifact, Failed, Log, Metrics, Phase, Result, Started, Stopped
from tests.gpu_jobs.training import LORA, TINY, Bench, Outcome, after, distance, same

TEXT, CODE = TINY["data"], {"source": "builtin", "name": "stdlib-source"}
ON_BASE = {"kind": "finetune", "model": {"source": "run", "run": 1}, "eval_before": False, "eval_every": 0}
EXPERTS = [
    {"model": {"source": "run", "run": 2}, "data": CODE},
    {"model": {"source": "run", "run": 3}, "data": TEXT, "label": "text"},
    {"model": {"source": "run", "run": 4}},
]
Folders = dict[str, Path]


@pytest.fixture(scope="module")
def folders(bench: Bench, base: Outcome) -> Folders:
    """The base (1), two whole experts (2, 3), an adapter (4), and a model from another beginning (5)."""
    inputs = {"run:1": base.work_dir / "model"}
    fast = {"optimizer": {"name": "adamw", "lr": 1e-3}}
    changes: list[dict[str, Any]] = [{"data": CODE, "steps": 20, **fast}, {"steps": 12, **fast}, {"method": LORA}]
    runs = [bench.run({**ON_BASE, **change}, inputs=inputs) for change in changes] + [bench.run({"seed": 7})]
    found = {f"run:{number}": run.work_dir / "model" for number, run in enumerate(runs, 2)}
    return inputs | found | {"run:4/base": base.work_dir / "model"}


def merge(bench: Bench, folders: Folders, **changes: Any) -> Outcome:
    asked = {"kind": "merge", "base": {"source": "run", "run": 1}, "experts": EXPERTS, "sequence_length": 16,
             "batch_size": 4, "eval_batches": 2}  # fmt: skip
    context = bench.context(inputs=folders)
    return Outcome(list(gpu_jobs.run(spec.parse(asked | changes), context)), context.work_dir)


def refusal(bench: Bench, folders: Folders, **changes: Any) -> str:
    run = merge(bench, folders, **changes)
    assert isinstance(run.last, Failed), run.last
    assert run.last.error == "ModelError"
    assert not list(run.work_dir.iterdir())
    message: str = run.last.message
    return message


@pytest.fixture(scope="module")
def done(bench: Bench, folders: Folders) -> Outcome:
    return merge(bench, folders)


def sum_of(folders: Folders, weights: list[float], names: list[str]) -> dict[str, torch.Tensor]:
    """Task arithmetic, written down."""
    base, *experts = (load_file(folders[name] / "model.safetensors") for name in ["run:1", *names])
    return {
        name: value + sum(weight * (expert[name] - value) for weight, expert in zip(weights, experts, strict=True))
        for name, value in base.items()
    }


def test_a_run_says_what_the_contract_of_its_result_holds(done: Outcome) -> None:
    assert [type(done.events[0]), type(done.last)] == [Started, Result]
    assert [phase.name for phase in done.of(Phase)] == ["inspect", "judge", "search", "merge", "evaluate"]
    found = done.last.values
    assert found["tasks"] == ["stdlib-source", "language-reference"]
    assert found["experts"] == [
        {"name": "run:2", "run": 2, "task": 0}, {"name": "text", "run": 3, "task": 1},
        {"name": "run:4", "run": 4, "task": None},
    ]  # fmt: skip
    assert found["coefficients"] == {"chosen": {"scale": 1.0, "weights": [1.0, 1.0, 1.0]}, "search": []}
    assert set(found["scores"]["experts"]) == {"run:2", "text", "run:4"}
    assert {row["expert"] for row in found["deltas"]} == {"run:2", "text", "run:4"}
    assert (found["model"], found["split"], found["scores"]["metric"]) == ("model", "eval", "eval/loss")
    json.dumps(found, allow_nan=False)


def test_scores_are_those_of_a_job_that_judges(bench: Bench, folders: Folders, done: Outcome) -> None:
    scores = done.last.values["scores"]
    inputs = folders | {"run:9": done.work_dir / "model"}
    for run, table in ((1, scores["base"]), (2, scores["experts"]["run:2"]), (9, scores["merged"])):
        asked = {"kind": "evaluate", "model": {"source": "run", "run": run}, "data": CODE, "sequence_length": 16,
                 "batch_size": 4, "eval_batches": 2}  # fmt: skip
        judged = list(gpu_jobs.run(spec.parse(asked), bench.context(inputs=inputs)))[-1]
        assert isinstance(judged, Result)
        assert judged.values["quality"]["eval/loss"] == pytest.approx(table["stdlib-source"], rel=1e-6)


def test_means_and_retention_follow_from_the_scores(done: Outcome) -> None:
    found = done.last.values
    scores = found["scores"]
    assert found["quality"]["eval/loss"] == pytest.approx(sum(scores["merged"].values()) / 2)
    assert done.series("eval/loss") == {0: found["quality"]["eval/loss"]}
    own = {"stdlib-source": "run:2", "language-reference": "text"}
    wanted = {task: scores["experts"][expert][task] / scores["merged"][task] for task, expert in own.items()}
    assert found["retention"] == pytest.approx(wanted)


def test_the_model_is_the_sum_and_transformers_loads_it(folders: Folders, done: Outcome, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from gpu_jobs.engine import exporting

    exporting.export(folders["run:4"], tmp_path / "plain", folders["run:1"])
    wanted = sum_of(folders | {"plain": tmp_path / "plain"}, [1.0] * 3, ["run:2", "run:3", "plain"])
    assert distance(done.weights(), wanted) < 1e-6
    model = AutoModelForCausalLM.from_pretrained(done.work_dir / "model")
    assert model.lm_head.weight is model.model.embed_tokens.weight  # tied in the base
    assert (done.work_dir / "model/tokenizer.json").is_file()
    assert json.loads((done.work_dir / "model/hone.json").read_text())["method"] == "task_arithmetic"
    assert sorted(path.name for path in done.work_dir.iterdir()) == ["model"]


def test_deltas_and_conflicts_are_told_as_they_are_and_before_merging(folders: Folders, done: Outcome) -> None:
    base, one = (load_file(folders[f"run:{n}"] / "model.safetensors") for n in (1, 2))
    first = torch.cat([(one[name] - base[name]).flatten() for name in base]).double()
    told = done.last.values["deltas"][0]
    assert told["mean"] == pytest.approx(float(first.mean()), rel=1e-4, abs=1e-9)
    assert told["variance"] == pytest.approx(float(first.var(correction=0)), rel=1e-4)
    assert (told["min"], told["max"]) == pytest.approx((float(first.min()), float(first.max())))
    assert told["norm"] == pytest.approx(float(first.norm()), rel=1e-5)
    assert told["share_beyond_0.005"] == pytest.approx(float((first.abs() > 0.005).double().mean()))
    merging = next(event for event in done.of(Phase) if event.name == "merge")
    assert done.events.index(done.of(Log)[0]) < done.events.index(merging)


def test_signs_disagree_where_one_has_raised_what_another_has_lowered(bench: Bench, folders: Folders) -> None:
    found = merge(bench, folders, experts=EXPERTS[:2]).last.values["conflicts"]
    base, one, two = (load_file(folders[f"run:{n}"] / "model.safetensors") for n in (1, 2, 3))
    opposed = {name: ((one[name] - base[name]) * (two[name] - base[name]).sign() < 0) for name in base}
    assert found["layers"] == pytest.approx({name: float(value.double().mean()) for name, value in opposed.items()})
    every = torch.cat([value.flatten() for value in opposed.values()]).double()
    assert found["share"] == pytest.approx(float(every.mean()))


@pytest.mark.parametrize("name", ["dare", "darex", "della"])
def test_large_deltas_are_warned_of_before_entries_are_dropped(bench: Bench, folders: Folders, name: str) -> None:
    run = merge(bench, folders, method={"name": name}, experts=[{"model": {"source": "run", "run": 2}}])
    (warning,) = [event for event in run.of(Log) if event.level == "warning"]
    assert "beyond 0.005" in warning.message and "fail near 0.03" in warning.message
    merged = next(event for event in run.of(Phase) if event.name == "merge")
    assert run.events.index(warning) < run.events.index(merged)


def test_no_warning_where_nothing_is_dropped_at_random(done: Outcome) -> None:
    assert all(event.level != "warning" for event in done.of(Log))


def test_without_data_nothing_is_judged_and_still_merged(bench: Bench, folders: Folders) -> None:
    experts = [{"model": {"source": "run", "run": 2}, "weight": 0.25}]
    run = merge(bench, folders, experts=experts, method={"name": "task_arithmetic", "scale": 2.0})
    assert distance(run.weights(), sum_of(folders, [0.5], ["run:2"])) < 1e-6
    found = run.last.values
    assert (found["tasks"], found["quality"], found["retention"], found["scores"]["merged"]) == ([], {}, {}, {})


def test_a_grid_keeps_the_best_of_its_values(bench: Bench, folders: Folders) -> None:
    values = [0.0, 0.5, 1.0]
    run = merge(bench, folders, coefficients={"name": "grid", "values": values}, tasks=[])
    tried = run.last.values["coefficients"]["search"]
    assert [entry["coefficients"]["scale"] for entry in tried] == values
    best = min(tried, key=lambda entry: entry["value"])
    assert run.last.values["coefficients"]["chosen"] == best["coefficients"]
    assert run.last.values["quality"]["eval/loss"] == pytest.approx(best["value"])
    base = run.last.values["scores"]["base"]
    assert tried[0]["value"] == pytest.approx(sum(base.values()) / 2)  # nothing added
    assert run.series("search/value") == {number + 1: entry["value"] for number, entry in enumerate(tried)}


def test_a_search_never_ends_worse_than_it_began(bench: Bench, folders: Folders) -> None:
    asked = {"name": "search", "weights": True, "trials": 9}
    run = merge(bench, folders, coefficients=asked, experts=EXPERTS[:2])
    tried = run.last.values["coefficients"]["search"]
    assert len(tried) == 9
    assert len({json.dumps(entry["coefficients"]) for entry in tried}) == 9
    assert tried[0]["coefficients"] == {"scale": 1.0, "weights": [1.0, 1.0]}
    assert run.last.values["quality"]["eval/loss"] == pytest.approx(min(entry["value"] for entry in tried))


def test_a_search_stops_where_it_is_asked_to_and_leaves_nothing(bench: Bench, folders: Folders) -> None:
    context = bench.context(inputs=folders, should_stop=after(2))
    asked = {"kind": "merge", "base": {"source": "run", "run": 1}, "experts": EXPERTS[:1], "sequence_length": 16,
             "eval_batches": 1, "coefficients": {"name": "grid"}}  # fmt: skip
    run = Outcome(list(gpu_jobs.run(spec.parse(asked), context)), context.work_dir)
    assert isinstance(run.last, Stopped)
    assert len(run.series("search/value")) == 2
    assert not list(run.work_dir.iterdir())


def test_any_number_of_a_method_can_be_searched(bench: Bench, folders: Folders) -> None:
    asked = {"name": "grid", "knob": "q", "values": [0.5, 0.9]}
    run = merge(bench, folders, method={"name": "darex", "drop": 0.5, "q": 0.6}, coefficients=asked)
    assert run.last.values["coefficients"]["chosen"]["q"] in (0.5, 0.9)


def test_the_test_split_reports_what_the_evaluation_split_chose(bench: Bench, folders: Folders) -> None:
    data = {**CODE, "test_fraction": 0.2}
    run = merge(bench, folders, experts=[{**EXPERTS[0], "data": data}], split="test",
                coefficients={"name": "grid", "values": [0.5, 1.0]})  # fmt: skip
    found = run.last.values
    assert found["scores"]["metric"] == "test/loss"
    assert set(found["quality"]) == {"test/loss", "test/perplexity"}
    tried = found["coefficients"]["search"]
    assert found["coefficients"]["chosen"] == min(tried, key=lambda entry: entry["value"])["coefficients"]


def test_classifiers_are_compared_by_what_they_get_right(bench: Bench) -> None:
    digits = {"source": "builtin", "name": "digits"}
    base = bench.run({"model": {"source": "builtin", "name": "nano-vit"}, "data": digits, "steps": 1})
    inputs = {"run:1": base.work_dir / "model"}
    better = {**ON_BASE, "data": digits, "steps": 30, "batch_size": 32, "optimizer": {"name": "adamw", "lr": 1e-2}}
    inputs["run:2"] = bench.run(better, inputs=inputs).work_dir / "model"
    found = merge(bench, inputs, experts=[{"model": {"source": "run", "run": 2}, "data": digits}],
                  batch_size=64, eval_batches=0).last.values  # fmt: skip
    scores = found["scores"]
    assert (scores["metric"], found["retention"]) == ("eval/accuracy", {"digits": 1.0})
    assert scores["merged"] == scores["experts"]["run:2"] != scores["base"]
    assert set(found["quality"]) == {"eval/loss", "eval/accuracy", "eval/f1"}


def test_a_compressed_delta_is_kept_small_and_gives_the_model_again(bench: Bench, folders: Folders) -> None:
    run = merge(bench, folders, method={"name": "compeft", "density": 0.05}, experts=EXPERTS[:1])
    assert [artifact.path for artifact in run.of(Artifact)] == ["model", "deltas"]
    path = run.work_dir / "deltas/1.safetensors"
    assert run.last.values["bytes"]["deltas"] == {"run:2": path.stat().st_size}
    base = load_file(folders["run:1"] / "model.safetensors")
    again = {name: base[name] + delta for name, delta in ternary.load(path)}
    assert distance(run.weights(), again) < 1e-7


def test_only_the_first_experts_are_merged_where_that_is_asked(bench: Bench, folders: Folders) -> None:
    run = merge(bench, folders, first=1)
    assert distance(run.weights(), sum_of(folders, [1.0], ["run:2"])) < 1e-6
    assert run.last.values["tasks"] == ["stdlib-source"]


def test_the_same_seed_gives_the_same_bits(bench: Bench, folders: Folders) -> None:
    one, two, other = (
        merge(bench, folders, method={"name": "dare"}, experts=EXPERTS[:2], seed=seed).weights() for seed in (1, 1, 2)
    )
    assert same(one, two)
    assert not same(one, other)


def test_a_merged_model_is_a_base_for_other_runs(bench: Bench, done: Outcome) -> None:
    run = bench.run({**ON_BASE, "model": {"source": "run", "run": 9}}, inputs={"run:9": done.work_dir / "model"})
    assert isinstance(run.last, Result)
    plan = cost.plan(spec.parse({**TINY, **ON_BASE}), {"run:1": done.facts})
    assert plan.parameters["total"] == run.facts["parameters"]["total"]


# ---- numbers and files


def changed(folder: Path, place: Path, change: Any) -> Path:
    """A copy of a model folder with other tensors."""
    shutil.copytree(folder, place)
    save_file(change(load_file(folder / "model.safetensors")), place / "model.safetensors", {"format": "pt"})
    return place


def test_numbers_keep_their_kind_and_whole_numbers_stay_the_bases(
    bench: Bench, folders: Folders, tmp_path: Path
) -> None:
    def half(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: value.bfloat16() for name, value in tensors.items()} | {"counter": torch.tensor([3, 4])}

    def counted(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return half(tensors) | {"counter": torch.tensor([30, 40])}

    inputs = {
        "run:1": changed(folders["run:1"], tmp_path / "base", half),
        "run:2": changed(folders["run:2"], tmp_path / "expert", counted),
    }
    run = merge(bench, inputs, experts=[{"model": {"source": "run", "run": 2}}])
    found, expert = run.weights(), load_file(tmp_path / "expert/model.safetensors")
    assert found.pop("counter").tolist() == [3, 4]
    assert {value.dtype for value in found.values()} == {torch.bfloat16}
    assert same(found, {name: value for name, value in expert.items() if name != "counter"})


def test_shards_are_read_and_written(bench: Bench, folders: Folders, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    inputs = dict(folders)
    for name in ("run:1", "run:2"):
        inputs[name] = tmp_path / name.replace(":", "-")
        shutil.copytree(folders[name], inputs[name])
        (inputs[name] / "model.safetensors").unlink()
        model = AutoModelForCausalLM.from_pretrained(folders[name])
        model.save_pretrained(inputs[name], max_shard_size="16KB")
        assert len(list(inputs[name].glob("model-*.safetensors"))) > 1
    run = merge(bench, inputs, experts=[{"model": {"source": "run", "run": 2}, "weight": 0.5}])
    again = AutoModelForCausalLM.from_pretrained(run.work_dir / "model").state_dict()
    wanted = sum_of(folders, [0.5], ["run:2"])
    assert distance({name: again[name] for name in wanted}, wanted) < 1e-6


# ---- what is refused, before anything is written


def test_an_expert_from_another_beginning(bench: Bench, folders: Folders) -> None:
    found = refusal(bench, folders, experts=[{"model": {"source": "run", "run": 5}}])
    assert "run:5 was trained from another base" in found


def test_an_adapter_on_another_base(bench: Bench, folders: Folders) -> None:
    other = {**folders, "run:4/base": folders["run:2"]}
    assert "trained on another base" in refusal(bench, other, experts=[EXPERTS[2]])


def test_other_shapes(bench: Bench, folders: Folders, tmp_path: Path) -> None:
    def wider(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return tensors | {"model.norm.weight": torch.ones(17)}

    inputs = {**folders, "run:2": changed(folders["run:2"], tmp_path / "wide", wider)}
    assert "model.norm.weight: 17 instead of 16" in refusal(bench, inputs, experts=EXPERTS[:1])


def test_weights_that_only_one_has(bench: Bench, folders: Folders, tmp_path: Path) -> None:
    def more(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return tensors | {"extra.weight": torch.ones(2)}

    inputs = {**folders, "run:2": changed(folders["run:2"], tmp_path / "more", more)}
    assert "only run:2 has extra.weight" in refusal(bench, inputs, experts=EXPERTS[:1])


def test_another_architecture(bench: Bench, folders: Folders) -> None:
    gpt2 = {"source": "config", "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2, "context": 32}
    inputs = {**folders, "run:2": bench.run({"model": gpt2, "steps": 1}).work_dir / "model"}
    found = refusal(bench, inputs, experts=EXPERTS[:1])
    assert "run:2 is a GPT2LMHeadModel and its base a LlamaForCausalLM" in found


def test_other_classes(bench: Bench, folders: Folders, tmp_path: Path) -> None:
    model = {"source": "builtin", "name": "nano-vit"}
    run = bench.run({"model": model, "data": {"source": "builtin", "name": "digits"}, "steps": 1})
    shutil.copytree(run.work_dir / "model", tmp_path / "renamed")
    config = json.loads((tmp_path / "renamed/config.json").read_text())
    config["id2label"] = {number: f"class-{number}" for number in range(10)}
    (tmp_path / "renamed/config.json").write_text(json.dumps(config))
    inputs = {"run:1": run.work_dir / "model", "run:2": tmp_path / "renamed"}
    found = refusal(bench, inputs, experts=[{"model": {"source": "run", "run": 2}}])
    assert "class-0, class-1" in found and "0, 1, 2" in found


def test_values_that_are_not_finite(bench: Bench, folders: Folders, tmp_path: Path) -> None:
    def broken(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tensors["model.norm.weight"][3] = math.nan
        return tensors

    inputs = {**folders, "run:2": changed(folders["run:2"], tmp_path / "nan", broken)}
    assert "not finite" in refusal(bench, inputs, experts=EXPERTS[:1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": {"source": "builtin"}}, "base must be a trained model"),
        ({"experts": [{"model": {"source": "builtin"}}]}, "expert 1 must be a trained model"),
        ({"experts": []}, "at least 1 item"),
        ({"first": 4}, "first must not exceed the number of experts: 4 > 3"),
        (
            {"coefficients": {"name": "grid", "knob": "drop"}},
            "knob 'drop' is no number of 'task_arithmetic': choose scale",
        ),
        ({"coefficients": {"name": "grid", "values": [11]}}, "scale of 'task_arithmetic' can't be 11"),
        ({"coefficients": {"name": "search", "low": 1, "high": 0.5}}, "high must exceed low"),
        ({"experts": EXPERTS[2:], "coefficients": {"name": "grid"}}, "found on held-out data"),
        ({"split": "test"}, "needs a test split of all data"),
    ],
)
def test_what_a_spec_may_not_say(changes: dict[str, Any], words: str) -> None:
    asked = {"kind": "merge", "base": {"source": "run", "run": 1}, "experts": EXPERTS}
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        spec.parse(asked | changes)


def test_its_plan_holds_two_models_at_most(base: Outcome) -> None:
    asked = spec.parse({"kind": "merge", "base": {"source": "run", "run": 1}, "experts": EXPERTS})
    plan = cost.plan(asked, {"run:1": base.facts})
    total = base.facts["parameters"]["total"]
    assert plan.parameters == {"total": total, "trainable": 0}
    assert plan.memory["total"] == 2 * 4 * total
    assert cost.plan(asked).memory["total"] is None


def test_the_inputs_of_all_experts_and_their_data_are_fetched() -> None:
    upload = {"source": "upload", "upload": 3}
    experts = [*EXPERTS, {"model": {"source": "run", "run": 6}, "data": upload}]
    asked = {"kind": "merge", "base": {"source": "run", "run": 1}, "experts": experts, "tasks": [upload]}
    assert spec.references(spec.parse(asked)) == ["run:1", "run:2", "run:3", "run:4", "run:6", "upload:3"]


def test_metrics_of_each_task_are_kept(done: Outcome) -> None:
    (metrics,) = done.of(Metrics)
    assert metrics.values["stdlib-source/eval/loss"] == done.last.values["scores"]["merged"]["stdlib-source"]


def test_the_context_is_not_needed_for_paths(bench: Bench, folders: Folders, tmp_path: Path) -> None:
    experts = [{"model": {"source": "path", "path": str(folders["run:2"])}}]
    asked = {"kind": "merge", "base": {"source": "path", "path": str(folders["run:1"])}, "experts": experts}
    context = Context(work_dir=tmp_path, cache_dir=bench.root / "cache")
    last = list(gpu_jobs.run(spec.parse(asked), context))[-1]
    assert isinstance(last, Result)
    assert last.values["experts"] == [{"name": "model", "run": None, "task": None}]
