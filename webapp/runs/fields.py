"""The rules of what people write about a run: its name, tags, priority, queue and baseline."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from webapp.accounts.errors import FieldError
from webapp.accounts.models import Project
from webapp.runs.models import Queue, Run

LONGEST_NAME, LONGEST_TAG, MOST_TAGS = 200, 60, 50
PRIORITIES = range(-1000, 1001)
QUEUE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")


class Unset:
    """The type of UNSET: a field that nobody spoke of, where None means "clear it"."""


UNSET: Final = Unset()


def checked(
    errors: list[FieldError],
    *,
    name: str | None = None,
    tags: Iterable[str] | None = None,
    priority: int | None = None,
    queue: str | None = None,
) -> dict[str, Any]:
    """The columns of what is not None. What breaks a rule is appended to `errors`."""
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = _name(errors, name)
    if tags is not None:
        changes["tags"] = _tags(errors, tags)
    if priority is not None:
        changes["priority"] = _priority(errors, priority)
    if queue is not None:
        changes["queue"] = _queue(errors, queue)
    return changes


def _fail(errors: list[FieldError], field: str, message: str) -> None:
    errors.append({"loc": [field], "msg": message})


def _name(errors: list[FieldError], name: str) -> str:
    name = " ".join(name.replace("\x00", "").split())
    if not 1 <= len(name) <= LONGEST_NAME:
        _fail(errors, "name", f"name must have 1 to {LONGEST_NAME} characters, not {len(name)}.")
    return name


def _tags(errors: list[FieldError], tags: Iterable[str]) -> list[str]:
    """Sorted, each once."""
    cleaned = {" ".join(tag.replace("\x00", "").split()) for tag in tags} - {""}
    for tag in cleaned:
        if len(tag) > LONGEST_TAG or "," in tag:
            _fail(errors, "tags", f"A tag must have at most {LONGEST_TAG} characters and no comma: {tag!r}.")
    if len(cleaned) > MOST_TAGS:
        _fail(errors, "tags", f"A run has at most {MOST_TAGS} tags, not {len(cleaned)}.")
    return sorted(cleaned)


def _priority(errors: list[FieldError], priority: int) -> int:
    if priority not in PRIORITIES:
        _fail(errors, "priority", f"priority must lie between {PRIORITIES[0]} and {PRIORITIES[-1]}, not {priority}.")
    return priority


def _queue(errors: list[FieldError], name: str) -> Queue | None:
    """A queue comes into being when it is first named."""
    if not QUEUE_NAME.fullmatch(name):
        rule = "1 to 60 of the characters a-z 0-9 . _ - and begin with a letter or a digit"
        _fail(errors, "queue", f"queue must have {rule}, not {name!r}.")
        return None
    return Queue.objects.get_or_create(name=name)[0]


def baseline(errors: list[FieldError], run: Run | int | None, project: Project, of: Run | None = None) -> Run | None:
    """A run of the same project, and not the run itself."""
    if run is None:
        return None
    baseline_id = run.pk if isinstance(run, Run) else run
    found = Run.objects.filter(pk=baseline_id, project=project, deleted_at=None).first()
    if found is None:
        _fail(
            errors,
            "baseline",
            f"baseline must be a run of project {project.slug}, which has no run {baseline_id}.",
        )
    elif of is not None and found.pk == of.pk:
        _fail(errors, "baseline", f"baseline must be another run than {of.pk} itself.")
    return found
