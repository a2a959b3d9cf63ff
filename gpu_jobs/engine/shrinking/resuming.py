"""How far a run is, kept beside the loop's checkpoint: the smaller model, its masks, and what was measured so far.

checkpoints/step-N/          as the loop writes it; N counts from the first round's first step
  shrinking.json             round, steps before it, quality, what was changed
  pruned/                    the model as the round's training found it
  masks.safetensors          where there are masks
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_jobs.engine import compressed, models
from gpu_jobs.engine.shrinking.change import Change
from gpu_jobs.engine.shrinking.subject import Subject

ABOUT, PRUNED, MASKS = "shrinking.json", "pruned", "masks.safetensors"


@dataclass
class State:
    """`offset` are the steps of earlier rounds, `at` those of this one, where it goes on from a checkpoint."""

    round: int = 0
    offset: int = 0
    at: int = 0
    is_changed: bool = False
    seconds: float = 0.0
    change: Change = field(default_factory=Change)
    quality: dict[str, dict[str, float]] = field(default_factory=dict)
    dense: dict[str, Any] = field(default_factory=dict)  # what was measured of the model as it came

    @property
    def done(self) -> int:
        """Steps of all rounds."""
        return self.offset + self.at

    def begin(self, number: int, steps: int) -> None:
        """The next round, after one of so many steps."""
        self.round, self.offset, self.at, self.is_changed = number, self.offset + steps, 0, False


def keep(subject: Subject, state: State) -> None:
    """Writes the model as it is, for the checkpoints of the training that begins."""
    from gpu_jobs.engine.pruning import masks  # which is built on this package

    folder = _folder(subject)
    shutil.rmtree(folder, ignore_errors=True)
    compressed.save(subject.bare, folder / PRUNED)
    if state.change.masks:
        masks.save(state.change.masks, folder / MASKS)


def add(subject: Subject, state: State, checkpoint: Path, seconds: float) -> None:
    """Completes a checkpoint of the loop. Files are linked, not copied, where the disk can."""
    shutil.copytree(_folder(subject), checkpoint, dirs_exist_ok=True, copy_function=_link)
    about = {
        "round": state.round, "offset": state.offset, "quality": state.quality, "dense": state.dense,
        "change": state.change.plain(), "seconds": seconds,
    }  # fmt: skip
    (checkpoint / ABOUT).write_text(json.dumps(about))


def read(subject: Subject) -> State:
    """Goes back to the context's checkpoint: the subject's model is that of its round. Raises ModelError."""
    from gpu_jobs.engine.pruning import masks  # which is built on this package

    folder = subject.context.resume_from
    assert folder is not None
    about = json.loads((folder / ABOUT).read_text())
    step = json.loads((folder / "state.json").read_text())["step"]
    subject.bare = models.read_folder(folder / PRUNED, subject.context, subject.spec.resolved_task, subject.data.labels)
    subject.bare.config.use_cache = False
    change = Change(**about["change"])
    if (folder / MASKS).is_file():
        change.masks = masks.load(folder / MASKS)
    return State(
        about["round"], about["offset"], step, True, about["seconds"], change, about["quality"], about["dense"]
    )


def _folder(subject: Subject) -> Path:
    return subject.context.work_dir / ".shrinking"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
