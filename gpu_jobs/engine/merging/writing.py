"""Writes the merged model, piece by piece, into files like those of the base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu_jobs import registry
from gpu_jobs.deltas import Chunk, MergerKnobs, Stream
from gpu_jobs.engine.export import ABOUT
from gpu_jobs.engine.merging import ternary
from gpu_jobs.engine.merging.experts import Party
from gpu_jobs.engine.merging.weights import DTYPES, INDEX, Writer, pieces

CONFIGS = ("config.json", "generation_config.json")


class Merge:
    """A method on the experts of a party: what it had to survey is known from here on."""

    def __init__(self, party: Party, method: MergerKnobs, weights: tuple[float, ...], seed: int) -> None:
        self.party, self.method = party, method
        self.module = registry.method_of(method).module
        self.stream: Stream = party.stream(weights, seed, whole=getattr(self.module, "WHOLE", False))
        self.state = self.module.survey(method, self.stream) if hasattr(self.module, "survey") else None

    def merged(self, chunk: Chunk) -> Tensor:
        """The merged values of a piece, in float32."""
        change: Tensor = self.module.combine(self.method, chunk, self.state)
        return chunk.base + change * self.method.scale

    def write(self, folder: Path) -> None:
        """Writes the weights and the configuration, without tokenizer."""
        base = self.party.base
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in (*CONFIGS, INDEX):
            if (base.folder.path / name).is_file():
                shutil.copyfile(base.folder.path / name, folder / name)
        for file, tensors in base.weights.files().items():
            writer = Writer(folder / file, tensors)
            for name, about in tensors.items():
                for piece in self._merged(name) if about.is_float else self._kept(name):
                    writer.append(piece.to(DTYPES[about.dtype]))
            writer.close()

    def _merged(self, name: str) -> Iterator[Tensor]:
        return map(self.merged, self.stream.read(name))

    def _kept(self, name: str) -> Iterator[Tensor]:
        weights = self.party.base.weights
        return (weights.rows(name, *rows) for rows in pieces(weights.tensors[name].shape))

    def write_deltas(self, folder: Path) -> dict[str, int] | None:
        """Bytes of each expert's compressed delta, by its name; None for a method that compresses nothing."""
        if not hasattr(self.module, "codes"):
            return None
        magnitudes = self.module.magnitudes(self.method, self.state)
        return {
            expert.name: ternary.save(folder / f"{number + 1}.safetensors", self._codes(number), magnitudes[number])
            for number, expert in enumerate(self.party.experts)
        }

    def _codes(self, expert: int) -> Iterator[tuple[str, Tensor]]:
        for name in self.stream.names:
            found = [self.module.codes(self.method, chunk, self.state)[expert] for chunk in self.stream.read(name)]
            if found:
                yield name, torch.cat(found) if found[0].ndim else found[0]


def finish(folder: Path, tokenizer: Any, about: dict[str, Any]) -> None:
    """Adds the tokenizer, and what the folder is."""
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n")
