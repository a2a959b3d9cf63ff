"""Files and folders of one's own: which of them are data, of which format, and what their content is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_jobs.engine.data import cache
from gpu_jobs.engine.paths import local
from gpu_jobs.errors import DataError

FORMATS = {
    "text": (".txt", ".text", ".md", ".rst", ".py", ".tex", ".html", ".log"),
    "csv": (".csv", ".tsv"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet",),
}
FORMAT_OF = {suffix: name for name, suffixes in FORMATS.items() for suffix in suffixes}


@dataclass(frozen=True)
class Files:
    """One or more files of one format, in the order in which they are read."""

    name: str
    format: str
    paths: tuple[Path, ...]

    def digest(self, root: Path) -> str:
        """Stands for the content of all files; `root` is where hashes are remembered."""
        try:
            parts = [cache.digest_of(path, root) for path in self.paths]
        except OSError as error:
            raise DataError(f"{self.name} can't be read: {error.strerror}; let the worker's account read it") from error
        return hashlib.sha256("\n".join([self.format, *parts]).encode()).hexdigest()


def find(path: Path, asked: str, field: str, name: str) -> Files:
    """The data in a file or a folder. `asked` is a format or "auto"; `field` is what messages call the path."""
    if path.is_dir():
        return _in_folder(path, asked, field, name)
    if not path.is_file():
        raise DataError(f"{field} {str(path)!r} is neither a file nor a folder: name one of these")
    if path.stat().st_size == 0:
        raise DataError(f"{field} {path.name!r} is empty: fill it, or name another file")
    return Files(name, _sniff(path) if asked == "auto" else asked, (path,))


def _in_folder(folder: Path, asked: str, field: str, name: str) -> Files:
    paths = [path for path in _visible(folder) if path.stat().st_size]
    if asked == "auto":
        paths = [path for path in paths if path.suffix.lower() in FORMAT_OF]
        found = sorted({FORMAT_OF[path.suffix.lower()] for path in paths})
        if len(found) > 1:
            raise DataError(f"{field} {str(folder)!r} holds {' and '.join(found)} files: say which in data.format")
        asked = found[0] if found else "auto"
    elif asked != "text":
        paths = [path for path in paths if path.suffix.lower() in FORMATS[asked]]
    if not paths:
        endings = ", ".join(FORMAT_OF if asked == "auto" else FORMATS[asked])
        raise DataError(f"{field} {str(folder)!r} holds no data: no file in it ends in one of {endings}; add some")
    return Files(name, asked, tuple(local(path, field, DataError) for path in paths))


def _visible(folder: Path) -> list[Path]:
    """All files below, hidden ones left out, in the order of their paths."""
    found = (path for path in folder.rglob("*") if path.is_file())
    inside = {path.relative_to(folder).as_posix(): path for path in found}
    return [inside[name] for name in sorted(inside) if not any(part.startswith(".") for part in name.split("/"))]


def _sniff(path: Path) -> str:
    """The format by the ending; an upload may have none, and then the first bytes tell Parquet and JSONL from text."""
    if path.suffix.lower() in FORMAT_OF:
        return FORMAT_OF[path.suffix.lower()]
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if start.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if start.startswith((b'{"', b"{ ")) else "text"


def texts(paths: Sequence[Path]) -> Iterator[str]:
    """The text of each file. Raises DataError at the first byte that is not UTF-8."""
    for path in paths:
        try:
            yield path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise undecodable(path.name, error) from error


def undecodable(name: str, error: UnicodeDecodeError) -> DataError:
    """Says which byte of which file is not UTF-8."""
    byte = error.object[error.start]
    return DataError(
        f"{name} is not UTF-8 text: byte 0x{byte:02x} at position {error.start:,}; convert it to UTF-8, or choose "
        "another format if it is not text"
    )
