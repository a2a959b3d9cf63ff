from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from tests.sweeps import scene
from webapp.accounts.errors import Invalid
from webapp.sweeps import histories
from webapp.sweeps.checking import checked
from webapp.sweeps.definition import Definition
from webapp.sweeps.exchange import optuna_study
from webapp.sweeps.exchange.importing import import_observations
from webapp.sweeps.exchange.optuna_rows import insert
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.search import space
from webapp.sweeps.states import TrialStatus

SPEC = scene.definition()["spec"]


def objective(trial: optuna.Trial) -> float:
    """With a branch, a pruned trial and a failed one."""
    shape = trial.suggest_categorical("shape", ["cosine", "wsd"])
    decay = trial.suggest_float("decay", 0.1, 0.5) if shape == "wsd" else 0.0
    lr = trial.suggest_float("lr", 1e-4, 1e-2, log=True)
    batch = trial.suggest_int("batch", 8, 64, step=8)
    trial.report(lr + 1, 10)
    if trial.number == 3:
        raise optuna.TrialPruned
    if trial.number == 4:
        raise ArithmeticError
    return lr * batch + decay


def run_study(storage: Any, name: str = "mine") -> optuna.Study:
    study = optuna.create_study(
        storage=storage, study_name=name, sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize"
    )
    study.optimize(objective, 8, catch=ArithmeticError)
    study.ask()
    return study


@pytest.fixture(params=["sqlite", "journal"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[optuna.Study, Path]:
    path = tmp_path / "study"
    if request.param == "sqlite":
        return run_study(RDBStorage(f"sqlite:///{path}")), path
    return run_study(JournalStorage(JournalFileBackend(str(path)))), path


def test_a_study_becomes_a_sweep_with_its_space_and_its_trials(study: tuple[optuna.Study, Path]) -> None:
    body = optuna_study.read(study[1], names={"lr": "optimizer.lr"})
    assert body["search"]["space"] == {
        "shape": {"choices": ["cosine", "wsd"]},
        "decay": {"low": 0.1, "high": 0.5, "when": {"shape": ["wsd"]}},
        "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "batch": {"low": 8, "high": 64, "step": 8},
    }
    assert body["objective"] == [{"metric": "value 0", "goal": "maximize"}]
    trials = study[0].get_trials()
    told = body["observations"]
    statuses = ["succeeded"] * 3 + ["stopped", "failed"] + ["succeeded"] * 3
    assert [one["status"] for one in told] == statuses, "the running one is left out"
    complete = [one.values for one in trials if one.state == optuna.trial.TrialState.COMPLETE]
    assert [one["values"] for one in told if one["status"] == "succeeded"] == complete
    assert told[3]["values"] == [trials[3].params["lr"] + 1]
    assert told[0]["params"]["optimizer.lr"] == trials[0].params["lr"]
    assert any("left out" in note for note in body["notes"])
    parsed = Definition.model_validate({"spec": SPEC, **{key: body[key] for key in ("search", "objective")}})
    for one in told:
        assert space.violations(parsed.search, one["params"]) == []


def test_one_of_several_studies_is_chosen_by_name(tmp_path: Path) -> None:
    storage = RDBStorage(f"sqlite:///{tmp_path / 'two'}")
    run_study(storage, "one")
    run_study(storage, "two")
    with pytest.raises(Invalid, match="choose one of one, two"):
        optuna_study.read(tmp_path / "two")
    with pytest.raises(Invalid, match="no study 'three'"):
        optuna_study.read(tmp_path / "two", "three")
    assert optuna_study.read(tmp_path / "two", "two")["name"] == "two"


def test_reading_leaves_the_file_as_it_is(study: tuple[optuna.Study, Path]) -> None:
    before = study[1].read_bytes()
    optuna_study.read(study[1])
    assert study[1].read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80\x04pickle", b"SQLite format 3\0rubbish", b"[1]\n", b'{"op_code": 4}\n']
)
def test_what_is_no_study_is_refused_with_the_reason(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(Invalid, match="study"):
        optuna_study.read(tmp_path / "file")


def test_another_database_and_one_with_a_view_are_refused(tmp_path: Path) -> None:
    for name, statement in (("other", "CREATE TABLE t (a)"), ("view", "CREATE VIEW trials AS SELECT 1")):
        with sqlite3.connect(tmp_path / name) as connection:
            connection.execute(statement)
        connection.close()
        with pytest.raises(Invalid):
            optuna_study.read(tmp_path / name)


@pytest.mark.django_db
def test_a_sweep_goes_through_a_study_and_back(tmp_path: Path) -> None:
    sweep = scene.create(trials=5, stopper=None)
    runs = scene.waiting(scene.advanced(sweep))
    scene.train(runs[0], 2.5)
    scene.break_down(runs[1], "out_of_memory")
    scene.advanced(sweep)
    Trial.objects.filter(sweep=sweep, number=3).update(status="stopped", values=[3.5], message="not among the best")
    optuna_study.write(sweep, tmp_path / "out.db")

    study = optuna.load_study(study_name=sweep.name, storage=f"sqlite:///{tmp_path / 'out.db'}")
    told = {one.user_attrs["hone:number"]: one for one in study.get_trials()}
    mine = {one.number: one for one in scene.trials(sweep)}
    assert {number: one.params for number, one in told.items()} == {number: one.params for number, one in mine.items()}
    assert study.metric_names == ["eval/loss"] and study.best_value == 2.5
    assert [told[number].state.name for number in (1, 2, 3, 4)] == ["COMPLETE", "FAIL", "PRUNED", "RUNNING"]
    assert told[1].intermediate_values == {100: 2.5}
    made = told[1].user_attrs["hone:runs"][0]
    assert (made["run"], made["seed"], made["spec"]["kind"]) == (runs[0].pk, 0, "pretrain")

    body = optuna_study.read(tmp_path / "out.db")
    assert Definition.model_validate({key: body[key] for key in Definition.model_fields if key in body}) == checked(
        sweep.definition
    )
    other = scene.create(name="another")
    assert import_observations(other, body["observations"]) == 3
    assert [(one.params, one.status, one.values) for one in histories.observations(other)[:3]] == [
        (one.params, one.status, one.values) for one in histories.observations(sweep)[:3]
    ]
    assert {one.source for one in scene.trials(other)} == {"imported"}


def test_rows_are_those_that_optuna_would_write(tmp_path: Path) -> None:
    theirs, ours = (RDBStorage(f"sqlite:///{tmp_path / name}") for name in ("theirs", "ours"))
    study = run_study(theirs)
    study.add_trial(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.PRUNED,
            intermediate_values={1: math.nan, 2: math.inf, 3: -math.inf, 4: 1.5},
            user_attrs={"a": [1, {"b": None}]},
        )
    )
    optuna.create_study(storage=ours, study_name="mine", direction="maximize")
    insert(ours, study.trials)
    copied = optuna.load_study(storage=ours, study_name="mine").trials
    fields = (
        "number",
        "state",
        "params",
        "distributions",
        "values",
        "user_attrs",
        "datetime_start",
        "datetime_complete",
    )
    for field in fields:
        assert [getattr(one, field) for one in copied] == [getattr(one, field) for one in study.trials]
    assert [str(one.intermediate_values) for one in copied] == [str(one.intermediate_values) for one in study.trials]


@pytest.mark.django_db
def test_maximised_series_are_written_as_measured(tmp_path: Path) -> None:
    sweep = scene.create(objective={"metric": "eval/accuracy", "goal": "maximize"})
    scene.train(scene.waiting(scene.advanced(sweep))[0], 0.75, "eval/accuracy")
    scene.advanced(sweep)
    optuna_study.write(sweep, tmp_path / "out.db")
    study = optuna.load_study(study_name=sweep.name, storage=f"sqlite:///{tmp_path / 'out.db'}")
    assert study.best_value == 0.75 and study.best_trial.intermediate_values == {100: 0.75}


@pytest.mark.django_db
def test_writing_over_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.db").write_text("mine")
    with pytest.raises(FileExistsError):
        optuna_study.write(scene.create(), tmp_path / "out.db")
    assert (tmp_path / "out.db").read_text() == "mine"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"status": "running"}, "status"),
        ({"values": [float("nan")]}, "values"),
        ({"values": [1.0, 2.0]}, "values"),
        ({"values": None}, "values"),
        ({"params": {"optimizer.lr": [1]}}, "params"),
        ({"params": 3}, "params"),
    ],
)
def test_bad_observations_are_refused_and_none_is_added(wrong: dict[str, Any], place: str) -> None:
    sweep: Sweep = scene.create()
    good = {"params": {"optimizer.lr": 1e-3, "batch_size": 4}, "status": str(TrialStatus.SUCCEEDED), "values": [1.0]}
    with pytest.raises(Invalid) as caught:
        import_observations(sweep, [good, {**good, **wrong}])
    assert caught.value.errors[0]["loc"] == ["observations", 1, place]
    assert not scene.trials(sweep)
