"""How long charts take, from the address to what is drawn: in Chromium, and over HTTP.

`python benchmarks/charts.py` starts its own PostgreSQL, Redis and web server in a temporary home, and prints medians of
warm repeats; in Chromium each is a new page of a browser that has the scripts in its cache: once in a profile on disk,
which also keeps the scripts as compiled (the browser of somebody who comes back), and once in a private window, which
compiles them anew. Targets: a run of 12,000 metrics shows its first chart within 1 s; 100 runs of 10,000 steps are on
one chart within 1.5 s, and pointing at them takes 100 ms at most.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.metric_store import installation, new_run, points
from benchmarks.peers.timing import timed
from benchmarks.runs_table import serving

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
READ = "document.querySelector('[data-metric=\"eval/loss\"] .plot')?.data !== undefined"
COMPILED = 3  # visits after which a browser keeps what it compiled of a script
DRAWN = "document.querySelector('.plot[data-lines]') !== null"
CURVES = "/compare/curves/?tag=many&metrics=loss"
AWAIT = """condition => new Promise(resolve => {
  const look = () => eval(condition) ? resolve(performance.now()) : requestAnimationFrame(look); look(); })"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with installation(), serving() as (host, port):
        server = f"http://{host}:{port}"
        fill()
        for title, seconds in [*over_http(server, options.repeats), *in_chromium(server, options.repeats)]:
            print(f"{title:<66} {1000 * seconds:8.0f} ms")


def fill() -> None:
    """Run 1 has 12 metrics, run 2 has 12,000, run 3 has a million points, and a hundred runs have 10,000 each."""
    from django.db import transaction

    from webapp.metrics import store
    from webapp.runs.models import Run

    short = points(0, 20)
    for count in (12, 12_000):
        run = new_run()
        names = [f"layers/{n // 250}/weight.{n % 250}" for n in range(count - 1)]
        for at in range(0, count, 1000):
            with transaction.atomic():
                store.append(run.id, dict.fromkeys([*names, "eval/loss"][at : at + 1000], short))
    with transaction.atomic():
        store.append(new_run().id, {"eval/loss": points(0, 1_000_000)})
    for seed in range(100):
        run = new_run()
        noise = points(0, 10_000, seed)
        loss = seed / 50 + np.exp(-noise.steps / 3000) + noise.values / 50
        with transaction.atomic():
            store.append(run.id, {"loss": noise._replace(values=loss)})
        spec = {"method": seed // 10, "seed": seed}
        Run.objects.filter(pk=run.pk).update(tags=["many"], name=f"run {seed}", spec=spec)


def cookie() -> tuple[str, str]:
    from django.conf import settings
    from django.test import Client

    from webapp.accounts.actions import create_user

    user = create_user("bench", is_superuser=True)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return settings.SESSION_COOKIE_NAME, client.cookies[settings.SESSION_COOKIE_NAME].value


def over_http(server: str, repeats: int) -> Iterator[tuple[str, float]]:
    global SESSION
    SESSION = cookie()
    curves = f"{server}/compare/curves/data/?tag=many&metrics=loss"
    for title, address in (
        ("1,000,000 points for 1,500 px, JSON", f"{server}/api/v1/runs/3/series?name=eval/loss&points=3000"),
        ("100 runs x 10,000 steps, packed", f"{curves}&points=2200"),
        ("the same as means with bands of 10 groups", f"{curves}&points=2200&band=std&group=method"),
        ("page of a run of 12 metrics", f"{server}/p/benchmark/runs/1/"),
        ("page of a run of 12,000 metrics", f"{server}/p/benchmark/runs/2/"),
    ):
        yield f"HTTP: {title}", timed(lambda address=address: fetch(address), repeats)


def fetch(address: str) -> None:
    request = urllib.request.Request(address, headers={"Cookie": "=".join(SESSION)})
    with urllib.request.urlopen(request) as answer:
        answer.read()


def in_chromium(server: str, repeats: int) -> Iterator[tuple[str, float]]:
    from playwright.sync_api import sync_playwright

    options: dict[str, Any] = {"viewport": {"width": 1372, "height": 900}, "bypass_csp": True}
    browser: dict[str, Any] = {"executable_path": CHROMIUM, "args": ["--no-sandbox", "--disable-gpu"]}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        known = playwright.chromium.launch_persistent_context(profile, **browser, **options)
        private = playwright.chromium.launch(**browser).new_context(**options)
        for title, context in (("", known), (", private window", private)):
            context.add_cookies([{"name": SESSION[0], "value": SESSION[1], "url": server}])
            yield from pages(context, server, repeats, title)
        page, _ = opened(known, server + CURVES, DRAWN)
        page.locator(".plot[data-lines]").wait_for(state="attached")
        yield from interactions(page)
        private.browser.close()
        known.close()


def pages(context: Any, server: str, repeats: int, title: str) -> Iterator[tuple[str, float]]:
    for name, address, condition in (
        ("first chart, run of 12 metrics", "/p/benchmark/runs/1/", READ),
        ("first chart, run of 12,000 metrics", "/p/benchmark/runs/2/", READ),
        ("100 runs x 10,000 steps drawn", CURVES, DRAWN),
    ):
        found = []
        for _ in range(COMPILED + repeats):
            page, seconds = opened(context, server + address, condition)
            found.append(seconds)
            page.close()
        yield f"Chromium{title}: {name}", statistics.median(found[COMPILED:])
        yield f"Chromium{title}: the quickest of them", min(found[COMPILED:])


def opened(context: Any, address: str, condition: str) -> tuple[Any, float]:
    """The page, and the seconds from its address to the condition."""
    page = context.new_page()
    page.goto(address, wait_until="commit")
    return page, page.evaluate(AWAIT, condition) / 1000


def interactions(page: Any) -> Iterator[tuple[str, float]]:
    box = page.locator(".nsewdrag").bounding_box()
    hovers, paints = [], []
    for share in np.linspace(0.1, 0.9, 21):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
        hovers.append(float(page.locator(".plot").get_attribute("data-hover-ms")) / 1000)
    for _ in range(6):
        page.get_by_label("clip outliers").click()
        page.wait_for_timeout(150)
        paints.append(float(page.locator(".plot").get_attribute("data-paint-ms")) / 1000)
    yield "Chromium: pointing at one of 100 runs, median of 21", statistics.median(hovers)
    yield "Chromium: the slowest of them", max(hovers)
    yield "Chromium: painting 100 smoothed runs anew, median of 6", statistics.median(paints)


if __name__ == "__main__":
    main()
