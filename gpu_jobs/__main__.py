"""`python -m gpu_jobs`: run a spec by hand, plan it, export a model, list the methods. Nothing of the web is needed.

    python -m gpu_jobs run spec.json [--work DIR] [--cache DIR] [--input run:1=PATH] [--resume CHECKPOINT]
    python -m gpu_jobs plan spec.json [--base run:1=facts.json]
    python -m gpu_jobs export FOLDER OUT [--base MODEL] [--peft]
    python -m gpu_jobs methods [family]

`run` prints one event a line. SIGTERM or Ctrl-C stops it at the next step with a checkpoint; a second one at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.errors import JobError
from gpu_jobs.spec import JobSpec, parse


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 for a result or an orderly stop, 1 for a failed run, 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (OSError, ValueError, JobError) as error:
        sys.stderr.write(f"{_sentence(error)}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gpu_jobs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a spec and print its events")
    run.set_defaults(command=_run)
    run.add_argument("spec", type=Path)
    run.add_argument("--work", type=Path, help="folder for checkpoints and the model (default: a new temporary one)")
    run.add_argument("--cache", type=Path, default=_cache_dir(), help="folder for prepared data (default: %(default)s)")
    run.add_argument("--input", type=_pair, action="append", default=[], metavar="NAME=PATH", help="run:1=PATH")
    run.add_argument("--resume", type=Path, metavar="CHECKPOINT", help="go on from this checkpoint folder")
    plan = commands.add_parser("plan", help="count parameters, memory and FLOPs of a spec")
    plan.set_defaults(command=_plan)
    plan.add_argument("spec", type=Path)
    plan.add_argument("--base", type=_pair, action="append", default=[], metavar="NAME=PATH", help="run:1=facts.json")
    export = commands.add_parser(
        "export", help="merge an adapter into its base, or undo a compressed form: a plain folder"
    )
    export.set_defaults(command=_export)
    export.add_argument("adapter", type=Path, help="folder of an adapter, Hone's or PEFT's, or of a compressed model")
    export.add_argument("out", type=Path, help="new folder")
    export.add_argument("--base", type=Path, metavar="MODEL", help="folder of its base (default: where it says)")
    export.add_argument("--peft", action="store_true", help="write it as PEFT's LoRA instead, where it is one")
    methods = commands.add_parser("methods", help="list the methods")
    methods.set_defaults(command=_methods)
    methods.add_argument("family", nargs="?")
    return parser


def _cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hone"


def _pair(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"must look like run:1=PATH, not {text!r}")
    return name, Path(path)


def _read(path: Path) -> JobSpec:
    return parse(json.loads(path.read_text()))


def _run(options: argparse.Namespace) -> int:
    from gpu_jobs.events import Failed
    from gpu_jobs.outcomes import run
    from gpu_jobs.streams import claim_stdout, stop_on_signal

    spec = _read(options.spec)
    context = Context(
        work_dir=(options.work or Path(tempfile.mkdtemp(prefix="hone-"))).resolve(),
        cache_dir=options.cache,
        inputs=dict(options.input),
        resume_from=options.resume,
        should_stop=stop_on_signal(),
    )
    context.work_dir.mkdir(parents=True, exist_ok=True)
    sys.stderr.write(f"work folder: {context.work_dir}\n")
    emit, event = claim_stdout(), None
    for event in run(spec, context):
        emit(event)
    return int(isinstance(event, Failed))


def _plan(options: argparse.Namespace) -> int:
    from gpu_jobs.cost import plan

    base = {name: json.loads(path.read_text()) for name, path in options.base}
    sys.stdout.write(plan(_read(options.spec), base).model_dump_json(indent=2) + "\n")
    return 0


def _export(options: argparse.Namespace) -> int:
    from gpu_jobs.engine import exporting

    exporting.export(options.adapter, options.out, options.base, peft=options.peft)
    return 0


def _methods(options: argparse.Namespace) -> int:
    for family in [options.family] if options.family else registry.families():
        for method in registry.methods(family).values():
            knobs = ", ".join(name for name in method.knobs.model_fields if name != "name")
            sys.stdout.write(f"{family:<12} {method.name:<12} {method.summary} [{knobs}]\n")
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
