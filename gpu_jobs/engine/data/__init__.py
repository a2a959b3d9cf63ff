"""Data for training: read, split, tokenised once, packed into memory-mapped files and served as batches."""

from gpu_jobs.engine.data.loading import load, load_for
from gpu_jobs.engine.data.shuffle import order
from gpu_jobs.engine.data.splits import Data, Split

__all__ = ["Data", "Split", "load", "load_for", "order"]
