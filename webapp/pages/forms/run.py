"""What people call a run and where it waits. The rules are those of the action; this only reads text."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict

from webapp.runs.models import Run


class RunForm(forms.Form):
    name = forms.CharField(max_length=200, required=False, help_text="Made from the spec when empty.")
    tags = forms.CharField(required=False, help_text="Separated by commas.")
    priority = forms.IntegerField(required=False, initial=0, help_text="Higher goes first.")
    queue = forms.CharField(required=False, initial="default", max_length=60)
    baseline = forms.IntegerField(
        required=False, min_value=1, help_text="The number of a run to compare the result with."
    )

    @classmethod
    def of(cls, run: Run, data: QueryDict | None) -> RunForm:
        """The form that changes a run, which keeps having a name."""
        form = cls(data, initial=cls.initial_of(run))
        form.fields["name"].required, form.fields["name"].help_text = True, ""
        return form

    @staticmethod
    def initial_of(run: Run) -> dict[str, Any]:
        return {
            "name": run.name,
            "tags": ", ".join(run.tags),
            "priority": run.priority,
            "queue": run.queue_id,
            "baseline": run.baseline_id,
        }

    def changes(self) -> dict[str, Any]:
        """The arguments of submit and update."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "tags": [tag.strip() for tag in data["tags"].split(",") if tag.strip()],
            "priority": data["priority"] or 0,
            "queue": data["queue"] or "default",
            "baseline": data["baseline"],
        }
