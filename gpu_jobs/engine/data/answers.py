"""Packs prompts and answers: tokens one after the other as `packing` does, and beside them which of them are answers.

`train.bin` holds the rows' tokens, `train.answers.bin` one byte for each of them, 1 for answers, and
`train.offsets.npy` where each row begins. Of preferences two rows make a sample: the better answer, then the worse one.
`answers.json` says whether the rows were rendered as messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from gpu_jobs.engine.data.chat import Rendering
from gpu_jobs.engine.data.corpus import Corpus, Sample
from gpu_jobs.engine.data.packing import BATCH, Divider, Packed, Writer, batched, encoder_for, sides
from gpu_jobs.engine.data.request import Request
from gpu_jobs.errors import DataError
from gpu_jobs.sources import Form


def pack_answers(corpus: Corpus, request: Request, template: str, shares: Mapping[str, float], folder: Path) -> None:
    """Samples divided by their keys. Raises DataError."""
    form = request.form
    read = reader(corpus, form)
    divider = Divider(((sample.key, 1) for sample in read()), shares)
    training = (text for sample in read() if divider.side(sample.key) == "train" for text in _texts(sample))
    encoder = encoder_for(request.tokenizer, training, folder)
    rendering = Rendering(encoder, template, pairs_too=request.has_template)
    with ExitStack() as stack:
        writers = {side: stack.enter_context(_Writers(folder, side)) for side in sides(corpus, shares)}
        _write(read, rendering, lambda sample: writers[divider.side(sample.key)])
        for side, other in corpus.held_out.items():
            _write(reader(other, form), rendering, partial(_always, writers[side]))
    for side, writer in writers.items():
        np.save(folder / f"{side}.offsets.npy", writer.tokens.offsets())
    (folder / "answers.json").write_text(json.dumps({"has_messages": rendering.has_messages}))
    tokens = {side: sum(writer.tokens.lengths) for side, writer in writers.items()}
    Packed(folder, encoder.dtype.name, tokens).write()


def reader(corpus: Corpus, form: Form) -> Callable[[], Iterator[Sample]]:
    """What reads the samples, again and again. Raises DataError where there are none of this form."""
    samples = corpus.samples
    if samples is None:
        raise DataError(
            f"{corpus.name} holds no {form}: choose data with columns for it (data.prompt_column, data.answer_column, "
            "data.messages_column, data.chosen_column and data.rejected_column name them), such as the built-in "
            "topic-questions"
        )
    return lambda: samples.read(form)


def _texts(sample: Sample) -> Iterator[str]:
    """All that is said in it."""
    for part in (sample.prompt, *sample.answers):
        yield from [part] if isinstance(part, str) else (message["content"] for message in part)


class _Writers(ExitStack):
    """A side's two files."""

    def __init__(self, folder: Path, side: str) -> None:
        super().__init__()
        self.tokens = self.enter_context(Writer(folder, side))
        self.answers = self.enter_context(Writer(folder, f"{side}.answers"))


def _always(writer: _Writers, _: Sample) -> _Writers:
    return writer


def _write(read: Callable[[], Iterator[Sample]], rendering: Rendering, writer_of: Callable[[Sample], _Writers]) -> None:
    for batch in batched(read(), BATCH):
        for sample, rows in zip(batch, rendering.rows(batch), strict=True):
            writer = writer_of(sample)
            for row in rows:
                writer.tokens.append(row.ids)
                writer.answers.append(row.answers)
