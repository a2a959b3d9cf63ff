"""Training jobs: a spec goes in, a stream of events comes out. `run` is the one entry."""

from gpu_jobs.outcomes import run

__all__ = ["run"]
