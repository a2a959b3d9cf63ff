"""Writers that die by their own hand: `python -m tests.metrics.killing BATCHES RUN:STATEMENT RUN:STATEMENT ...`.

Each is a process of its own. It appends, and rewinds at the end, one transaction each, and kills itself with signal 9
just before its so many-th message goes to PostgreSQL (BEGIN, COPY and COMMIT count too). For each one a line is
printed: the signal that ended it, and how many messages there were if it lived.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

BATCH, REWOUND_TO = 5, 7


def main() -> None:
    import django

    django.setup()
    batches = int(sys.argv[1])
    for pair in sys.argv[2:]:
        run, fatal = map(int, pair.split(":"))
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, str(write(run, batches, fatal)).encode())
            os._exit(0)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, os.read(reading, 20).decode() or 0)
        os.close(reading)


def write(run: int, batches: int, fatal: int) -> int:
    from django.db import transaction

    from tests.metrics.test_store import line
    from webapp.metrics import store

    count = count_and_kill(fatal)
    for number in range(batches):
        with transaction.atomic():
            store.append(run, {name: line(number * BATCH, BATCH) for name in ("a", "b")})
    with transaction.atomic():
        store.rewind(run, REWOUND_TO)
    return int(count())


def count_and_kill(fatal: int) -> Any:
    """Every message to the server passes psycopg's `Connection.wait`."""
    import psycopg

    seen, wait = [0], psycopg.Connection.wait

    def counted(*arguments: Any, **options: Any) -> Any:
        seen[0] += 1
        if seen[0] == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return wait(*arguments, **options)

    psycopg.Connection.wait = counted  # type: ignore[method-assign]
    return lambda: seen[0]


if __name__ == "__main__":
    main()
