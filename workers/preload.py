"""What the forkserver imports before its first fork, so that a run starts in milliseconds. Nothing may touch CUDA.

Imported in the forkserver only. The kernel kills the forkserver when the worker dies, and each child when the
forkserver dies, so that no training process outlives its worker. A session of its own keeps the terminal's Ctrl-C away.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import pkgutil
import signal
from collections.abc import Iterator
from contextlib import suppress

from webapp import env
from workers.kernel import die_with_parent

LIBRARIES = (
    "torch",
    "transformers",
    "transformers.modeling_utils",
    "transformers.models.llama.modeling_llama",
    "peft",
    "peft.peft_model",
    "safetensors.torch",
    "psutil",
    "pydoc_data.topics",
)


def main() -> None:
    os.setsid()
    die_with_parent()
    # A child is asked to stop by SIGTERM: one that comes before it listens waits until it does.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for name in (*LIBRARIES, *_modules("gpu_jobs")):
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # the run that needs it says so
    _fill_caches()
    gc.collect()
    gc.freeze()  # the children share these pages


def _fill_caches() -> None:
    """What is worked out once a process: patterns of weight names, validators, versions, the code's commit."""
    with suppress(ImportError, AttributeError):
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("llama")  # type: ignore[no-untyped-call]
    with suppress(ImportError, AttributeError):
        from gpu_jobs import registry, spec
        from gpu_jobs.engine import provenance

        for kind in registry.kinds():
            spec.schema(kind)
        with suppress(ValueError):
            spec.parse({})
        provenance.versions(), provenance.cpu_model(), provenance.git(env.ROOT)


def _modules(package: str) -> Iterator[str]:
    """Every module of a package that has no __main__ in its name."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    for found in pkgutil.walk_packages(folders, f"{package}.") if folders else ():
        if not found.name.endswith("__main__"):
            yield found.name


main()
