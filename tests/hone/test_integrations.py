"""The Trainers of transformers and of Lightning log through Hone as they train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import hone
from tests.api.world import World
from webapp.metrics import queries
from webapp.runs.models import Run as Stored

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ready(
    environment: Callable[[str], None], live_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment("editor")
    monkeypatch.setenv("HONE_SPOOL", str(tmp_path / "spool"))


class Line(torch.nn.Module):
    """y = wx, whose loss is told as transformers wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(1, 1, bias=False)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": ((self.linear(x) - labels) ** 2).mean()}


POINTS = [{"x": torch.tensor([float(x)]), "labels": torch.tensor([2.0 * x])} for x in range(1, 9)]


def trained(tmp_path: Path, **options: Any) -> Any:
    from transformers import Trainer, TrainingArguments

    from hone.integrations.transformers import HoneCallback

    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=6, logging_steps=1, eval_strategy="steps", eval_steps=3,
        per_device_train_batch_size=4, learning_rate=0.01, report_to=[], save_strategy="no", use_cpu=True,
        disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(Line(), arguments, train_dataset=POINTS, eval_dataset=POINTS, callbacks=[HoneCallback(**options)])
    trainer.train()
    return trainer


def test_the_trainer_logs_what_it_reports_and_ends_the_run(tmp_path: Path) -> None:
    trainer = trained(tmp_path, project="alpha", name="by the trainer")
    run = Stored.objects.get(name="by the trainer")
    assert (run.status, run.spec["training"]["learning_rate"]) == ("succeeded", 0.01)
    for metric, key in (("train/loss", "loss"), ("eval/loss", "eval_loss")):
        told = [(entry["step"], entry[key]) for entry in trainer.state.log_history if key in entry]
        points = queries.raw(run.pk, metric)
        assert list(zip(points.steps.tolist(), points.values.tolist(), strict=True)) == told and told


def test_a_run_of_ones_own_stays_open(tmp_path: Path) -> None:
    with hone.init("alpha", name="own") as run:
        trained(tmp_path, run=run)
        run.log({"after": 1.0})
    names = queries.names(Stored.objects.get(name="own").pk)
    assert {"after", "train/loss"} <= set(names)


def test_lightning_logs_its_metrics_and_hyperparameters(tmp_path: Path) -> None:
    import pytorch_lightning as lightning

    from hone.integrations.lightning import HoneLogger

    class Model(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self, lr: float) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.line = Line()
            self.told: list[float] = []

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            loss = self.line(**batch)["loss"]
            self.log("train/loss", loss)
            self.told.append(float(loss.detach()))
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])

    model, logger = Model(lr=0.01), HoneLogger(project="alpha", name="by lightning")
    trainer = lightning.Trainer(
        max_steps=6, log_every_n_steps=1, logger=logger, accelerator="cpu", enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(model, torch.utils.data.DataLoader(POINTS, batch_size=4))
    run = Stored.objects.get(name="by lightning")
    assert (run.status, run.spec["lr"], logger.version) == ("succeeded", 0.01, run.pk)
    assert queries.raw(run.pk, "train/loss").values.tolist() == model.told
