"""Published tables and the numbers published of them. Skipped where they do not lie beside the repository."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from gpu_jobs.methods.laws import step_law
from tests.gpu_jobs.kinds.fits import codes, columns, expected, published, result

EPOCH = "epoch-research_analyzing-chinchilla/svg_extracted_data.csv"
EPOCH_POINTS = {
    "source": "upload",
    "upload": 1,
    "compute": {"N": "`Model Size`", "D": "`Training FLOP` / (6 * N)"},
    "drop_highest": 5,
}
SMALL = ("d=96_l=8_h=4", "d=512_l=8_h=4", "d=576_l=24_h=8", "d=1024_l=24_h=8")
HELD_OUT = "model == 'open_lm_1b' and cc_mult == 32 or model == 'open_lm_7b' and cc_mult == 1"


def fit(table: str, folder: Path, law: dict[str, Any], points: dict[str, Any], **changes: Any) -> dict[str, Any]:
    asked = {"kind": "scaling_fit", "law": law, "points": points, "bootstrap": {"resamples": 0}, **changes}
    return result(asked, folder, published(table))


def test_epochs_replication_of_chinchilla(tmp_path: Path) -> None:
    case = expected("epoch_huber")
    told = fit(EPOCH, tmp_path, {"name": "chinchilla"}, EPOCH_POINTS)
    assert told["points"]["used"] == 240
    assert told["fit"]["starts"] == 4500
    assert told["objective"]["value"] == pytest.approx(case["objective_value"], rel=1e-6)
    assert told["parameters"] == pytest.approx(case["fitted"], rel=1e-5)
    assert told["objective"]["value"] < case["published"]["objective_value"]
    assert len(told["minima"]) == 1


def test_epochs_estimates_by_least_absolute_deviations(tmp_path: Path) -> None:
    case = expected("epoch_l1_published")
    told = fit(EPOCH, tmp_path, {"name": "chinchilla"}, EPOCH_POINTS, objective={"name": "l1_log"})
    assert told["objective"]["value"] == pytest.approx(case["objective_value"], rel=1e-9)
    assert told["parameters"] == pytest.approx(case["fitted"], rel=1e-5)


@pytest.mark.slow
def test_epochs_standard_errors_and_intervals(tmp_path: Path) -> None:
    """Their seed and draws. Their optimiser stops a little early, hence 0.5 % on intervals and 0.2 % on errors."""
    case = expected("epoch_bootstrap")
    told = fit(EPOCH, tmp_path, {"name": "chinchilla"}, EPOCH_POINTS, bootstrap={"resamples": 4000}, seed=42)
    for name, error in case["published_se"].items():
        found = told["intervals"][name]
        assert found["se"] == pytest.approx(error, rel=2e-3), name
        assert (found["low"], found["high"]) == pytest.approx(case["published_ci95"][name], rel=5e-3), name
    assert round(told["derived"]["a"], 2) == 0.51
    assert told["intervals"]["a"]["se"] == pytest.approx(0.020, abs=5e-4)
    assert told["bootstrap"]["failed"] == 0


def test_the_mean_with_the_tolerances_of_scipy_is_a_trap(tmp_path: Path) -> None:
    """The same Huber loss as a mean stops scipy's L-BFGS-B at A of about 840 and B of about 690, with success."""
    told = fit(EPOCH, tmp_path, {"name": "chinchilla"}, EPOCH_POINTS)
    N, D, loss = (np.array(told["points"]["columns"][name]) for name in ("N", "D", "loss"))

    def mean_huber(vector: Any) -> float:
        a, b, e, alpha, beta = vector
        terms = np.stack([a - alpha * np.log(N), b - beta * np.log(D), np.full(len(N), e)])
        size = np.abs(np.log(loss) - np.logaddexp.reduce(terms, axis=0))
        return float(np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4)).mean())

    trapped = optimize.minimize(mean_huber, [0.0, 0.0, -1.0, 0.0, 0.0], method="L-BFGS-B")
    case = expected("epoch_trap_mean")
    assert trapped.success
    assert 240 * trapped.fun > 1.05 * told["objective"]["value"]
    assert math.exp(trapped.x[0]) == pytest.approx(case["wrong_result"]["A"], rel=0.05)
    assert math.exp(trapped.x[1]) == pytest.approx(case["wrong_result"]["B"], rel=0.05)
    assert told["parameters"]["A"] == pytest.approx(477.83, abs=0.05)


def test_overtrained_runs_are_foreseen_as_gadre_printed(tmp_path: Path) -> None:
    """Five small runs, the two large ones, and their error through the chained law: to the last printed digit."""
    few = " or ".join(f"model == '{name}'" for name in SMALL)
    used = f"cc_mult == 1 and ({few}) or cc_mult == 16 and model == '{SMALL[0]}' or {HELD_OUT}"
    source = {"source": "upload", "upload": 1, "compute": {"loss": "loss_c4_val", "error": "err_17"}}
    squares = {"name": "least_squares"}
    one_more = f"dataset == 'rpj' and ({used} or model == 'open_lm_1b' and cc_mult == 1)"
    then = {
        "law": {"name": "overtraining", "form": "error"},
        "objective": squares,
        "points": {**source, "filter": one_more},
    }
    told = fit(
        "mlfoundations_scaling/gadre_104_flat.csv",
        tmp_path,
        {"name": "overtraining"},
        {**source, "filter": f"dataset == 'rpj' and ({used})"},
        objective=squares,
        few_points="warn",
        holdout={"where": HELD_OUT},
        then=then,
    )
    assert (told["points"]["used"], told["then"]["points"]["used"]) == (5, 6)
    errors = [100 * abs(p["relative_error"]) for part in (told, told["then"]) for p in part["holdout"]["points"]]
    printed = expected("gadre_rpj")["published_relative_errors_percent"].values()
    assert [round(error, 4) for error in errors] == pytest.approx(list(printed), abs=1e-9)
    assert "few_points" in codes(told)


@pytest.mark.parametrize(
    ("case", "dataset"), [("gadre_rpj", "rpj"), ("gadre_c4", "c4_original"), ("gadre_rw", "rw_original")]
)
def test_gadres_coefficients(case: str, dataset: str, tmp_path: Path) -> None:
    few = " or ".join(f"model == '{name}'" for name in SMALL)
    chosen = f"dataset == '{dataset}' and (cc_mult == 1 and ({few}) or cc_mult == 16 and model == '{SMALL[0]}')"
    source = {"source": "upload", "upload": 1, "compute": {"loss": "loss_c4_val"}, "filter": chosen}
    told = fit(
        "mlfoundations_scaling/gadre_104_flat.csv",
        tmp_path,
        {"name": "overtraining"},
        source,
        objective={"name": "least_squares"},
        few_points="warn",
    )
    fitted = {name: value for name, value in expected(case)["fitted"].items() if name in told["parameters"]}
    assert told["parameters"] == pytest.approx(fitted, rel=5e-4)


def test_both_minima_of_the_data_constrained_law_are_reported(tmp_path: Path) -> None:
    case = expected("datablations")
    told = _datablations(tmp_path, parameters_decay=True)
    assert told["objective"]["value"] == pytest.approx(case["lower_min"]["objective_value"], rel=1e-9)
    for known in (case["lower_min"], case["local_min"]):
        near = min(told["minima"], key=lambda each: abs(each["value"] - known["objective_value"]))
        assert near["value"] == pytest.approx(known["objective_value"], rel=1e-9)
        assert near["parameters"]["R_D_star"] == pytest.approx(known["R_D"], rel=1e-4)
        assert near["parameters"]["R_N_star"] == pytest.approx(known["R_N"], rel=1e-4)
    assert "several_minima" in codes(told)
    assert told["statistics"]["r2"] == pytest.approx(0.7910, abs=5e-5)


def test_the_data_only_variant(tmp_path: Path) -> None:
    case = expected("datablations")["data_only"]
    told = _datablations(tmp_path, parameters_decay=False)
    assert told["parameters"]["R_D_star"] == pytest.approx(case["fitted_R_D"], abs=5e-5)
    assert told["objective"]["value"] == pytest.approx(case["objective_value"], rel=1e-8)


def _datablations(folder: Path, *, parameters_decay: bool) -> dict[str, Any]:
    base = expected("datablations")["base"]
    fixed = {"A": math.exp(base["a"]), "B": math.exp(base["b"]), "E": math.exp(base["e"]), "alpha": base["alpha"]}
    source = {
        "source": "upload",
        "upload": 1,
        "compute": {"N": "params", "D": "tokens", "U": "unique_tokens", "loss": "val_loss_c4"},
    }
    law = {"name": "data_constrained", "fixed": fixed, "parameters_decay": parameters_decay}
    return fit("huggingface_datablations/c4_runs_fit_182.csv", folder, law, source)


@pytest.mark.parametrize(("case", "corpus"), [("parscale_stack", "stack_v2_python"), ("parscale_pile", "pile")])
def test_parallel_streams(case: str, corpus: str, tmp_path: Path) -> None:
    known = expected(case)
    source = {"source": "upload", "upload": 1, "compute": {"N": "nonembed_params"}, "filter": f"corpus == '{corpus}'"}
    told = fit("QwenLM_ParScale/parscale_losses.csv", tmp_path, {"name": "parscale"}, source)
    fitted = {**known["fitted"], "A": known["fitted"]["A_1e9"] * 1e9}
    for name, value in told["parameters"].items():
        assert value == pytest.approx(fitted[name], rel=1e-4), name
    assert told["objective"]["value"] == pytest.approx(known["objective_value"], rel=1e-7)
    assert told["statistics"]["r2"] == pytest.approx(fitted["R2"], abs=1e-5)


def _steps() -> tuple[Any, ...]:
    """(N, D, lr, batch in tokens, smoothed loss, the least loss of the row's (N, D))"""
    table = columns("step-law_steplaw/dense_lr_bs_loss.csv")
    N, D, lr, batch, loss = (np.array(table[name], float) for name in ("N", "D", "lr", "bs", "smooth loss"))
    least = {cell: min(loss[(cell[0] == N) & (cell[1] == D)]) for cell in set(zip(N, D, strict=True))}
    return N, D, lr, batch * 2048, loss, np.array([least[cell] for cell in zip(N, D, strict=True)])


def test_the_published_step_law_is_the_mean_of_the_released_fits() -> None:
    table = columns("step-law_steplaw/1004_fitted_lr_bs_scaling_model_parameters.csv")
    means = {name: np.mean(np.array(values, float)) for name, values in table.items()}
    known = expected("steplaw_table")["mean"]
    assert means == pytest.approx(known, abs=5e-7)
    of_lr = math.exp(means["lr_intercept"]), means["lr_coefN"], means["lr_coefD"]
    assert of_lr == pytest.approx(tuple(step_law.LEARNING_RATE[name] for name in "cnd"), rel=5e-3)
    assert (math.exp(means["bs_intercept"]), means["bs_coefD"]) == pytest.approx((0.58, 0.571), rel=5e-3)


def test_the_published_step_law_costs_little_on_the_released_grid() -> None:
    """At the grid point nearest to the law, in ln lr and ln batch, of each of the 17 settings."""
    N, D, lr, batch, loss, least = _steps()
    excess = []
    for size, tokens in sorted(set(zip(N, D, strict=True))):
        rows = np.flatnonzero((size == N) & (tokens == D))
        away = np.log(lr[rows] / step_law.learning_rate(size, tokens)) ** 2
        away += np.log(batch[rows] / step_law.batch_tokens(tokens)) ** 2
        excess.append(100 * (loss[rows[away.argmin()]] / least[rows[0]] - 1))
    assert (len(excess), round(np.mean(excess), 3), round(max(excess), 3)) == (17, 0.096, 0.310)


def test_a_refit_of_the_released_rows_does_not_give_the_published_step_law(tmp_path: Path) -> None:
    N, D, lr, batch, loss, least = _steps()
    good = loss / least - 1 < 0.0025
    known = expected("steplaw_refit")["fitted"]
    table = {"N": N[good].tolist(), "D": D[good].tolist(), "lr": lr[good].tolist(), "batch": batch[good].tolist()}
    asked: dict[str, Any] = {
        "kind": "scaling_fit",
        "law": {"name": "step_law"},
        "objective": {"name": "least_squares_log"},
        "points": {"source": "table", "columns": table},
        "bootstrap": {"resamples": 300},
    }
    told = result(asked, tmp_path)
    assert told["points"]["used"] == 129
    assert told["parameters"] == pytest.approx(
        {"c": known["lr_const"], "n": known["lr_N"], "d": known["lr_D"]}, rel=5e-4
    )
    assert told["intervals"]["d"]["high"] < step_law.LEARNING_RATE["d"]
    told = result({**asked, "law": {"name": "step_law", "of": "batch"}}, tmp_path)
    assert told["parameters"] == pytest.approx({"c": known["bs_const"], "d": known["bs_D"]}, rel=3e-3)
