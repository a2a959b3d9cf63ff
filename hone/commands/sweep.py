"""`hone sweep`: create, list, show and control sweeps."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.commands import watching
from hone.commands.options import Arguments, Words, group, limited, numbered, positive, word
from hone.commands.watching import progress
from hone.errors import HoneError
from hone.printing import facts, moment, say, say_json, table
from hone.reading import document, pairs

if TYPE_CHECKING:
    from hone.client import Client

CONTROLS = {
    "pause": "ask for nothing new; what trains goes on",
    "resume": "let a paused sweep go on",
    "stop": "end a sweep for good and cancel its runs",
    "requeue-failed": "run the failed trials again",
}
FORMATS = {"optuna": "db", "csv": "csv", "jsonl": "jsonl"}


def add(groups: Words) -> None:
    words = group(groups, "sweep", "sweeps: searches over many runs")
    _add_create(words)
    parser = word(words, "list", list_sweeps, "list sweeps, newest first")
    for name in ("project", "status", "q"):
        parser.add_argument(f"--{name}")
    limited(parser)
    numbered(word(words, "show", show, "show a sweep"))
    parser = word(words, "trials", trials, "list a sweep's trials")
    numbered(parser)
    parser.add_argument("--sort", default="number", choices=["number", "-number", "value", "-value"])
    limited(parser, 1000)
    for name, summary in CONTROLS.items():
        numbered(word(words, name, partial(control, name), summary))
    _add_changes(words)
    parser = word(words, "export", export, "write a sweep to a file")
    numbered(parser)
    parser.add_argument("--format", choices=list(FORMATS), default="optuna", help="optuna is an SQLite study")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: sweep-ID and its ending")
    watching.add(words)
    numbered(word(words, "delete", delete, "delete a sweep"))


def _add_create(words: Words) -> None:
    parser = word(words, "create", create, "start a sweep")
    parser.add_argument("file", help="a body of POST /sweeps in JSON or YAML; - is the standard input")
    parser.add_argument("--project", help="its slug")
    parser.add_argument("--name")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--wandb", action="store_true", help="the file is a W&B sweep configuration (YAML)")
    kinds.add_argument(
        "--optuna", action="store_true", help="the file is an Optuna storage (SQLite); its trials come along"
    )
    parser.add_argument("--spec", metavar="FILE", help="the base spec, for --wandb and --optuna")
    parser.add_argument("--study", help="which study, where an Optuna storage has several")
    parser.add_argument("--rename", nargs="+", metavar="NAME=PATH", help="Optuna's parameters, like lr=optimizer.lr")
    parser.add_argument("--review", action="store_true", help="only print what --wandb or --optuna would create")


def _add_changes(words: Words) -> None:
    parser = word(words, "extend", extend, "give a sweep more trials or another budget; one that is over goes on")
    numbered(parser)
    parser.add_argument("--trials", type=positive, help="how many more")
    parser.add_argument("--budget", nargs="+", metavar="LIMIT=VALUE", help="like gpu_hours=3")
    parser = word(words, "add", add_point, "add a point by hand")
    numbered(parser)
    parser.add_argument("point", nargs="+", metavar="PATH=VALUE", help="like optimizer.lr=1e-3")


def create(client: Client, arguments: Arguments) -> None:
    if arguments.wandb or arguments.optuna:
        _import(client, arguments)
        return
    body = document(arguments.file) | _named(arguments)
    if "project" not in body:
        raise HoneError("Name the project with --project, or in the file.")
    _show(client.post("/sweeps", body), arguments)


def _import(client: Client, arguments: Arguments) -> None:
    fields = {**_named(arguments), "format": "wandb" if arguments.wandb else "optuna"}
    if arguments.study:
        fields["study"] = arguments.study
    if arguments.spec:
        fields["spec"] = json.dumps(document(arguments.spec))
    if arguments.rename:
        fields["names"] = json.dumps(pairs(arguments.rename))
    if arguments.review:
        say_json(client.send_file("/sweeps/import", Path(arguments.file), fields | {"review": "true"}))
        return
    _show(client.send_file("/sweeps/import", Path(arguments.file), fields), arguments)


def _named(arguments: Arguments) -> dict[str, str]:
    return {name: value for name in ("project", "name") if (value := getattr(arguments, name)) is not None}


def list_sweeps(client: Client, arguments: Arguments) -> None:
    query = {name: getattr(arguments, name) for name in ("project", "status", "q")}
    found = list(client.items("/sweeps", arguments.limit, **query))
    if arguments.json:
        say_json(found)
        return
    names = ("id", "status", "project", "name")
    rows = ([*(sweep[name] for name in names), progress(sweep), moment(sweep["created_at"])] for sweep in found)
    table(("id", "status", "project", "name", "trials", "created"), rows)


def show(client: Client, arguments: Arguments) -> None:
    _show(client.get(f"/sweeps/{arguments.id}"), arguments)


def control(action: str, client: Client, arguments: Arguments) -> None:
    answer = client.post(f"/sweeps/{arguments.id}/{action}")
    if action == "requeue-failed" and not arguments.json:
        say(f"{answer['requeued']} trials run again.")
        return
    _show(answer, arguments)


def extend(client: Client, arguments: Arguments) -> None:
    body = {"trials": arguments.trials, "budget": pairs(arguments.budget) if arguments.budget else None}
    given = {name: value for name, value in body.items() if value is not None}
    if not given:
        raise HoneError("Say what it gets: --trials, --budget, or both.")
    _show(client.post(f"/sweeps/{arguments.id}/extend", given), arguments)


def add_point(client: Client, arguments: Arguments) -> None:
    trial = client.post(f"/sweeps/{arguments.id}/trials", {"params": pairs(arguments.point)})
    if arguments.json:
        say_json(trial)
        return
    say(f"Trial {trial['number']} is {trial['status']}.")


def trials(client: Client, arguments: Arguments) -> None:
    found = list(client.items(f"/sweeps/{arguments.id}/trials", arguments.limit, sort=arguments.sort))
    if arguments.json:
        say_json(found)
        return
    rows = ([trial["number"], trial["status"], trial["value"], _spread(trial["interval"]), trial["params"],
             trial["message"]] for trial in found)  # fmt: skip
    table(("trial", "status", "value", "interval", "params", "message"), rows)


def export(client: Client, arguments: Arguments) -> None:
    target = arguments.output or Path(f"sweep-{arguments.id}.{FORMATS[arguments.format]}")
    size = client.download(f"/sweeps/{arguments.id}/export", target, format=arguments.format)
    if arguments.json:
        say_json({"file": str(target), "size": size})
        return
    say(f"{target} has {size:,} bytes.")


def delete(client: Client, arguments: Arguments) -> None:
    client.delete(f"/sweeps/{arguments.id}")
    if not arguments.json:
        say(f"Sweep {arguments.id} is deleted.")


def _show(sweep: dict[str, Any], arguments: Arguments) -> None:
    if arguments.json:
        say_json(sweep)
        return
    best, forecast = sweep["best"] or {}, sweep["forecast"]
    test = [_spread(interval) for interval in best.get("test") or []]
    facts([
        ("sweep", sweep["id"]), ("name", sweep["name"]), ("project", sweep["project"]), ("status", sweep["status"]),
        ("why", sweep["end_reason"]), ("trials", progress(sweep)), ("best trial", best.get("trial")),
        ("value", best.get("value")), ("interval", _spread(best.get("interval"))), ("on the test split", test),
        ("point", best.get("params")), ("spent GPU hours", sweep["spent"]["gpu_hours"]),
        ("still GPU hours", forecast["gpu_hours"]), ("ends about", moment(forecast["ends_at"])),
        ("created", moment(sweep["created_at"])), ("ended", moment(sweep["ended_at"])), ("page", sweep["url"]),
    ])  # fmt: skip


def _spread(interval: dict[str, Any] | None) -> str | None:
    if interval is None or interval["low"] is None:
        return None
    low, high = interval["low"], interval["high"]
    return f"{low:.6g} .. {high:.6g} (n={interval['n']})" if not isinstance(low, str) else f"{low} .. {high}"
