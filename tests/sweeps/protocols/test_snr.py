"""Signal and noise of planted models over two sizes."""

from __future__ import annotations

import pytest

from tests.sweeps.protocols.study import PRETRAIN, Series, row
from webapp.sweeps.protocols import snr

KNOBS = snr.Knobs(name="snr", sizes=["small", "target"], checkpoints=2)
LABELS = {1: {"size": "small"}, 2: {"size": "target"}}


def analysed(curves: dict[tuple[int, float], list[float]], knobs: snr.Knobs = KNOBS) -> dict[str, snr.Line]:
    """`curves`: by sweep and by the value that makes the models differ."""
    rows, series = [], Series()
    for (sweep, value), values in curves.items():
        found = row({"optimizer.weight_decay": value}, values[-1], sweep=sweep)
        series.add(found.run, "eval/loss", values)
        rows.append(found)
    return {line.size: line for line in snr.analyse(knobs, rows, series, LABELS).lines}


def test_signal_noise_and_their_ratio_are_those_of_the_last_checkpoints() -> None:
    lines = analysed({(1, 0.1): [99, 1.9, 2.1], (1, 0.2): [99, 3.8, 4.2]})
    small = lines["small"]
    assert small.signal == pytest.approx((4 - 2) / 3)
    assert small.noise == pytest.approx(0.05)  # of both: .1 / 2 and .2 / 4
    assert small.ratio == pytest.approx((2 / 3) / 0.05)
    assert not small.noisy


def test_identical_models_have_no_signal_and_are_marked_as_noisy() -> None:
    lines = analysed({(1, 0.1): [2.0, 2.2], (1, 0.2): [2.0, 2.2]})
    assert (lines["small"].signal, lines["small"].ratio, lines["small"].noisy) == (0, 0, True)


def test_decisions_are_compared_with_the_target_size() -> None:
    small, target = [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]
    curves = {(sweep, i): [v, v] for sweep, of in ((1, small), (2, target)) for i, v in enumerate(of)}
    lines = analysed(curves)  # type: ignore[arg-type]
    assert lines["small"].decision_accuracy == pytest.approx(2 / 3)
    assert lines["target"].decision_accuracy == 1


def test_a_run_that_did_not_end_says_nothing() -> None:
    failed = row({"optimizer.weight_decay": 0.1}, 2.0, status="diverged")
    result = snr.analyse(KNOBS, [failed], Series(), LABELS)
    assert result.lines == [] and result.outcomes.diverged == 1


def test_the_plan_evaluates_often_enough_for_late_checkpoints() -> None:
    (small, _) = snr.plan(snr.Knobs(name="snr", sizes=["1x16", "2x16"], checkpoints=5), PRETRAIN)
    assert small.definition["spec"]["eval_every"] == 2  # 20 steps, 10 evaluations
    assert small.definition["search"]["space"]["optimizer.weight_decay"] == {"choices": [0, 0.01, 0.1]}
