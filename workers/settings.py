"""The bridge's settings, from the environment."""

from __future__ import annotations

from pathlib import Path

from webapp import env

HEARTBEAT_S = env.integer("HONE_HEARTBEAT_S", 3)
STOP_GRACE_S = env.integer("HONE_STOP_GRACE_S", 60)
BATCH_S = 0.2  # points of a run are committed at most so often


def home(name: str) -> Path:
    """A private folder of this worker under HONE_HOME: work, cache or journal."""
    folder = env.home() / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
