"""The one entry to every job, where what can go wrong becomes an outcome with a sentence that says what to change."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.errors import Diverged, JobError
from gpu_jobs.events import Event, Failed
from gpu_jobs.spec import JobSpec

# How torch spells "no memory" where it raises a plain RuntimeError.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "Cannot allocate memory")
_ADVICE = (
    "Lower what one GPU holds at once: raise accumulation, turn on gradient_checkpointing, use precision bf16, "
    "shorten sequence_length, train an adapter (method lora), share the model over GPUs (parallel fsdp), or take a "
    "smaller model."
)


def run(spec: JobSpec, context: Context) -> Iterator[Event]:
    """Runs a job of any kind. Its own errors end the stream with Failed; any other exception is a bug and is raised."""
    return guard(registry.kinds()[spec.kind].run(spec, context))


def guard(events: Iterator[Event]) -> Iterator[Event]:
    """The same events, with the errors that a person can do something about as the last of them."""
    try:
        yield from events
    except Diverged as error:
        yield _failed("diverged", error)
    except JobError as error:
        yield _failed("failed", error)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        yield _failed("out_of_memory", error, f"Not enough memory: {_first_line(error)}. {_ADVICE}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch's allocator on the CPU, or CUDA had no memory left."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:300]


def _failed(outcome: str, error: Exception, message: str = "") -> Failed:
    return Failed(
        outcome=outcome,  # type: ignore[arg-type]
        error=type(error).__name__,
        message=message or str(error),
        traceback="".join(traceback.format_exception(error)),
    )
