"""kill -9 of a real writer between two of its statements loses nothing that was committed, and doubles nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection

from tests.metrics.killing import BATCH, REWOUND_TO
from tests.metrics.model import ListSeries, assert_same_points, assert_sums_up
from tests.metrics.runs import make_run
from tests.metrics.test_store import assert_well_kept, line
from webapp.metrics import queries
from webapp.metrics.models import Series

ROOT = Path(__file__).resolve().parents[2]
BATCHES = 9  # the eighth merges what the first seven have left


def write(*fatal: int) -> list[tuple[int, int, int]]:
    """For each: its run, the signal that ended it, how many messages there were."""
    socket = quote(f"{os.environ['HONE_HOME']}/run", safe="")
    environment = {"DATABASE_URL": f"postgresql://hone@/{connection.settings_dict['NAME']}?host={socket}"}
    runs = [make_run().pk for _ in fatal]
    pairs = [f"{run}:{at}" for run, at in zip(runs, fatal, strict=True)]
    command = [sys.executable, "-m", "tests.metrics.killing", str(BATCHES), *pairs]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ends = [tuple(map(int, row.split())) for row in done.stdout.splitlines()]
    return [(run, *end) for run, end in zip(runs, ends, strict=True)]  # type: ignore[misc]


def states() -> list[ListSeries]:
    """What each series may be: after none, one, ... of the appends, and after the rewind."""
    found = [ListSeries()]
    for number in range(BATCHES):
        found.append(ListSeries(dict(found[-1].points)))
        found[-1].append(line(number * BATCH, BATCH))
    found.append(ListSeries(dict(found[-1].points)))
    found[-1].rewind(REWOUND_TO)
    return found


def is_one_of_them(run: int) -> int:
    """Which: both series are in the same one, wholly."""
    counts = {name: summary.count for name, summary in queries.summaries([run])[run].items()}
    steps = [len(queries.raw(run, name).steps) for name in counts]
    place = next(
        at for at, state in enumerate(states())
        if (not counts and not state.points) or (counts and steps == [len(state.points)] * 2)
    )  # fmt: skip
    for name in counts:
        assert_same_points(queries.raw(run, name), states()[place].columns())
        assert_sums_up(queries.summaries([run])[run][name], states()[place])
    for series in Series.objects.filter(run_id=run):
        assert_well_kept(series)
    return place


@pytest.mark.django_db(transaction=True)
def test_a_writer_killed_between_its_statements_leaves_whole_transactions() -> None:
    [(lived, signal, messages)] = write(0)
    assert signal == 0 and messages > 4 * BATCHES
    assert is_one_of_them(lived) == BATCHES + 1
    places = []
    for run, signal, _ in write(*range(1, messages, 9), messages):
        assert signal == 9
        places.append(is_one_of_them(run))
    assert (
        places == sorted(places) and places[0] == 0 and places[-1] >= BATCHES
    )  # the last message comes after the commit
