from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
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

LARGEST_BYTES = 256 * 2**20


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
    """The form of a new sweep with everything that was read; its base is the chosen run where nothing names one."""
    run = form.cleaned_data["run"]
    spec = body.get("spec") or (dict(run.spec) if run else {})
    name = str(body.get("name", ""))
    return show(request, project, drafts.of_definition({**body, "spec": spec}), SweepForm(initial={"name": name}))


def _read(file: UploadedFile | None, text: str) -> dict[str, Any]:
    from webapp.sweeps.exchange import wandb_yaml

    """By what it is: an SQLite file is a storage of Optuna, text is a sweep of W&B. Raises Invalid."""
    if file is None:
        return wandb_yaml.read(text)
    if file.size and file.size > LARGEST_BYTES:
        raise Invalid.field("file", f"The file must not exceed {LARGEST_BYTES // 2**20} MiB.")
    head = file.read(16)
    file.seek(0)
    return _study(file) if head.startswith(b"SQLite format 3") else wandb_yaml.read(_decoded(file.read()))


def _study(file: UploadedFile) -> dict[str, Any]:
    from webapp.sweeps.exchange import optuna_study

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.db"
        with path.open("wb") as kept:
            for chunk in file.chunks():
                kept.write(chunk)
        return optuna_study.read(path)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid.field("file", "This is neither an SQLite file of Optuna nor the text of a W&B sweep.") from None
