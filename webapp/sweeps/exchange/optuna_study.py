"""Optuna studies from and to files: an RDB storage in SQLite (what is written), or a journal file.

Optuna keeps JSON in both, and nothing is unpickled. A file that somebody has uploaded is opened as a copy, and an
SQLite file only when it holds plain tables: a view or a trigger could run for ever.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webapp.accounts.errors import Invalid
from webapp.sweeps.exchange import optuna_reading, optuna_writing

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from webapp.sweeps.models import Sweep

MOST_BYTES = 256 * 2**20
MAGIC = b"SQLite format 3\0"


def read(path: Path | str, study: str | None = None, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A study as the body of a sweep, less its project, with "observations" and "notes".

    `study` chooses one of several; `names` maps Optuna's names of parameters to paths of the job spec. The body has a
    "spec" only where the study was written by `write`. Raises Invalid.
    """
    with _opened(Path(path)) as storage:
        return optuna_reading.body(storage, _chosen(storage, study), names or {})


def write(sweep: Sweep, path: Path | str) -> None:
    """The sweep as an SQLite file that `optuna.load_study` opens. Raises FileExistsError rather than write into one."""
    place = Path(path)
    if place.exists() and place.stat().st_size:
        raise FileExistsError(place)
    optuna_writing.write(sweep, place)


@contextmanager
def _opened(path: Path) -> Iterator[BaseStorage]:
    if path.stat().st_size > MOST_BYTES:
        raise Invalid.field("file", f"A study has at most {MOST_BYTES:,} bytes, not {path.stat().st_size:,}.")
    logging.getLogger("optuna").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="hone-study-") as folder:
        copy = Path(shutil.copyfile(path, Path(folder) / "study"))
        is_sqlite = copy.read_bytes()[: len(MAGIC)] == MAGIC
        with _sqlite(copy) if is_sqlite else _journal(copy) as storage:
            yield storage


@contextmanager
def _sqlite(path: Path) -> Iterator[BaseStorage]:
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    _refuse_programs(path)
    try:
        storage = RDBStorage(f"sqlite:///{path}")
    except (SQLAlchemyError, RuntimeError, AssertionError) as error:
        raise _unreadable(error) from None
    try:
        yield storage
    except SQLAlchemyError as error:
        raise _unreadable(error) from None
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def _journal(path: Path) -> Iterator[BaseStorage]:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError, RecursionError) as error:
        raise _unreadable(error) from None
    yield storage


def _refuse_programs(path: Path) -> None:
    try:
        with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
            kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT type FROM sqlite_master")}
        connection.close()
    except sqlite3.Error as error:
        raise _unreadable(error) from None
    if strange := kinds - {"table", "index"}:
        raise Invalid.field("file", f"A study's database has tables alone; this one has a {min(strange)}.")


def _chosen(storage: BaseStorage, name: str | None) -> str:
    names = [study.study_name for study in storage.get_all_studies()]
    if not names:
        raise Invalid.field("file", "There is no study in this file.")
    if name is None and len(names) > 1:
        raise Invalid.field(
            "study", f"There are several studies in this file: choose one of {', '.join(names)[:1000]}."
        )
    if name is not None and name not in names:
        raise Invalid.field("study", f"There is no study {name!r}: choose one of {', '.join(names)[:1000]}.")
    return name or names[0]


def _unreadable(error: Exception) -> Invalid:
    reason = " ".join(str(error).split())[:200]
    return Invalid.field(
        "file", f"This is not a study that Optuna 5 reads (an SQLite storage or a journal file): {reason}. "
        "One of an older Optuna is first brought up to date with `optuna storage upgrade`."
    )  # fmt: skip
