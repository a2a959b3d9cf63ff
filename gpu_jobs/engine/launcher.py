"""torch's elastic launcher, which must not outlive the job that starts it: `python -m gpu_jobs.engine.launcher`."""

from __future__ import annotations

from torch.distributed.run import main

from gpu_jobs.streams import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    main()
