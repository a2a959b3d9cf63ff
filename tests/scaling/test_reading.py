"""What a reading says of a real fit: the run's own numbers, and the same bands for the same draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_jobs.engine.laws.planning import ranked
from tests.gpu_jobs.kinds.fits import loss, points, spec_of
from tests.scaling.readings import fitted, stored
from webapp.runs import blobs
from webapp.runs.models import Artifact, Blob, Run
from webapp.runs.states import Status
from webapp.scaling import draws, reading
from webapp.scaling.reading import Reading

ASKED = [{"N": 3e8, "D": 2e10}, {"N": 2e9, "D": 1e11}]
BUDGETS = [1e19, 1e21]


def spec(**changes: Any) -> dict[str, Any]:
    return spec_of(predict=ASKED, frontier=BUDGETS, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def read(folder: Path) -> Reading:
    return fitted(spec(holdout={"largest": 3}), folder)


@pytest.fixture
def run(db: None, read: Reading, folder: Path) -> Run:
    return stored(read, folder)


def columns(name: str, of: list[dict[str, float]] | list[float]) -> Any:
    return np.array([each[name] for each in of])


def test_what_it_foresees_is_what_the_run_foresaw(read: Reading) -> None:
    """The same draws and the same seed of the noise: the last bits may differ, since draws are stored unlogged."""
    at = {name: columns(name, ASKED) for name in ("N", "D")}
    found = read.foreseen(at)
    for index, told in enumerate(read.result["predictions"]):
        assert found.value[index] == told["value"] == read.predict(at)[index]
        assert [found.band_low[index], found.band_high[index]] == pytest.approx(told["band"], rel=1e-12)
        assert [found.interval_low[index], found.interval_high[index]] == pytest.approx(told["interval"], rel=1e-12)
    np.testing.assert_array_equal(read.foreseen(at), found)
    np.testing.assert_array_equal(read.band(at), found[:3])


def test_its_optimum_is_the_runs_frontier(read: Reading) -> None:
    found = read.optimum(BUDGETS)
    assert found is not None
    for index, told in enumerate(read.result["frontier"]):
        assert (found.N[index], found.D[index], found.loss[index]) == (told["N"], told["D"], told["loss"])
        assert [found.N_low[index], found.N_high[index]] == pytest.approx(told["N_interval"], rel=1e-12)
        assert [found.D_low[index], found.D_high[index]] == pytest.approx(told["D_interval"], rel=1e-12)
        assert [found.loss_low[index], found.loss_high[index]] == pytest.approx(told["loss_band"], rel=1e-12)


def test_it_has_the_points_and_those_that_were_held_out(read: Reading) -> None:
    given = points()
    assert sorted([*read.points["loss"], *(point["measured"] for point in read.held_out)]) == sorted(given["loss"])
    assert read.points["N"].tolist() == [given["N"][row] for row in read.rows]
    assert read.points["C"] == pytest.approx(6 * read.points["N"] * read.points["D"])
    assert read.through is read.points and read.runs is None
    assert read.parameters == read.result["parameters"] and list(read.parameters) == ["E", "A", "B", "alpha", "beta"]
    assert read.draws["a"] == pytest.approx(read.draws["beta"] / (read.draws["alpha"] + read.draws["beta"]))


def test_its_residuals_are_the_runs(read: Reading) -> None:
    assert read.fitted.residuals == pytest.approx(np.array(read.result["residuals"]["values"]), abs=1e-15)


def test_its_problem_ranks_the_next_runs(read: Reading) -> None:
    """A run ten times as large tells more of the goal, and costs more than that is worth where the noise is small."""
    candidates = [{"N": 1e8, "D": 1e10}, {"N": 1e9, "D": 1e11}]
    found = ranked(read.problem(), read.fitted.known.best, candidates, goal={"N": 1e10, "D": 1e12})
    widths = {gain.flops: gain.width for gain in found}
    assert widths[6e20] < widths[6e18] < 1


def test_without_resamples_there_are_values_and_no_bands(tmp_path: Path) -> None:
    read = fitted(spec(bootstrap={"resamples": 0}), tmp_path)
    found = read.foreseen(ASKED[0])
    assert read.draws == {} and not read.has_draws and "no resamples" in read.notice
    assert found.value[0] == read.result["predictions"][0]["value"]
    assert np.isnan(found[1:]).all()
    best = read.optimum(BUDGETS)
    assert best is not None and best.N[0] == read.result["frontier"][0]["N"] and np.isnan(best.N_low).all()


def test_a_law_through_optima_has_these_beside_the_points(tmp_path: Path) -> None:
    budgets = np.repeat([1e19, 1e20, 1e21, 1e22], 9)
    sizes = np.sqrt(budgets / 120) * np.tile(np.geomspace(0.3, 3, 9), 4)
    table = {"N": sizes.tolist(), "C": budgets.tolist(), "loss": loss(sizes, budgets / (6 * sizes)).tolist()}
    asked = {"law": {"name": "isoflop"}, "frontier": [1e23], "bootstrap": {"resamples": 30}}
    read = fitted(spec_of(table, **asked), tmp_path)
    assert len(read.points["loss"]) == 36 and len(read.through["N_opt"]) == 4
    assert read.through["C"] == pytest.approx([1e19, 1e20, 1e21, 1e22])
    best = read.optimum(1e23)
    assert best is not None
    assert (best.N[0], best.N[0] * best.D[0]) == (read.result["frontier"][0]["N"], pytest.approx(1e23 / 6))
    assert np.isnan(best.loss[0])  # the law tells the best N, not the loss
    assert [best.N_low[0], best.N_high[0]] == pytest.approx(read.result["frontier"][0]["N_interval"], rel=1e-12)


def test_a_chained_law_is_a_reading_of_its_own(tmp_path: Path) -> None:
    given = points(noise=0.001)
    given["error"] = (0.9 - 0.4 * np.exp(-0.5 * np.array(given["loss"]))).tolist()
    squares = {"name": "least_squares"}
    then = {"law": {"name": "overtraining", "form": "error"}, "objective": squares}
    second = fitted(spec_of(given, then=then), tmp_path).then
    assert second is not None and second.then is None
    assert not second.has_optimum and set(second.draws) == {"eps", "k", "gamma"}
    at = np.array([2.5, 3.0])
    assert second.predict({"loss": at}) == pytest.approx(0.9 - 0.4 * np.exp(-0.5 * at), rel=1e-6)
    assert second.has_draws


def test_a_succeeded_run_is_read_from_its_artifact(run: Run, folder: Path) -> None:
    found = reading.read(run)
    assert found is not None and found.run == run
    kept = json.loads((folder / "fit.json").read_text())["draws"]
    assert {name: values.tolist() for name, values in found.draws.items()} == kept
    assert found.foreseen(ASKED[1]).value[0] == run.result["predictions"][1]["value"]
    again = reading.read(run)
    assert again is not None and again.draws["E"] is found.draws["E"]  # parsed once an artifact
    with pytest.raises(ValueError, match="read-only"):
        found.draws["E"][0] = 1.0


def test_other_runs_are_not_readings(run: Run) -> None:
    run.status = Status.RUNNING
    assert reading.read(run) is None
    run.status, run.kind = Status.SUCCEEDED, "pretrain"
    assert reading.read(run) is None
    run.kind, run.spec = "scaling_fit", {**run.spec, "law": {"name": "a law of another version"}}
    assert reading.read(run) is None


def test_a_fit_without_its_file_has_values_and_says_why_it_has_no_bands(run: Run) -> None:
    Artifact.objects.filter(run=run).delete()
    found = reading.read(run)
    assert found is not None and not found.has_draws and "no fit.json" in found.notice
    assert found.predict(ASKED[0])[0] == run.result["predictions"][0]["value"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"draws": {"E": [1, "2"]}}', "a draw is no number"),
        ('{"draws": {"E": [1, 2], "A": [1]}}', "not of one length"),
        ("[]", "it has no draws"),
        ("cposix\nsystem\n", "can't be read"),
    ],
)
def test_a_file_that_holds_no_draws_is_named(run: Run, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "other").write_text(text)
    Artifact.objects.filter(run=run).update(blob=blobs.store(tmp_path / "other"))
    found = reading.read(run)
    assert found is not None and found.draws == {} and said in found.notice


def test_a_file_beyond_the_limit_is_not_read(run: Run) -> None:
    Blob.objects.filter(artifacts__run=run).update(size=draws.LARGEST_BYTES + 1)
    draws._read.cache_clear()
    found = reading.read(run)
    assert found is not None and found.draws == {} and "larger than 64 MiB" in found.notice


def test_many_draws_are_thinned_evenly() -> None:
    kept = draws.thinned(list(range(4000)))
    assert len(kept) == 1000 and kept[0] == 0 and kept[-1] == 3999
    assert set(np.diff(kept)) == {4.0, 5.0} or set(np.diff(kept)) == {4.0}
    assert draws.thinned([1.0, None, 3]).tolist()[::2] == [1.0, 3.0]
