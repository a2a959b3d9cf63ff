"""One of several training processes, started by torch's launcher: `python -m gpu_jobs.engine.rank FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gpu_jobs.context import Context
from gpu_jobs.events import Event, Failed
from gpu_jobs.streams import claim_stdout, die_with_parent, stop_on_signal


def main(folder: Path) -> int:
    """Trains this rank's share. Rank 0 says what happens; any rank says why it failed, and the launcher ends all."""
    die_with_parent()
    emit, asked = claim_stdout(), stop_on_signal()
    from torch import distributed

    from gpu_jobs import spec as specs
    from gpu_jobs.engine import loop, ranks
    from gpu_jobs.outcomes import guard

    job = json.loads((folder / "job.json").read_text())
    context = _context(job, lambda: asked() or (folder / "stop").exists())
    here = ranks.join()
    last: Event | None = None
    for last in guard(loop.train(specs.parse(job["spec"]), context, here)):  # type: ignore[arg-type]
        if here.is_main or isinstance(last, Failed):
            emit(last)
    if isinstance(last, Failed):
        return 1
    distributed.destroy_process_group()
    return 0


def _context(job: dict, should_stop) -> Context:  # type: ignore[type-arg, no-untyped-def]
    return Context(
        work_dir=Path(job["work_dir"]),
        cache_dir=Path(job["cache_dir"]),
        inputs={name: Path(path) for name, path in job["inputs"].items()},
        resume_from=Path(job["resume_from"]) if job["resume_from"] else None,
        should_stop=should_stop,
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
