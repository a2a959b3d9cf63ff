"""Checkpoints, models and files of a run, by folder."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.runs.models import Artifact, Run


@dataclass(frozen=True)
class Folder:
    """A checkpoint or model (several files that belong together), or a single file without a folder."""

    name: str
    type: str
    step: int | None
    files: list[Artifact]

    @property
    def is_folder(self) -> bool:
        return bool(self.files[0].folder)

    @property
    def size(self) -> int:
        return sum(file.blob.size for file in self.files)


def folders_of(run: Run) -> list[Folder]:
    """The model first, then checkpoints from the newest, then files."""
    folders: dict[str, list[Artifact]] = {}
    for file in run.artifacts.select_related("blob"):
        folders.setdefault(file.folder or file.path, []).append(file)
    found = [Folder(name, files[0].type, files[0].step, files) for name, files in folders.items()]
    return sorted(found, key=_place)


def _place(folder: Folder) -> tuple[int, int, str]:
    order = (Artifact.Type.MODEL, Artifact.Type.CHECKPOINT, Artifact.Type.FILE)
    return order.index(Artifact.Type(folder.type)), -(folder.step or 0), folder.name
