"""What people call a sweep, where its runs wait, and what it is imported from. The rules are those of the actions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict

from webapp.runs.models import Run
from webapp.sweeps.models import Sweep


class SweepForm(forms.Form):
    name = forms.CharField(max_length=200, required=False, help_text="Made from the spec when empty.")
    tags = forms.CharField(required=False, help_text="Separated by commas.")
    priority = forms.IntegerField(required=False, initial=0, help_text="Of its runs: higher goes first.")
    queue = forms.CharField(required=False, initial="default", max_length=60)

    @classmethod
    def of(cls, sweep: Sweep, data: QueryDict | None) -> SweepForm:
        """The form that changes a sweep, which keeps having a name, and stays in its queue."""
        form = cls(data, initial=cls.initial_of(sweep))
        form.fields["name"].required, form.fields["name"].help_text = True, ""
        del form.fields["queue"]
        return form

    @staticmethod
    def initial_of(sweep: Sweep) -> dict[str, Any]:
        return {
            "name": sweep.name,
            "tags": ", ".join(sweep.tags),
            "priority": sweep.priority,
            "queue": sweep.queue_id,
        }

    def changes(self) -> dict[str, Any]:
        """The arguments of create, or of edit."""
        data = self.cleaned_data
        found = {
            "name": data["name"],
            "tags": [tag.strip() for tag in data["tags"].split(",") if tag.strip()],
            "priority": data["priority"] or 0,
        }
        return found | ({"queue": data["queue"] or "default"} if "queue" in data else {})


class ImportForm(forms.Form):
    """An Optuna study as a file, or a W&B sweep as a file or as text; and the run whose spec the sweep starts from."""

    file = forms.FileField(
        required=False,
        label="File",
        help_text="A storage of Optuna (SQLite or journal file), or the sweep configuration of W&B (.yaml).",
    )
    text = forms.CharField(
        required=False,
        label="Or the YAML of a W&B sweep",
        widget=forms.Textarea({"rows": 10, "class": "data", "spellcheck": "false"}),
    )
    run = forms.ModelChoiceField(
        queryset=Run.objects.none(),
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
