"""The command line of a worker. What keeps it from starting is one sentence and exit status 1."""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from webapp import env
from webapp.system.errors import SetupError

QUEUE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")


@dataclass(frozen=True)
class Options:
    """`slots` None: every visible GPU, or one on a CPU."""

    name: str
    queues: list[str]
    slots: int | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a worker until SIGTERM or Ctrl-C; what it then works on writes a checkpoint and waits in its queue."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        options = parse(arguments)
        django.setup()
        _refuse_dead_servers()
        from workers.serving import serve

        code = serve(options)
    except (ImproperlyConfigured, SetupError) as error:
        sys.exit(f"hone: {error}")
    sys.exit(code)


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Options, with what the environment says as defaults. Raises SetupError and ImproperlyConfigured."""
    name, queues = env.text("HONE_WORKER_NAME", socket.gethostname()), env.text("HONE_QUEUES", "default")
    parser = argparse.ArgumentParser(prog="python -m workers", description="Takes runs from queues and trains them.")
    parser.add_argument("--queues", default=queues, help="names, separated by commas")
    parser.add_argument("--slots", type=int, help="runs at a time (default: the visible GPUs, or 1 on a CPU)")
    parser.add_argument("--name", default=name, help="unique among the workers")
    found = parser.parse_args(arguments)
    slots = found.slots if found.slots is not None else _slots_of_environment()
    if slots is not None and slots < 1:
        raise SetupError(f"HONE_SLOTS must be at least 1, not {slots}.")
    return Options(found.name, _queues(found.queues), slots)


def _slots_of_environment() -> int | None:
    return env.integer("HONE_SLOTS", 0) if env.text("HONE_SLOTS") else None


def _queues(text: str) -> list[str]:
    names = list(dict.fromkeys(text.replace(",", " ").split()))
    for name in names:
        if not QUEUE_NAME.fullmatch(name):
            raise SetupError(f"HONE_QUEUES must name queues with a-z 0-9 . _ - (at most 60), not {name!r}.")
    if not names:
        raise SetupError("HONE_QUEUES must name at least one queue.")
    return names


def _refuse_dead_servers() -> None:
    import psycopg
    import redis
    from django.conf import settings

    try:
        psycopg.connect(env.database_url(), connect_timeout=5).close()
    except psycopg.Error as error:
        raise SetupError(f"PostgreSQL does not answer (DATABASE_URL): {_last_line(error)}") from None
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5, socket_timeout=5).ping()
    except (redis.RedisError, ValueError) as error:
        raise SetupError(f"Redis does not answer (REDIS_URL): {_last_line(error)}") from None


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
