"""A W&B sweep configuration as the body of a sweep of ours.

Keys as in https://docs.wandb.ai/guides/sweeps/sweep-config-keys. What has no counterpart here is told in `notes`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from webapp.accounts.errors import Invalid
from webapp.sweeps.specs import nested

MOST_CHARACTERS = 200_000
METHODS = {"grid": "grid", "random": "random", "bayes": "gp"}
READ = {"method", "metric", "parameters", "early_terminate", "run_cap", "name"}
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")  # YAML 1.1 takes 1e-4, which has no point, for a string
GRID_POINTS = 5
MOST_DEPTH = 20


class Range(NamedTuple):
    low: float
    high: float
    log: bool = False
    step: float | None = None


def read(text: str) -> dict[str, Any]:
    """{"name", "search", "objective", "stopper", "trials", "spec", "notes"}; `spec` has the constants alone.

    Parameters keep their names, nested ones as dotted paths: rename them to those of the job spec. Raises Invalid.
    """
    config = _loaded(text)
    notes = [f"{key} has no counterpart here and is left out." for key in config if key not in READ]
    space: dict[str, Any] = {}
    constants: dict[str, Any] = {}
    for path, parameter in _leaves(_mapping(config.get("parameters"), "parameters"), ""):
        if "value" in parameter or parameter.get("distribution") == "constant":
            constants[path] = json.loads(json.dumps(_number(parameter.get("value")), default=str))  # dates are text
        else:
            space[path] = _dimension(path, parameter, notes)
    if not space:
        raise Invalid.field("parameters", "There is no parameter with several values to search: add one.")
    return {
        "name": str(config.get("name") or "W&B sweep")[:200],
        "spec": nested(constants),
        "search": {"sampler": _sampler(config.get("method"), space, notes), "space": space},
        "objective": [_objective(config.get("metric"), notes)],
        "stopper": _stopper(config.get("early_terminate"), notes),
        "trials": _trials(config.get("run_cap"), notes),
        "notes": notes,
    }


def _loaded(text: str) -> dict[str, Any]:
    import yaml

    if len(text) > MOST_CHARACTERS:
        raise Invalid.field("file", f"A sweep file has at most {MOST_CHARACTERS:,} characters, not {len(text):,}.")
    try:
        _refuse_depth(yaml.scan(text))
        config = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Invalid.field("file", f"This is not YAML: {' '.join(str(error).split())[:300]}.") from None
    return _mapping(config, "file")


def _refuse_depth(tokens: Iterable[Any]) -> None:
    """Aliases can stand for more than memory holds, and PyYAML takes minutes for thousands of brackets."""
    depth = 0
    for token in tokens:
        kind = type(token).__name__  # FlowMappingStartToken, BlockEndToken, ...
        depth += kind.endswith("StartToken") - kind.endswith("EndToken")
        if kind == "AliasToken":
            raise Invalid.field("file", "Aliases (*name) are not read: write the values out.")
        if depth > MOST_DEPTH:
            raise Invalid.field("file", f"A sweep file is nested at most {MOST_DEPTH} deep.")


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid.field(name, f"{name} must be a mapping of keys to values, not {str(value)[:100]!r}.")
    return {str(key): item for key, item in value.items()}


def _leaves(parameters: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in parameters.items():
        parameter = _mapping(value, f"parameters.{prefix}{name}")
        if "parameters" in parameter:
            inner = _mapping(parameter["parameters"], f"parameters.{prefix}{name}.parameters")
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", parameter


def _dimension(path: str, parameter: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    if "values" in parameter:
        if "probabilities" in parameter:
            notes.append(f"{path}: probabilities have no counterpart; its values are equally likely.")
        return {"choices": [_plain(path, value) for value in _list(path, parameter["values"])]}
    name = str(parameter.get("distribution") or _default_distribution(parameter))
    if name not in _DISTRIBUTIONS:
        known = ", ".join(sorted(_DISTRIBUTIONS))
        raise Invalid.field(
            f"parameters.{path}", f"{path} needs values, or one of the distributions {known}, not {name!r}."
        )
    found, note = _DISTRIBUTIONS[name](_Numbers(path, parameter))
    if note:
        notes.append(f"{path}: {note}")
    given = {"low": found.low, "high": found.high, "log": found.log or None, "step": found.step}
    return {key: value for key, value in given.items() if value is not None}


def _default_distribution(parameter: Mapping[str, Any]) -> str:
    both = [parameter.get("min"), parameter.get("max")]
    return "int_uniform" if all(isinstance(value, int) for value in both) else "uniform"


class _Numbers(NamedTuple):
    """The settings of a distribution, read as numbers."""

    path: str
    parameter: Mapping[str, Any]

    def __call__(self, key: str, default: float | None = None) -> float:
        value = _number(self.parameter.get(key, default))
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Invalid.field(f"parameters.{self.path}", f"{self.path} needs a number for {key}, not {value!r}.")
        return value

    def exp(self, key: str) -> float:
        """W&B gives the natural logarithm of these bounds."""
        if abs(power := self(key)) > 700:
            raise Invalid.field(f"parameters.{self.path}", f"{self.path}: e^{power:g} is not a number: see {key}.")
        return float(f"{math.exp(power):.12g}")


Read = Callable[[_Numbers], tuple[Range, str]]
UNEVEN = "has no counterpart; taken as"


def _normal(n: _Numbers) -> tuple[Range, str]:
    mu, sigma = n("mu", 0), n("sigma", 1)
    return Range(mu - 2 * sigma, mu + 2 * sigma, step=_step(n)), f"a normal {UNEVEN} uniform over mu +- 2 sigma."


def _log_normal(n: _Numbers) -> tuple[Range, str]:
    mu, sigma = n("mu", 0), n("sigma", 1)
    low, high = (float(f"{math.exp(max(-700.0, min(700.0, mu + side * 2 * sigma))):.12g}") for side in (-1, 1))
    return Range(low, high, log=True), f"a log-normal {UNEVEN} log-uniform over e^(mu +- 2 sigma)."


def _step(n: _Numbers) -> float | None:
    return n("q", 1) if str(n.parameter.get("distribution", "")).startswith("q_") else None


QUANTUM = "its quantum q is left out: a log range has no step."
INVERSE = f"an inverse log-uniform {UNEVEN} log-uniform over the same bounds."
_DISTRIBUTIONS: dict[str, Read] = {
    "int_uniform": lambda n: (Range(n("min"), n("max"), step=1), ""),
    "uniform": lambda n: (Range(n("min"), n("max")), ""),
    "q_uniform": lambda n: (Range(n("min"), n("max"), step=_step(n)), ""),
    "log_uniform": lambda n: (Range(n.exp("min"), n.exp("max"), log=True), ""),
    "log_uniform_values": lambda n: (Range(n("min"), n("max"), log=True), ""),
    "q_log_uniform": lambda n: (Range(n.exp("min"), n.exp("max"), log=True), QUANTUM),
    "q_log_uniform_values": lambda n: (Range(n("min"), n("max"), log=True), QUANTUM),
    "inv_log_uniform": lambda n: (Range(n.exp("min"), n.exp("max"), log=True), INVERSE),
    "inv_log_uniform_values": lambda n: (Range(n("min"), n("max"), log=True), INVERSE),
    "normal": _normal,
    "q_normal": _normal,
    "log_normal": _log_normal,
    "q_log_normal": lambda n: (_log_normal(n)[0], f"{_log_normal(n)[1]} {QUANTUM}"),
    "beta": lambda n: (Range(0, 1), f"a beta {UNEVEN} uniform from 0 to 1."),
    "q_beta": lambda n: (Range(0, 1, step=_step(n)), f"a beta {UNEVEN} uniform from 0 to 1."),
}


def _sampler(method: Any, space: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    if method not in METHODS:
        raise Invalid.field("method", f"method must be grid, random or bayes, not {str(method)[:100]!r}.")
    if method == "grid" and (ranges := [path for path, one in space.items() if "low" in one and not one.get("step")]):
        notes.append(f"A grid needs values of {', '.join(ranges)}: {GRID_POINTS} points of each range are taken.")
        return {"name": "grid", "points": GRID_POINTS}
    return {"name": METHODS[str(method)]}


def _objective(metric: Any, notes: list[str]) -> dict[str, str]:
    if metric is None:
        notes.append("There is no metric: eval/loss is minimised.")
        return {"metric": "eval/loss", "goal": "minimize"}
    given = _mapping(metric, "metric")
    goal = given.get("goal", "minimize")
    if goal not in ("minimize", "maximize") or not isinstance(given.get("name"), str):
        raise Invalid.field("metric", f"metric needs a name, and a goal that is minimize or maximize: {given}.")
    if "target" in given:
        notes.append("metric.target has no counterpart and is left out.")
    return {"metric": given["name"], "goal": goal}


def _stopper(given: Any, notes: list[str]) -> dict[str, Any] | None:
    """W&B's hyperband stops at min_iter * eta^k whatever is not among the best 1/eta there: that is our ASHA."""
    if given is None:
        return None
    asked = _mapping(given, "early_terminate")
    if asked.get("type") != "hyperband":
        raise Invalid.field("early_terminate", f"type must be hyperband, not {str(asked.get('type'))[:100]!r}.")
    number = _Numbers("early_terminate", asked)
    eta = max(2, round(number("eta", 3)))
    first = number("min_iter") if "min_iter" in asked else number("max_iter") / eta ** min(number("s", 1), 50)
    notes.append("early_terminate counts optimizer steps here, not how often the metric was logged.")
    if "strict" in asked:
        notes.append("early_terminate.strict has no counterpart and is left out.")
    return {"name": "asha", "min_steps": max(1, round(first)), "reduction": min(eta, 100)}


def _trials(cap: Any, notes: list[str]) -> int:
    if cap is None:
        notes.append("Without run_cap W&B goes on until it is stopped; 20 trials are taken.")
        return 20
    if not isinstance(cap, int) or isinstance(cap, bool) or cap < 1:
        raise Invalid.field("run_cap", f"run_cap must be a whole number from 1, not {str(cap)[:100]!r}.")
    return cap


def _list(path: str, values: Any) -> list[Any]:
    if not isinstance(values, list) or not values:
        raise Invalid.field(f"parameters.{path}", f"{path}: values must be a list with at least one value.")
    return values


def _plain(path: str, value: Any) -> Any:
    if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
        raise Invalid.field(f"parameters.{path}", f"{path}: a value must be a number, text or boolean, not {value!r}.")
    return _number(value)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value
