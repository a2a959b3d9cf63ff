"""Fifty programs log live while two hundred people watch: how old a point is when a viewer has it, and what fails.

`python benchmarks/live_viewers.py` starts its own PostgreSQL, Redis and web server in a temporary home. The writers are
`hone` clients (20 calls a second of 5 metrics each: 100 points/s), in processes of 25; the viewers read the event
streams that the run pages read, four a run; one Chromium has the page of the first run open. A point's value is the
time of its `run.log`, so its age is known wherever it is seen. All of it shares the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.charts import CHROMIUM
from benchmarks.ingest import api, installation

METRICS, CALLS_A_SECOND, RUNS_A_PROCESS = 5, 20, 25
WARM_UP_S = 10.0  # in which all viewers come at once, and the writers still open their runs
Ages = list[tuple[float, float]]
SEEN = """metric => {
  const ages = window.ages = []; let drawn = -1;
  const look = () => {
    const trace = document.querySelector(`[data-metric="${metric}"] .plot`)?.data?.[0];
    const y = trace ? Array.from(trace.y) : [];
    if (drawn < 0) drawn = y.length;
    for (; drawn < y.length; drawn++) ages.push([Date.now() / 1000, Date.now() / 1000 - y[drawn]]);
    requestAnimationFrame(look);
  }; look(); }"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=50)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--without-chromium", action="store_true")
    parser.add_argument("--write", type=int, metavar="RUNS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.write)
        return
    with installation() as (address, token, _), ExitStack() as stack:
        os.environ |= {"HONE_URL": address, "HONE_TOKEN": token, "HONE_SPOOL": f"{os.environ['HONE_HOME']}/spool"}
        runs = stack.enter_context(writers(options.writers))
        browser = None if options.without_chromium else stack.enter_context(chromium(address, runs[0]))
        time.sleep(3)
        before, began = cpu_seconds(server := server_pid()), time.time()
        with ThreadPoolExecutor(1) as pool:  # Playwright has a loop of its own in this thread
            ages = pool.submit(asyncio.run, watch(address, token, runs, options)).result()
        spent = (cpu_seconds(server) - before) / (options.seconds + WARM_UP_S)
        report(ages, began, browser, options)
        print(f"the web process: {spent:.2f} s of CPU a second")
        stored(runs)


def server_pid() -> int:
    """Of the web server, which `installation` has started as a child of this process."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = int(fields_of(folder)[1]) == os.getpid()
            if is_ours and b"uvicorn" in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except OSError:  # it has ended meanwhile
            continue
    raise SystemExit("There is no web server among the children of this process.")


def cpu_seconds(pid: int) -> float:
    """What all its threads have spent, in user space and in the kernel."""
    fields = fields_of(Path(f"/proc/{pid}"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fields_of(folder: Path) -> list[str]:
    """Of /proc/PID/stat, from the third one on: the second, the name, may hold spaces."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def write(count: int) -> None:
    """In a process of its own: logs until its standard input is closed, then says how many points it has logged."""
    import threading

    import hone

    runs = [hone.init("benchmark") for _ in range(count)]
    print(json.dumps([run.id for run in runs]), flush=True)
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    began, calls = time.monotonic(), 0
    while not is_over.is_set():
        for run in runs:
            run.log(dict.fromkeys(("eval/loss", "a", "b", "c", "d"), time.time()))
        calls += 1
        time.sleep(max(0.0, began + calls / CALLS_A_SECOND - time.monotonic()))
    for run in runs:
        run.finish()
    logged = calls * METRICS
    print(json.dumps({run.id: logged - run.dropped for run in runs}), flush=True)


@contextmanager
def writers(count: int) -> Iterator[list[int]]:
    """The numbers of their runs. What they say at the end is checked against what is stored, see `stored`."""
    command = [sys.executable, __file__, "--write"]
    shares = [min(RUNS_A_PROCESS, count - at) for at in range(0, count, RUNS_A_PROCESS)]
    processes = [
        subprocess.Popen([*command, str(share)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for share in shares
    ]
    try:
        WRITING.extend(processes)
        yield [run for process in processes for run in json.loads(process.stdout.readline())]  # type: ignore[union-attr]
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)


WRITING: list[subprocess.Popen[str]] = []


def stored(runs: list[int]) -> None:
    """Every point that was logged must be there, once."""
    for process in WRITING:
        process.stdin.close()  # type: ignore[union-attr]
    logged: dict[str, int] = {}
    for process in WRITING:
        logged |= json.loads(process.stdout.readline())  # type: ignore[union-attr]
    with api() as client:
        counts = {
            run: sum(item["count"] for item in client.get(f"/runs/{run}/metrics").json()["items"]) for run in runs
        }
    wrong = {run: (logged[str(run)], count) for run, count in counts.items() if logged[str(run)] != count}
    print(f"stored {sum(counts.values()):,} of {sum(logged.values()):,} points; runs that differ: {wrong or 'none'}")


async def watch(address: str, token: str, runs: list[int], options: argparse.Namespace) -> list[Ages]:
    found = [runs[number % len(runs)] for number in range(options.viewers)]
    asking = asyncio.create_task(ask(address, token, runs[0]))
    try:
        return await asyncio.gather(*(view(address, token, run, options.seconds) for run in found))
    finally:
        asking.cancel()


async def ask(address: str, token: str, run: int) -> None:
    """Twice a second the metrics of a run, as somebody does who looks around meanwhile."""
    host = urlsplit(address)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    request = f"GET /api/v1/runs/{run}/metrics HTTP/1.1\r\nHost: {host.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    while True:
        began = time.monotonic()
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        ANSWERS.append((time.time(), time.monotonic() - began))
        await asyncio.sleep(0.5)


ANSWERS: Ages = []  # the moment, and how long it took


async def view(address: str, token: str, run: int, seconds: float) -> Ages:
    """The ages of the points that one event stream brought. Raises when it is refused or breaks off."""
    host = urlsplit(address)
    reader, writer = await asyncio.open_connection(host.hostname, host.port, limit=1 << 24)
    request = f"GET /api/v1/runs/{run}/events HTTP/1.1\r\nHost: {host.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(request.encode())
    status = await reader.readline()
    if b" 200 " not in status:
        raise SystemExit(f"A viewer was refused: {status!r}")
    ages: Ages = []
    try:
        async with asyncio.timeout(WARM_UP_S + seconds):
            while (event := await reader.readuntil(b"\n\n")) is not None:
                if b"event: points\n" in event:
                    ages += seen(json.loads(event[event.index(b"data: ") + 6 :]))
    except asyncio.IncompleteReadError:
        raise SystemExit("A viewer's stream broke off.") from None
    except TimeoutError:
        pass
    writer.close()
    return ages


def seen(points: dict[str, Any]) -> Ages:
    """The moment, and how old each point is."""
    now = time.time()
    return [(now, now - value) for columns in points.values() for value in columns["value"]]


@contextmanager
def chromium(address: str, run: int) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    from benchmarks.charts import cookie

    name, value = cookie()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(base_url=address, bypass_csp=True)
        context.add_cookies([{"name": name, "value": value, "url": address}])
        page = context.new_page()
        page.goto(f"/p/benchmark/runs/{run}/")
        page.wait_for_function("document.querySelector('[data-metric=\"eval/loss\"] .plot')?.data?.[0]?.x.length > 0")
        page.evaluate(SEEN, "eval/loss")
        yield page
        browser.close()


def report(ages: list[Ages], began: float, page: Any, options: argparse.Namespace) -> None:
    """`began`: when the viewers came."""
    warm = [np.array([age for at, age in each if at - began >= WARM_UP_S]) for each in ages]
    first = np.array([age for each in ages for at, age in each if at - began < WARM_UP_S])
    expected = options.seconds * METRICS * CALLS_A_SECOND
    least, most = min(map(len, warm)), max(map(len, warm))
    print(f"{options.viewers} viewers, {options.writers} writers of 100 points/s, {options.seconds:.0f} s")
    print(f"points a viewer got: {least:,} to {most:,} (logged meanwhile: {expected:,.0f})")
    told("age in an event stream", np.concatenate(warm))
    told(f"in the {WARM_UP_S:.0f} s before, in which all come", first)
    told("an answer of the API meanwhile", np.array([took for at, took in ANSWERS if at - began >= WARM_UP_S]))
    if page is not None:
        told(
            "age when drawn in Chromium",
            np.array([age for at, age in page.evaluate("window.ages") if at - began >= WARM_UP_S]),
        )


def told(title: str, ages: Any) -> None:
    if not len(ages):
        print(f"{title}: nothing came")
        return
    median, p95, p99, most = np.percentile(ages, [50, 95, 99, 100])
    print(f"{title}: median {median:.2f} s, p95 {p95:.2f}, p99 {p99:.2f}, oldest {most:.2f} ({len(ages):,})")


if __name__ == "__main__":
    main()
