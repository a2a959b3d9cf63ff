"""The digits against scikit-learn's own copy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpu_jobs.engine.data import Data
from gpu_jobs.sources import BuiltinData

Load = Callable[..., Data]
DIGITS, TASK = BuiltinData(name="digits"), "image_classification"


def samples(data: Data) -> list[tuple[bytes, int]]:
    batches = [split.batch(np.arange(len(split))) for split in (data.train, data.eval)]
    return [
        (image.tobytes(), int(label))
        for batch in batches
        for image, label in zip(batch["pixel_values"].numpy(), batch["labels"], strict=True)
    ]


def test_all_digits_are_there_with_their_classes(load: Load) -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    expected = [
        ((image / 8 - 1).astype(np.float32).tobytes(), int(label))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    ]
    data = load(DIGITS, TASK)
    assert sorted(samples(data)) == sorted(expected)
    assert data.labels == list("0123456789") and data.image_shape == (1, 8, 8)
    assert data.tokenizer is None and data.vocab_size == 0


def test_batches_are_what_a_vision_model_takes(load: Load) -> None:
    batch = load(DIGITS, TASK).train.batch(np.array([3, 1, 4]))
    assert batch["pixel_values"].shape == (3, 1, 8, 8) and str(batch["pixel_values"].dtype) == "torch.float32"
    assert batch["pixel_values"].min() >= -1 and batch["pixel_values"].max() <= 1


def test_the_sides_share_no_image_and_have_the_sizes_asked_for(load: Load) -> None:
    data = load(BuiltinData(name="digits", eval_fraction=0.25), TASK)
    train = {image for image, _ in samples(data)[: len(data.train)]}
    evaluation = {image for image, _ in samples(data)[len(data.train) :]}
    assert not train & evaluation and len(data.eval) == pytest.approx(1797 / 4, abs=2)


def test_the_second_load_needs_no_scikit_learn(load: Load, tmp_path: Path) -> None:
    load(DIGITS, TASK)
    script = (
        "import sys; sys.modules['sklearn'] = None\n"  # importing it now raises ImportError
        "from pathlib import Path; from gpu_jobs.context import Context; from gpu_jobs.engine import data\n"
        "from gpu_jobs.sources import BuiltinData\n"
        "d = data.load(BuiltinData(name='digits'), task='image_classification', tokenizer=None, sequence_length=1,\n"
        "  context=Context(Path(sys.argv[1]), Path(sys.argv[1]) / 'cache'), seed=0); print(len(d.train) + len(d.eval))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1797\n"
