"""From a data source in a spec to a corpus that can be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from gpu_jobs.context import Context
from gpu_jobs.engine.data import builtin, files, hub, packages, questions
from gpu_jobs.engine.data.corpus import Corpus
from gpu_jobs.engine.data.samples import USUAL, TableSamples
from gpu_jobs.engine.data.tables import Table, open_files
from gpu_jobs.engine.paths import local
from gpu_jobs.errors import DataError
from gpu_jobs.sources import BuiltinData, HubData, PathData, Source, UploadData
from gpu_jobs.sources import Table as TableSource

NOTHING: Mapping[str, Corpus] = MappingProxyType({})


def open_corpus(source: Source, context: Context) -> Corpus:
    """Finds the data and what stands for their content, and reads them no further than that."""
    if isinstance(source, BuiltinData):
        return _builtin(source)
    if isinstance(source, HubData):
        return _hub(source)
    if isinstance(source, UploadData):
        return _files(source, _uploaded(source, context), f"upload:{source.upload}", context)
    if isinstance(source, PathData):
        return _path(source, context)
    raise DataError(f"data of the source {type(source).__name__} can't be loaded: choose builtin, path, upload or hub")


def _builtin(source: BuiltinData) -> Corpus:
    if source.name == "digits":
        raise DataError("digits are images: use them for image classification, or choose data with text")
    corpora = {
        "language-reference": builtin.language_reference,
        "stdlib-source": builtin.stdlib_source,
        "topic-questions": questions.topic_questions,
        "stdlib-packages": packages.stdlib_packages,
    }
    return corpora[source.name]()


def _uploaded(source: UploadData, context: Context) -> Path:
    path = context.inputs.get(f"upload:{source.upload}")
    if path is None or not Path(path).exists():
        raise DataError(f"upload {source.upload} is not on this worker: upload the file again, or name it with --input")
    return Path(path)


def _path(source: PathData, context: Context) -> Corpus:
    path = local(source.path, "data.path", DataError)
    named = {"eval": source.eval_path, "test": source.test_path}
    held_out = {side: _held_out(source, other, f"data.{side}_path", context) for side, other in named.items() if other}
    return _files(source, path, path.name, context, held_out)


def _held_out(source: PathData, named: str, field: str, context: Context) -> Corpus:
    path = local(named, field, DataError)
    return _files(source, path, path.name, context, field=field)


def _files(
    source: TableSource,
    path: Path,
    name: str,
    context: Context,
    held_out: Mapping[str, Corpus] = NOTHING,
    field: str = "data.path",
) -> Corpus:
    found = files.find(path, source.format, field, name)
    digest = found.digest(context.cache_dir)
    if found.format == "text":
        return Corpus(name, digest, lambda: files.texts(found.paths), held_out=held_out)
    rows = Table(
        name, lambda: open_files(found, context.cache_dir / "reading"), source.text_column, source.label_column
    )
    return _table(f"{digest} {source.text_column} {source.label_column}", rows, source, held_out)


def _table(digest: str, rows: Table, source: TableSource, held_out: Mapping[str, Corpus]) -> Corpus:
    columns = " ".join(str(getattr(source, field)) for field in USUAL)
    return Corpus(rows.name, digest, rows.texts, rows, held_out, TableSamples(rows, source), columns)


def _hub(source: HubData) -> Corpus:
    named = {"eval": source.eval_split, "test": source.test_split}
    held_out = {side: _hub_split(source, split, NOTHING) for side, split in named.items() if split is not None}
    return _hub_split(source, source.split, held_out)


def _hub_split(source: HubData, split: str, held_out: Mapping[str, Corpus]) -> Corpus:
    rows = Table(source.id, lambda: hub.open_split(source, split), source.text_column, source.label_column)
    where = [source.id, source.configuration, split, source.text_column, source.label_column]
    digest = f"{where} {hub.digest(source, lambda: rows.rows)}"
    return _table(digest, rows, source, held_out)
