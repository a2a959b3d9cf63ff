"""The spec that all rungs of a ladder share, and that of one rung."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gpu_jobs import ladder
from gpu_jobs import spec as job_specs
from gpu_jobs.sources import ConfigModel
from webapp.accounts.errors import FieldError, Invalid, below
from webapp.accounts.models import Project, User
from webapp.runs import plain, specs
from webapp.runs.actions.inputs import resolve
from webapp.scaling.definition import Definition, Fixed

SET_BY_RUNGS = ("layers", "width", "heads", "ffn", "kv_heads")
DEFAULTS: dict[str, Any] = {"kind": "pretrain", "eval_every": 0, "eval_batches": 0}
STAND_IN = {"layers": 1, "width": 8, "heads": 1, "ffn": 8}  # until a rung says its own


class Setting(NamedTuple):
    """What a rung sets in the base."""

    shape: ladder.Shape
    lr: float
    batch_size: int
    steps: int
    sequence_length: int

    @property
    def tokens(self) -> int:
        return self.steps * self.batch_size * self.sequence_length


def base_of(definition: Definition, user: User | None, project: Project | None) -> dict[str, Any]:
    """The base with every default, and a model that stands for the rungs'. Raises Invalid below `base`."""
    given = {**DEFAULTS, **plain.json(dict(definition.base))}
    with below("base"):
        given["model"] = _model(given)
        checked = specs.checked(given).model_dump(mode="json")
        _refuse(checked, user, project)
    return dict(checked)


def setting(definition: Definition, base: Mapping[str, Any], rung: ladder.Rung) -> Setting:
    """Its learning rate and batch; the batch such that accumulation and GPUs divide it."""
    rates, parts = definition.rates, int(base["accumulation"]) * int(base["gpus"])
    asked = rates.batch_size if isinstance(rates, Fixed) else rung.batch_size
    batch = max(parts, round(asked / parts) * parts)
    steps = max(1, round(rung.tokens / (batch * rung.sequence_length)))
    lr = rates.lr if isinstance(rates, Fixed) else rates.rate(rung.parameters, rung.lr)
    return Setting(rung.shape, float(f"{lr:.4g}"), batch, steps, rung.sequence_length)


def spec_of(definition: Definition, base: Mapping[str, Any], one: Setting, seed: int) -> dict[str, Any]:
    """The base with what the rung sets; `seed` counts from the base's."""
    shape, schedule = one.shape, dict(base["schedule"])
    if definition.warmup is not None and "warmup_steps" in schedule:
        schedule["warmup_steps"] = round(definition.warmup * one.steps)
    sizes = {"layers": shape.layers, "width": shape.width, "heads": shape.heads, "ffn": shape.ffn, "kv_heads": None}
    return {
        **base,
        "model": {**base["model"], **sizes},
        "optimizer": {**base["optimizer"], "lr": one.lr},
        "schedule": schedule,
        "batch_size": one.batch_size,
        "steps": one.steps,
        "seed": int(base["seed"]) + seed,
    }


def _model(given: Mapping[str, Any]) -> dict[str, Any]:
    """A new llama of which only the shape is open. Raises Invalid for any other model, and for another kind."""
    if given["kind"] != "pretrain":
        raise Invalid.field("kind", f"Rungs are pretrained: kind can't be {given['kind']!r}.")
    model = given.get("model") or {"source": "config"}
    if not isinstance(model, dict) or (model.get("source"), model.get("architecture", "llama")) != ("config", "llama"):
        said = "Rungs are new llamas whose shape the ladder sets: leave model out, or take source config."
        raise Invalid.field("model", said)
    own = {name: value for name, value in model.items() if name not in SET_BY_RUNGS}
    if isinstance(length := given.get("sequence_length"), int):
        own.setdefault("context", max(length, ConfigModel.model_fields["context"].default))
    return {**own, **STAND_IN}


def _refuse(checked: dict[str, Any], user: User | None, project: Project | None) -> None:
    """Raises Invalid where an upload or a run is not theirs to read, or the optimizer has no learning rate."""
    errors: list[FieldError] = []
    for reference in job_specs.references(specs.checked(checked)):
        resolve(errors, checked, reference, user, project)
    found: list[FieldError] = [{"loc": item["loc"][1:], "msg": item["msg"]} for item in errors]
    name = checked["optimizer"]["name"]
    if "lr" not in checked["optimizer"]:
        found.append({"loc": ["optimizer"], "msg": f"Rungs set a learning rate, which {name} does not have."})
    if found:
        raise Invalid(found)
