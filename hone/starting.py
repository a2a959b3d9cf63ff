"""`hone.init`: makes the run, or, while the server is away, starts it on disk."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hone import settings
from hone.client import Client
from hone.delivery import Delivery
from hone.errors import Away, HoneError, Refused
from hone.journal import Journal
from hone.run import Run

DEEPEST = 32
logger = logging.getLogger("hone")


def init(
    project: str,
    config: Any = None,
    *,
    name: str = "",
    tags: Iterable[str] = (),
    baseline: int | None = None,
    url: str | None = None,
    token: str | None = None,
    spool: str | Path | None = None,
    every_rank: bool = False,
) -> Run:
    """Starts a run in a project (its slug), to be logged from this process.

    `config` is a dict, a dataclass, an argparse namespace or the like; it becomes the run's spec. `url`, `token` and
    `spool` are HONE_URL, HONE_TOKEN and HONE_SPOOL by default. Where the variable RANK is above 0 the run is silent, so
    that of all processes of a training only the first logs, unless `every_rank`. When the server is away the run
    starts on disk and is sent later. Raises HoneError when the server refuses, or there is no token.
    """
    if not every_rank and _rank() > 0:
        return Run(None)
    client = Client(settings.api_url(url), settings.token(token))
    body = {"project": project, "spec": _spec(config), "name": name, "tags": list(tags), "baseline": baseline}
    facts = {"url": client.url, "body": body, "id": None}
    journal = _journal(settings.spool() if spool is None else Path(spool).absolute(), facts)
    delivery = Delivery(client, journal)
    try:
        delivery.create()
    except Away as error:
        logger.warning("%s The run is kept in %s until then.", error, journal.folder)
    except Refused:
        journal.remove()
        raise
    return Run(delivery)


def _journal(spool: Path, facts: dict[str, Any]) -> Journal:
    try:
        return Journal.create(spool, facts)
    except OSError as error:
        raise HoneError(f"{spool} can't be written: {error.strerror}. Name another folder with HONE_SPOOL.") from None


def _rank() -> int:
    rank = os.environ.get("RANK", "0")
    return int(rank) if rank.isdigit() else 0


def _spec(config: Any) -> dict[str, Any]:
    told = plain({} if config is None else config)
    if not isinstance(told, dict):
        raise HoneError(f"config must hold names and values, not {type(config).__name__}.")
    if told.get("kind", "external") != "external":
        raise HoneError(f"config must not have a key 'kind' (here {told['kind']!r}): Hone keeps the kind of run there.")
    return told | {"kind": "external"}


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON holds it; what it can't hold becomes its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth == DEEPEST:
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # numpy's numbers and torch's
        return plain(value.item(), depth + 1)
    fields = getattr(value, "__dict__", None)
    has_no_text = type(value).__str__ is object.__str__  # type: ignore[comparison-overlap]
    if fields and not callable(value) and has_no_text:
        return plain({key: item for key, item in fields.items() if not key.startswith("_")}, depth + 1)
    return str(value)
