"""Data sets of the Hugging Face hub; needs a network, or a copy in the Hugging Face cache of the machine."""

from __future__ import annotations

import re
from typing import Any

from gpu_jobs.errors import DataError
from gpu_jobs.sources import HubData

COMMIT = re.compile(r"[0-9a-f]{40}")


def open_split(source: HubData, split: str) -> Any:
    """The `datasets.Dataset` of one split. Scripts of a repository are never run (`datasets` 4 has no way to)."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        return load_dataset(source.id, name=source.configuration, revision=source.revision, split=split)
    except (DatasetsError, ValueError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"the data set {source.id!r} can't be loaded from the hub: {reason}; check its id, configuration and "
            "split, and that this worker has a network"
        ) from error


def digest(source: HubData, rows: Any) -> str:
    """A commit stands for the content for ever; otherwise what `datasets` computed for the loaded rows does."""
    if source.revision and COMMIT.fullmatch(source.revision):
        return f"commit {source.revision}"
    return f"rows {rows()._fingerprint}"
