"""`hone.init` and `run.log` against the real application: nothing is lost, nothing is doubled, nothing waits."""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hone
from hone import HoneError, writer
from hone.run import Run
from tests.api.world import World
from tests.hone.conftest import Hone
from webapp.metrics import queries
from webapp.runs.models import Run as Stored

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "spool"
    monkeypatch.setenv("HONE_SPOOL", str(folder))
    return folder


@pytest.fixture(autouse=True)
def ready(environment: Callable[[str], None], spool: Path, live_world: World) -> Iterator[None]:
    environment("editor")
    yield
    from hone import ending

    for run in list(ending._living):
        run.finish(timeout_s=5)


def stored(run: Run) -> Stored:
    return Stored.objects.get(pk=run.id)


def steps(run_id: int | None, name: str = "loss") -> list[int]:
    assert run_id is not None
    return queries.raw(run_id, name).steps.tolist() if name in queries.names(run_id) else []


def left(spool: Path) -> list[Path]:
    return list(spool.glob("*"))


def test_what_is_logged_is_stored_and_the_spool_is_empty_again(spool: Path) -> None:
    with hone.init("alpha", {"lr": 0.1}, name="mine", tags=["a"]) as run:
        for step in range(100):
            run.log({"loss": 1 / (step + 1), "lr": np.float32(0.5)})
        run.log({"eval/loss": math.nan}, step=50)
        run.log({"loss": math.inf}, step=np.int64(200))
        run.log({"loss": 7})
    row = stored(run)
    assert (row.name, row.tags, row.kind, row.status) == ("mine", ["a"], "external", "succeeded")
    assert row.spec == {"kind": "external", "lr": 0.1}
    points = queries.raw(row.pk, "loss")
    assert points.steps.tolist() == [*range(100), 200, 201]
    np.testing.assert_array_equal(points.values, [*(1 / (step + 1) for step in range(100)), math.inf, 7])
    assert queries.raw(row.pk, "lr").values.tolist() == [0.5] * 100
    assert math.isnan(queries.raw(row.pk, "eval/loss").values[0])
    assert np.all(np.abs(points.times - time.time()) < 60)
    assert left(spool) == []


def test_points_arrive_while_the_run_lives() -> None:
    run = hone.init("alpha")
    run.log({"loss": 1.0})
    assert run.flush()
    assert steps(run.id) == [0] and stored(run).status == "running"
    until = time.monotonic() + 10
    while stored(run).outside.heard_at is None and time.monotonic() < until:
        time.sleep(0.01)
    assert stored(run).outside.heard_at is not None


@pytest.mark.parametrize(
    ("metrics", "step", "says"),
    [
        ({"loss": "1"}, None, "'loss' must be one number, not str"),
        ({"loss": None}, None, "'loss' must be one number, not NoneType"),
        ({"loss": [1, 2]}, None, "'loss' must be one number, not list"),
        ({"loss": {"a": 1}}, None, "'loss' must be one number, not dict"),
        ({"x" * 251: 1}, None, "at most 250 characters"),
        ({"": 1}, None, "must be text"),
        ({1: 1}, None, "must be text"),
        ({"a\nb": 1}, None, "control characters"),
        ({"loss": 1}, -1, "whole number"),
        ({"loss": 1}, 1.5, "whole number"),
        ({"loss": 1}, True, "whole number"),
        ({"loss": 1}, 2**63, "whole number"),
    ],
    ids=range(12),
)
def test_what_is_no_number_is_refused_at_once_and_nothing_of_the_call_is_kept(
    metrics: Any, step: Any, says: str
) -> None:
    run = hone.init("alpha")
    with pytest.raises(HoneError, match=says):
        run.log({"good": 1.0, **metrics}, step)
    assert run.flush() and queries.names(stored(run).pk) == []


def test_a_run_of_thousands_of_metrics_and_points_is_cut_into_requests() -> None:
    with hone.init("alpha") as run:
        run.log({f"layer/{number}": float(number) for number in range(2500)})
        for step in range(30_000):
            run.log({"loss": float(step)}, step)
    assert steps(run.id) == list(range(30_000))
    assert len(queries.names(stored(run).pk)) == 2501
    assert queries.raw(stored(run).pk, "layer/2499").values.tolist() == [2499.0]


def test_a_config_may_be_what_programs_have() -> None:
    class Config:
        def __init__(self) -> None:
            self.lr, self.path, self._hidden = np.float32(0.5), Path("/a"), 1

    with hone.init("alpha", argparse.Namespace(model=Config(), seeds=(1, 2), best=math.inf)) as run:
        pass
    assert stored(run).spec == {
        "kind": "external", "model": {"lr": 0.5, "path": "/a"}, "seeds": [1, 2], "best": "inf",
    }  # fmt: skip
    with pytest.raises(HoneError, match="'kind'"):
        hone.init("alpha", {"kind": "finetune"})
    with pytest.raises(HoneError, match="names and values"):
        hone.init("alpha", [1])


def test_what_the_server_refuses_at_the_start_is_raised_and_leaves_nothing(spool: Path) -> None:
    with pytest.raises(HoneError, match="no project 'nowhere'"):
        hone.init("nowhere")
    with pytest.raises(HoneError, match="valid token"):
        hone.init("alpha", token="hone_wrong")
    assert left(spool) == []


def test_an_exception_ends_the_run_as_failed() -> None:
    with pytest.raises(ZeroDivisionError), hone.init("alpha") as run:
        run.log({"loss": 1.0})
        _ = 1 / 0
    row = stored(run)
    assert (row.status, row.error_message) == ("failed", "ZeroDivisionError: division by zero")
    assert steps(run.id) == [0]


def test_a_finished_run_logs_nothing_more_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    run = hone.init("alpha")
    run.finish("diverged", result={"best": 1.5}, error_message="The loss is not finite.")
    for _ in range(3):
        run.log({"loss": 1.0})
    run.finish()
    row = stored(run)
    assert (row.status, row.result, steps(run.id)) == ("diverged", {"best": 1.5}, [])
    assert sum("logs nothing more: it has ended" in record.message for record in caplog.records) == 1


def test_files_and_folders_are_uploaded_as_they_were_when_they_were_logged(tmp_path: Path, spool: Path) -> None:
    from webapp.runs import blobs

    one, folder = tmp_path / "a b.txt", tmp_path / "plots"
    one.write_text("one")
    (folder / "deep").mkdir(parents=True)
    (folder / "x.csv").write_text("x")
    (folder / "deep" / "y.csv").write_bytes(b"")
    with hone.init("alpha") as run:
        run.log_artifact(one)
        run.log_artifact(one, "notes/first.txt")
        run.log_artifact(folder)
        one.write_text("changed later")
        with pytest.raises(HoneError, match="neither a file nor"):
            run.log_artifact(tmp_path / "nothing")
    kept = {artifact.path: blobs.read(artifact.blob) for artifact in stored(run).artifacts.select_related("blob")}
    assert kept == {
        "a b.txt": b"one", "notes/first.txt": b"one", "plots/x.csv": b"x", "plots/deep/y.csv": b"",
    }  # fmt: skip
    assert left(spool) == []


def test_other_ranks_are_silent(monkeypatch: pytest.MonkeyPatch, spool: Path) -> None:
    monkeypatch.setenv("RANK", "1")
    before = Stored.objects.count()
    with hone.init("alpha") as run:
        run.log({"loss": 1.0})
        run.log_artifact(Path(__file__))
        assert (run.id, run.url, run.is_silent, run.flush()) == (None, None, True, True)
    assert (Stored.objects.count(), left(spool)) == (before, [])
    with hone.init("alpha", every_rank=True) as run:
        run.log({"loss": 1.0})
    assert steps(run.id) == [0]


def test_a_run_that_somebody_cancels_goes_on_without_harm(live_world: World, spool: Path) -> None:
    from webapp.runs import actions

    run = hone.init("alpha")
    run.log({"loss": 1.0})
    assert run.flush()
    actions.cancel(stored(run))
    run.log({"loss": 2.0})
    run.finish()
    assert (stored(run).status, steps(run.id)) == ("cancelled", [0])
    [folder] = left(spool)
    assert "points" in (folder / "refused.log").read_text(), "what the server did not want is still there"


def test_a_forked_child_logs_nothing_and_the_parent_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    run = hone.init("alpha")
    run.log({"loss": 1.0})
    child = os.fork()
    if not child:
        try:
            run.log({"loss": 99.0})
            run.finish("failed")
            with hone.init("alpha", name="of the child") as own:
                own.log({"loss": 5.0})
        finally:
            os._exit(0 if own.dropped == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
    run.log({"loss": 2.0})
    run.finish()
    assert queries.raw(stored(run).pk, "loss").values.tolist() == [1.0, 2.0]
    assert stored(run).status == "succeeded"
    own_run = Stored.objects.get(name="of the child")
    assert (own_run.status, queries.raw(own_run.pk, "loss").values.tolist()) == ("succeeded", [5.0])


def test_threads_may_log_into_one_run() -> None:
    with hone.init("alpha") as run:

        def work(number: int) -> None:
            for step in range(2000):
                run.log({f"m{number}": float(step)}, step)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(steps(run.id, f"m{number}") == list(range(2000)) for number in range(4))


def test_a_disk_that_hangs_costs_points_but_neither_time_nor_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_ROWS", 1000)
    monkeypatch.setattr("hone.run.MOST_ROWS", 1000)
    monkeypatch.setattr("hone.run.EARLY_ROWS", 100)
    run, hangs = hone.init("alpha"), threading.Event()
    append = run._journal.append

    def hanging(kind: str, body: str) -> None:
        hangs.wait(10)
        append(kind, body)

    monkeypatch.setattr(run._journal, "append", hanging)
    began = time.perf_counter()
    for step in range(20_000):
        run.log({"loss": float(step)}, step)
    assert time.perf_counter() - began < 5 and len(run._rows) <= 1000
    hangs.set()
    run.finish()
    assert run.dropped > 0 and len(steps(run.id)) + run.dropped == 20_000


# Programs of their own: what their end does.

HEAD = "import hone, os, signal, sys, time\nrun = hone.init('alpha', name='program')\nprint(run.id, flush=True)\n"


def program(text: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, **environment},
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, int, str]:
    """The run, the exit status, and what it told on stderr."""
    out, err = process.communicate(timeout=60)
    return int(out.split()[0]), process.returncode, err


def test_a_program_that_forgets_to_finish_is_flushed_at_its_exit(spool: Path) -> None:
    run, status, err = ended(program("for step in range(1000): run.log({'loss': step})"))
    assert (status, Stored.objects.get(pk=run).status) == (0, "succeeded"), err
    assert steps(run) == list(range(1000)) and left(spool) == []


@pytest.mark.parametrize("end, status", [("", "succeeded"), ("os.kill(os.getpid(), signal.SIGTERM)", "cancelled")])
def test_every_one_of_several_runs_is_ended(end: str, status: str, spool: Path) -> None:
    runs = "runs = [run, *(hone.init('alpha') for _ in range(3))]\nfor number, each in enumerate(runs):"
    _, _, err = ended(program(f"{runs} each.log({{'loss': number}})\n{end}"))
    rows = Stored.objects.order_by("id")
    assert [(row.status, queries.raw(row.pk, "loss").values.tolist()) for row in rows] == [
        (status, [number]) for number in range(4)
    ], err
    assert left(spool) == []


def test_an_exception_that_nobody_catches_is_told() -> None:
    run, status, err = ended(program("run.log({'loss': 1})\nraise ValueError('too hot')"))
    row = Stored.objects.get(pk=run)
    assert (status, row.status, row.error_message) == (1, "failed", "ValueError: too hot")
    assert "too hot" in err and steps(run) == [0]


def test_sigterm_flushes_and_the_program_dies_of_it(spool: Path) -> None:
    process = program("for step in range(500): run.log({'loss': step})\nprint('now', flush=True)\ntime.sleep(60)")
    assert process.stdout is not None
    run = int(process.stdout.readline())
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    row = Stored.objects.get(pk=run)
    assert (row.status, row.error_message) == ("cancelled", "It was stopped by SIGTERM.")
    assert steps(run) == list(range(500)) and left(spool) == []


def test_a_handler_that_was_there_before_is_called_and_the_run_goes_on() -> None:
    text = f"""
import signal, sys
def stop(number, frame):
    run.log({{'loss': 2}})
    sys.exit(3)
signal.signal(signal.SIGTERM, stop)
{HEAD}
run.log({{'loss': 1}})
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=ROOT, timeout=60)
    run = int(done.stdout.split()[0])
    assert done.returncode == 3, done.stderr
    assert (steps(run), Stored.objects.get(pk=run).status) == ([0, 1], "succeeded")


def test_kill_9_loses_at_most_what_was_not_on_disk_and_sync_doubles_nothing(hone: Hone, spool: Path) -> None:
    """Its sender does nothing, so that all the points wait."""
    text = (
        "run._sender.stopped = True\n"
        "for step in range(3000): run.log({'loss': step}, step)\n"
        "assert run._writer.flush(10)\nprint('flushed', flush=True)\n"
        "for step in range(3000, 3010): run.log({'loss': step}, step)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run, status, _ = ended(program(text))
    assert status == -signal.SIGKILL
    [folder] = left(spool)
    torn = folder / "000000.log"
    with torn.open("ab") as file:
        file.write(b'points {"series":{"loss":{"step":[99999],"va')  # what a kill in the middle of a write leaves
    before = steps(run)
    said = hone("sync")
    assert (said.status, said.out) == (0, f"run {run}: sent.\n"), said.err
    after = steps(run)
    assert set(range(3000)) <= set(after) <= set(range(3010)) and len(after) == len(set(after)) >= len(before)
    row = Stored.objects.get(pk=run)
    assert (row.status, "ended without a word" in row.error_message) == ("failed", True)
    assert hone("sync").out == "Nothing is left to send.\n" and left(spool) == []


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_kill_9_at_any_moment_leaves_a_gapless_beginning_after_sync(after_s: float, hone: Hone, spool: Path) -> None:
    text = (
        "from hone import writer\nwriter.EVERY_S = 0.005\n"
        "for step in range(10_000_000):\n"
        "    run.log({'loss': step}, step)\n"
        "    if step % 500 == 0: assert run._writer.flush(10); print(step, flush=True)\n"
    )
    process = program(text)
    assert process.stdout is not None
    run, flushed = int(process.stdout.readline()), int(process.stdout.readline())
    time.sleep(after_s)
    process.kill()
    on_disk = [int(line) for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    assert hone("sync").status == 0
    found = steps(run)
    assert found == list(range(len(found))) and len(found) > max([flushed, *on_disk])
    assert Stored.objects.get(pk=run).status == "failed" and left(spool) == []


def test_answers_that_never_arrive_double_nothing(hone: Hone, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request is stored, and every second answer is lost on its way back: all are sent again."""
    from hone.client import Client
    from hone.errors import Away

    send, answers = Client._send, iter(range(10_000))

    def losing(self: Client, method: str, path: str, **content: Any) -> Any:
        response = send(self, method, path, **content)
        if next(answers) % 2 and method != "GET":
            raise Away("The answer was lost.")
        return response

    monkeypatch.setattr(Client, "_send", losing)
    monkeypatch.setattr("hone.delivery.FIRST_PAUSE_S", 0.01)
    import hone as client

    run = client.init("alpha", name="flaky")
    for step in range(200):
        run.log({"loss": float(step)}, step)
        if step % 20 == 0:
            assert run._writer.flush(10)
    run.finish(timeout_s=1)
    monkeypatch.setattr(Client, "_send", send)
    for _ in range(2):
        assert hone("sync").status == 0
    row = Stored.objects.get(name="flaky")
    assert (row.status, steps(row.pk), left(spool)) == ("succeeded", list(range(200)), [])


def test_a_server_that_is_away_and_comes_back_has_everything(
    spool: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hone.delivery.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("hone.delivery.LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(writer, "EVERY_S", 0.02)
    from hone.client import Client

    address = os.environ["HONE_URL"]
    run = hone.init("alpha", url="http://127.0.0.1:9", name="offline")
    assert run.id is None
    for step in range(50):
        run.log({"loss": float(step)})
    assert not run.flush(2) and "No Hone answers" in caplog.text
    back = Client(f"{address}/api/v1", os.environ["HONE_TOKEN"])
    run._sender._delivery.client = back
    deadline = time.monotonic() + 10
    while "answers again" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert steps(run.id) == list(range(50))
    run.log({"loss": 50.0})
    run.finish()
    assert (steps(run.id), stored(run).status, left(spool)) == (list(range(51)), "succeeded", [])
    back._http.close()


def test_a_run_that_never_reached_a_server_is_made_by_sync(hone: Hone, spool: Path) -> None:
    import hone as client

    run = client.init("alpha", {"lr": 1}, url="http://127.0.0.1:9", name="offline")
    run.log({"loss": 1.0})
    run.log_artifact(Path(__file__), "script.py")
    run.finish(timeout_s=2)
    assert not Stored.objects.filter(name="offline").exists()
    refused = hone("sync")
    assert refused.status == 1 and "it belongs to http://127.0.0.1:9/api/v1" in refused.out
    [folder] = left(spool)
    facts = (folder / "run.json").read_text()
    (folder / "run.json").write_text(facts.replace("http://127.0.0.1:9", os.environ["HONE_URL"]))
    assert hone("sync", "--json").json[0]["sent"] is True
    row = Stored.objects.get(name="offline")
    assert (row.status, row.spec["lr"], steps(row.pk)) == ("succeeded", 1, [0])
    assert [artifact.path for artifact in row.artifacts.all()] == ["script.py"]


def test_sync_leaves_a_run_alone_whose_process_lives(hone: Hone) -> None:
    import hone as client

    run = client.init("alpha")
    run.log({"loss": 1.0})
    assert run.flush()
    said = hone("sync")
    assert (said.status, said.out) == (0, f"run {run.id}: its process lives and sends by itself.\n")
    assert stored(run).status == "running"
