"""How many tokens a spec's data have, as far as it is known without reading them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.accounts.models import Project
from webapp.runs.models import Run, Upload

LIKE = ("data", "tokenizer")  # what the number of tokens hangs on, but for a few at the seams of samples


def tokens(spec: Mapping[str, Any], project: Project | None) -> int | None:
    """Of the training split: what a run on the same data counted, else the bytes of an upload of plain text."""
    return _counted(spec, project) or _of_bytes(spec)


def _counted(spec: Mapping[str, Any], project: Project | None) -> int | None:
    if project is None:
        return None
    same = {f"spec__{name}": spec[name] for name in LIKE}
    runs = Run.objects.filter(project=project, deleted_at=None, facts__data__tokens__gt=0, **same)
    found: Any = runs.order_by("-id").values_list("facts__data__tokens", flat=True).first()
    return int(found) if isinstance(found, int) else None


def _of_bytes(spec: Mapping[str, Any]) -> int | None:
    """Built-in texts and files with a token a byte; None for what is told apart in other ways."""
    data, tokenizer = spec["data"], spec["tokenizer"]
    if tokenizer is not None and tokenizer["name"] != "byte":
        return None
    size = _size(data)
    return None if size is None else int(size * (1 - data["eval_fraction"] - data["test_fraction"]))


def _size(data: Mapping[str, Any]) -> int | None:
    if data["source"] == "builtin" and data["name"] == "language-reference":
        from pydoc_data.topics import topics

        return sum(len(text.encode()) for text in topics.values())
    if data["source"] == "upload":
        upload = Upload.objects.filter(pk=data["upload"]).select_related("blob").first()
        return None if upload is None else upload.blob.size
    return None
