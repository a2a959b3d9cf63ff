"""Where the column of a law stands in a run: a metric, or a place in what the run was asked, told first, or left.

A place as text: `eval/loss` is a metric's last value, `min:eval/loss` its least (first, last, min, max, mean);
`facts.parameters.total`, `spec.optimizer.lr` and `result.tokens` are paths; a usual column's name is that column.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from gpu_jobs import shapes
from webapp.metrics.summary import Summary

Cell: TypeAlias = float | str | None
STATISTICS = {"last": "last", "first": "first", "min": "minimum", "max": "maximum", "mean": "mean"}
ROOTS = ("facts", "result", "spec")
LARGEST = sys.float_info.max  # a NaN is not below it


class Metric(NamedTuple):
    """Of one metric, a field of its summary."""

    name: str
    statistic: str = "last"


class Path(NamedTuple):
    """Inside a JSON column of the run; `is_text` reads what stands there as it is written."""

    root: str
    keys: tuple[str, ...]
    is_text: bool = False


class Product(NamedTuple):
    """Of what stands in several paths, and of a factor."""

    paths: tuple[Path, ...]
    factor: float = 1.0


class Size(NamedTuple):
    """Weights of the matrices between embeddings and output layer, counted from the model's config."""

    paths: tuple[Path, ...] = (
        Path("facts", ("model", "config"), is_text=True),
        Path("facts", ("task",)),
        Path("facts", ("model", "reshaped")),
    )


Place: TypeAlias = Metric | Path | Product | Size


class Usual(NamedTuple):
    """A column that needs no place of its own: what it is, and where it is looked for, first things first."""

    help: str
    places: tuple[Place, ...] = ()


def path(text: str) -> Path:
    root, *keys = text.split(".")
    return Path(root, tuple(keys))


USUAL: Mapping[str, Usual] = {
    "N": Usual(
        "Parameters without embeddings, output layer and norms, counted from the model's config. Not told for a model "
        "of unknown architecture or one that was cut smaller: N_total is.",
        (Size(),),
    ),
    "N_total": Usual("All parameters.", (path("facts.parameters.total"),)),
    "N_trainable": Usual("Parameters that were trained.", (path("facts.parameters.trainable"),)),
    "D": Usual(
        "Tokens that this run was trained on; not those of a run it went on from.",
        (path("result.tokens"), Metric("train/tokens")),
    ),
    "C": Usual("Training compute as laws count it, 6 N D, unless a run from outside tells another."),
    "flops": Usual("Training compute as the run counted it, attention and output layer included.",
                   (path("facts.flops.total"),)),
    "loss": Usual("The last loss on the evaluation split.", (Metric("eval/loss"),)),
    "train_loss": Usual("The last loss in training.", (Metric("train/loss"),)),
    "lr": Usual("The peak learning rate.", (path("spec.optimizer.lr"),)),
    "steps": Usual("Updates of the weights.", (path("spec.steps"),)),
    "batch_size": Usual("Samples in an update.", (path("spec.batch_size"),)),
    "batch_tokens": Usual("Tokens in an update.",
                          (Product((path("spec.batch_size"), path("facts.tokens_per_sample"))),)),
    "tokens_per_sample": Usual("Tokens in a sample.", (path("facts.tokens_per_sample"),)),
    "hours": Usual("Hours of one accelerator.", (Product((path("result.wall_time_s"), path("spec.gpus")), 1 / 3600),)),
    "data": Usual("The data's name.", (path("facts.data.name"),)),
    "method": Usual("The method's name.", (path("spec.method.name"),)),
    "seed": Usual("The seed.", (path("spec.seed"),)),
}  # fmt: skip
BY_UNIT = {"steps": "steps", "batch, in tokens": "batch_tokens"}  # what a law calls S, B: other laws call others so


def place(text: str) -> Place:
    """Of a text that is not empty."""
    root, _, rest = text.partition(".")
    if rest and root in ROOTS:
        return path(text)
    statistic, _, name = text.partition(":")
    return Metric(name, STATISTICS[statistic]) if name and statistic in STATISTICS else Metric(text)


def candidates(name: str, asked: str | None = None, unit: str = "") -> list[Place]:
    """Where a column is looked for: where it was asked to be; else the usual places, a metric of its name, the spec."""
    if asked is not None:
        return [place(asked), *(USUAL[asked].places if asked in USUAL else ())]
    usual = USUAL.get(name) or USUAL.get(BY_UNIT.get(unit, ""), Usual(""))
    return [*usual.places, place(name), Path("spec", (name,))]


def paths_of(places: Iterable[Place]) -> list[Path]:
    """Every path that must be read for these, each once."""
    found: dict[Path, None] = {}
    for each in places:
        if not isinstance(each, Metric):
            found |= dict.fromkeys([each] if isinstance(each, Path) else each.paths)
    return list(found)


def value(places: Sequence[Place], read: Mapping[Path, Any], told: Mapping[str, Summary]) -> Cell:
    """The first that a run tells; None where it tells none."""
    for each in places:
        found = _value(each, read, told)
        if found is not None:
            return found
    return None


def _value(wanted: Place, read: Mapping[Path, Any], told: Mapping[str, Summary]) -> Cell:
    match wanted:
        case Metric(name, statistic):
            return cell(getattr(told[name], statistic)) if name in told else None
        case Product(paths, factor):
            factors = [cell(read[each]) for each in paths]
            numbers = [each for each in factors if isinstance(each, float)]
            return math.prod(numbers) * factor if len(numbers) == len(factors) else None
        case Size(paths):
            config, task, reshaped = (read[each] for each in paths)
            return _size(config, task) if config and task and not reshaped else None
    return cell(read[wanted])


def cell(found: Any) -> Cell:
    """A number or a word; None for all else, numbers that JSON can't hold among them."""
    if isinstance(found, bool | int | float):
        return float(found) if abs(found) <= LARGEST else None
    return found if isinstance(found, str) and found not in ("", "NaN", "Infinity", "-Infinity") else None


@lru_cache(maxsize=4096)
def _size(config: str, task: str) -> float | None:
    """None for an architecture whose weights are not known without building it."""
    try:
        found = shapes.parameters(json.loads(config), task)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if found is None:
        return None
    return float(sum(shapes.size(shape) for name, shape in found.items() if shapes.is_hidden_matrix(name, shape)))
