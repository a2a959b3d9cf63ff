"""What people call a sweep, where its runs wait, and what it is imported from. The rules are those of the actions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from webapp.runs.models import Run
from webapp.sweeps.models import Sweep


class SweepForm(forms.Form):
    name = forms.CharField(max_length=200, required=False, help_text="Made from the space when empty.")
    tags = forms.CharField(required=False, help_text="Separated by commas.")
    priority = forms.IntegerField(required=False, initial=0, help_text="Of its runs: higher goes first.")
    queue = forms.CharField(required=False, initial="default", max_length=60)

    @staticmethod
    def initial_of(sweep: Sweep) -> dict[str, Any]:
        return {
            "name": sweep.name,
            "tags": ", ".join(sweep.tags),
            "priority": sweep.priority,
            "queue": sweep.queue_id,
        }

    def changes(self) -> dict[str, Any]:
        """The arguments of create."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "tags": [tag.strip() for tag in data["tags"].split(",") if tag.strip()],
            "priority": data["priority"] or 0,
            "queue": data["queue"] or "default",
        }


class ImportForm(forms.Form):
    """An Optuna study as a file, or a W&B sweep as a file or as text; and the run whose spec the sweep starts from."""

    file = forms.FileField(
        required=False,
        label="File",
        help_text="A study's SQLite storage of Optuna (.db), or the sweep configuration of W&B (.yaml).",
    )
    text = forms.CharField(
        required=False,
        label="Or the YAML of a W&B sweep",
        widget=forms.Textarea({"rows": 10, "class": "data", "spellcheck": "false"}),
    )
    run = forms.ModelChoiceField(
        queryset=None,
        required=False,
        label="Base run",
        empty_label="none: the spec is filled in by hand",
        help_text="Every trial is its spec with a point of the space filled in.",
    )

    def __init__(self, *args: Any, runs: QuerySet[Run], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["run"].queryset = runs  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if "file" in data and not data["file"] and not data.get("text", "").strip():
            self.add_error("file", "Choose a file, or paste the YAML below.")
        return data
