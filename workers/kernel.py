"""What the Linux kernel is asked for about processes. No-ops elsewhere, where only the pipes' ends tell of a death."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
SIGKILL = 9


def die_with_parent() -> None:
    """SIGKILL for this process when the thread that made it ends, however that comes about."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def out_of_memory_kills() -> int:
    """How often the kernel has killed for memory: in this container where cgroup v2 tells, else on this machine."""
    for path in (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")):
        try:
            words = path.read_text().split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return 0
