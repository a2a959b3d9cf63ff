from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, Role
from webapp.http import PageRequest, project_for
from webapp.pages.forms.sweep import ImportForm, SweepForm
from webapp.pages.sweeps import draft as drafts
from webapp.pages.views.sweep_new import show
from webapp.runs.merging import merged
from webapp.sweeps.exchange import optuna_study, wandb_yaml

YAML = (".yaml", ".yml")
LONGEST_YAML = 1 << 20  # bytes


@require_http_methods(["GET", "POST"])
@login_required
def import_(request: PageRequest, slug: str) -> HttpResponse:
    """An Optuna study or a W&B sweep fills the form of a new sweep; nothing is started by it."""
    project = project_for(request, slug, Role.EDITOR)
    form = ImportForm(request.POST or None, request.FILES or None, runs=drafts.runs_of(project, request.user))
    if request.method == "POST" and form.is_valid():
        try:
            body = _read(form.cleaned_data["file"], form.cleaned_data["text"])
        except Invalid as error:
            form.add_error("file" if form.cleaned_data["file"] else "text", str(error))
        else:
            return _filled(request, project, body, form)
    context = {
        "form": form,
        "project": project,
        "crumbs": [{"label": "Sweeps", "url": reverse("sweeps", args=[slug])}, {"label": "Import"}],
    }
    return render(request, "pages/sweep_import.html", context, status=422 if request.method == "POST" else 200)


def _filled(request: PageRequest, project: Project, body: dict[str, Any], form: ImportForm) -> HttpResponse:
    """The form of a new sweep with everything that was read; constants go into the spec of the chosen run."""
    run, spec = form.cleaned_data["run"], body.get("spec") or {}
    body["spec"] = merged(dict(run.spec), spec) if run else spec
    told, about = body.pop("notes", []), SweepForm(initial={"name": body.get("name", "")})
    return show(request, project, drafts.of_definition(body), about, told=told)


def _read(file: Any, text: str) -> dict[str, Any]:
    """YAML is a sweep of W&B, any other file a storage of Optuna. Raises Invalid."""
    if file is None:
        return wandb_yaml.read(text)
    if Path(file.name or "").suffix.lower() in YAML:
        return wandb_yaml.read(_decoded(file))
    with tempfile.TemporaryDirectory(prefix="hone-") as folder:
        path = Path(folder) / "study"
        with path.open("wb") as kept:
            for chunk in file.chunks():
                kept.write(chunk)
        return optuna_study.read(path)


def _decoded(file: Any) -> str:
    try:
        return str(file.read(LONGEST_YAML), "utf-8")
    except UnicodeDecodeError:
        raise Invalid.field("file", "The YAML of a W&B sweep must be text in UTF-8.") from None
