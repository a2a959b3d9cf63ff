"""`load`: from a data source in a spec to batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from gpu_jobs.context import Context
from gpu_jobs.engine.data import cache, images, tokenizers
from gpu_jobs.engine.data.answers import pack_answers
from gpu_jobs.engine.data.classes import number
from gpu_jobs.engine.data.corpus import Corpus
from gpu_jobs.engine.data.opening import open_data
from gpu_jobs.engine.data.packing import pack_classes, pack_text
from gpu_jobs.engine.data.request import Packing, Request, decide
from gpu_jobs.engine.data.sources import open_corpus
from gpu_jobs.engine.data.splits import Data
from gpu_jobs.errors import DataError
from gpu_jobs.sources import Data as DataOptions
from gpu_jobs.sources import Form

FORMAT = 1  # raise when the meaning of the packed files changes
TASKS = ("causal_lm", "masked_lm", "sequence_classification", "image_classification")


def load_for(
    spec: Any,
    source: DataOptions,
    tokenizer: Any,
    context: Context,
    *,
    form: Form | Literal["auto"] = "auto",
    sequence_length: int | None = None,
) -> Data:
    """`source` as the task of a spec reads data, one of its own or another; at its own length where none is given."""
    return load(
        source,
        task=spec.resolved_task,
        tokenizer=tokenizer,
        sequence_length=sequence_length or spec.sequence_length,
        context=context,
        seed=spec.seed,
        form=form,
        packing=spec.packing,
    )


def load(
    source: DataOptions,
    *,
    task: str,
    tokenizer: Any,
    sequence_length: int,
    context: Context,
    seed: int,
    form: Form | Literal["auto"] = "text",
    packing: Packing | Literal["auto"] = "auto",
) -> Data:
    """The data of `source` as splits for `task`.

    `tokenizer` is {"name": "byte"}, {"name": "bpe", "vocab": 4096} or one that is ready: that of the base model, or of
    other data; None for images. `form` says what a sample is; auto goes by the columns. The division into splits does
    not depend on `seed`, so that runs with other seeds are judged by the same samples; the seed orders them (`order`).
    Raises DataError.
    """
    if task == "image_classification":
        return images.load(source, context)
    if task not in TASKS:
        raise DataError(f"task {task!r} is unknown: choose one of {', '.join(TASKS)}")
    corpus = open_corpus(source, context)
    request = decide(
        source, corpus, context,
        task=task, tokenizer=tokenizer, sequence_length=sequence_length, form=form, packing=packing,
    )  # fmt: skip
    shares = {side: share for side, share in source.shares().items() if side not in corpus.held_out}
    root, key = context.cache_dir / "data", cache.key_of(_parts(corpus, request, shares))
    folder = cache.folder(root, key, lambda folder: _pack(corpus, request, shares, folder))
    return open_data(folder, request, corpus.name)


def _parts(corpus: Corpus, request: Request, shares: Mapping[str, float]) -> dict[str, Any]:
    """What the packed files hang on. What only some data have is named only there: the keys of all others stay."""
    digests = {side: other.digest for side, other in corpus.held_out.items()}
    some: dict[str, Any] = {"test": digests.get("test"), "test_fraction": shares.get("test")}
    if request.template is not None:
        rendered = {"template": request.template, "has_template": request.has_template}
        some |= {"form": request.form, "columns": corpus.columns, **rendered}
    elif _is_apart(request):
        some |= {"apart": True}
    return {
        "format": FORMAT,
        "task": request.task,
        "content": corpus.digest,
        "held_out": digests.get("eval"),
        "tokenizer": tokenizers.identity(request.tokenizer),
        "eval_fraction": shares.get("eval"),
        **{name: value for name, value in some.items() if value is not None},
    }


def _is_apart(request: Request) -> bool:
    """Whether texts are samples of their own, without classes."""
    return request.task != "sequence_classification" and request.packing != "joined"


def _pack(corpus: Corpus, request: Request, shares: Mapping[str, float], folder: Path) -> None:
    if request.template is not None:
        pack_answers(corpus, request, request.template, shares, folder)
    elif request.task == "sequence_classification":
        pack_classes(corpus, *number(corpus), request.tokenizer, shares, folder)
    else:
        masks = request.task == "masked_lm"
        pack_text(corpus, request.tokenizer, shares, folder, apart=_is_apart(request), masks=masks)
