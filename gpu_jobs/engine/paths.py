"""Paths that a spec names. A person who may start runs may read what the worker's account may read, so a shared server
sets HONE_DATA_ROOT: nothing outside that folder is then opened, symbolic links included."""

from __future__ import annotations

import os
from pathlib import Path

from gpu_jobs.errors import JobError


def local(path: str | Path, field: str, error: type[JobError]) -> Path:
    """The real, existing path. Relative ones start from HONE_DATA_ROOT, else from the working directory.

    Raises `error`, naming `field`, when there is nothing there or it lies outside HONE_DATA_ROOT.
    """
    root = os.environ.get("HONE_DATA_ROOT")
    asked = Path(root, path) if root else Path(path).expanduser()
    try:
        real = asked.resolve()
        if root and not real.is_relative_to(Path(root).resolve()):
            raise error(
                f"{field} {str(path)!r} lies outside HONE_DATA_ROOT ({root}): move it in there, or name another"
            )
        if real.exists():
            return real
    except (OSError, ValueError) as cause:
        raise error(f"{field} {str(path)!r} can't be opened: {cause}; correct the path") from cause
    raise error(f"{field}: there is no {str(path)!r} on this worker; correct the path, or upload the file")
