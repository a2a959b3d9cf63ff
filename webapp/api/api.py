"""The REST API v1: every router, mounted once; `webapp/urls.py` puts it at /api/v1/."""

from __future__ import annotations

from webapp.api import replies
from webapp.api.auth import AUTH
from webapp.api.docs import SwaggerPage
from webapp.api.openapi import HoneAPI, refuse_unknown_parameters
from webapp.api.routers import (
    artifacts,
    bulk,
    compare,
    control,
    exchange,
    fits,
    ladders,
    logs,
    media,
    methods,
    metrics,
    plans,
    projects,
    protocols,
    queues,
    run_tables,
    runs,
    schedules,
    searches,
    series,
    sweep_control,
    sweeps,
    tokens,
    trials,
    unknown,
    uploads,
    views,
    workers,
)
from webapp.api.wire import Renderer, StrictParser

DESCRIPTION = """
Queue training runs, watch their metrics and fetch what they leave behind.

Send a token as `Authorization: Bearer <token>`. Lists are `{items, next}`: pass `next` as `cursor` for the next page.
Errors are `{"detail": sentence, "errors": [{"loc": [...], "msg": ...}]}`. A number that JSON can't hold is the string
`"NaN"`, `"Infinity"` or `"-Infinity"`.
"""

api = HoneAPI(
    title="Hone",
    version="1",
    description=DESCRIPTION.strip(),
    openapi_url="/openapi.json",
    docs_url="/docs",
    docs=SwaggerPage(),
    urls_namespace="api",
    auth=AUTH,
    parser=StrictParser(),
    renderer=Renderer(),
)
api.add_decorator(refuse_unknown_parameters, mode="view")
replies.install(api)

for prefix, router, tag in (
    ("/projects", projects.router, "Projects"),
    ("/projects", uploads.router, "Uploads"),
    ("/runs", runs.router, "Runs"),
    ("/projects", views.router, "Runs"),
    ("/runs", run_tables.router, "Runs"),
    ("/runs", control.router, "Control"),
    ("/runs", bulk.router, "Control"),
    ("/runs", metrics.router, "Metrics"),
    ("/runs", media.router, "Metrics"),
    ("/series", series.router, "Metrics"),
    ("/compare", compare.router, "Metrics"),
    ("/runs", logs.router, "Log and events"),
    ("/runs", artifacts.router, "Artifacts"),
    ("/sweeps", sweeps.router, "Sweeps"),
    ("/sweeps", sweep_control.router, "Sweeps"),
    ("/sweeps", trials.router, "Trials"),
    ("/sweeps", exchange.router, "Sweeps"),
    ("", searches.router, "Sweeps"),
    ("/fits", fits.router, "Scaling"),
    ("/schedules", schedules.router, "Schedules"),
    ("/ladders", ladders.router, "Scaling"),
    ("", protocols.router, "Protocols"),
    ("", methods.router, "Methods and plans"),
    ("", plans.router, "Methods and plans"),
    ("/workers", workers.router, "Workers and queues"),
    ("/queues", queues.router, "Workers and queues"),
    ("/tokens", tokens.router, "Tokens"),
    ("", unknown.router, "Unknown"),
):
    api.add_router(prefix, router, tags=[tag])
api.refuse_methods_in_json()
