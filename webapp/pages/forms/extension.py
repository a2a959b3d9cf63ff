"""How much further a sweep is to go, and points that a person adds to it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict

from webapp.pages.forms.plain import plain_of, text_of, texts_of
from webapp.pages.forms.values import written
from webapp.sweeps.definition import Budget, Choices, Definition, Dimension

LIMITS = tuple(Budget.model_fields)
LABELS = {
    "gpu_hours": "GPU-hours",
    "wall_hours": "Hours since its start",
    "flops": "FLOPs",
    "energy_kwh": "Energy in kWh",
    "deadline": "Deadline",
}


class ExtendForm(forms.Form):
    """`trials` are added; a limit of the budget is what it is to be from now on. Only the sweep's own limits show."""

    trials = forms.IntegerField(label="Trials to add", required=False, min_value=1, initial=10)

    def __init__(self, data: QueryDict | None, definition: Definition) -> None:
        super().__init__(data)
        self.limits = {name: value for name, value in definition.budget if value is not None}
        for name, value in self.limits.items():
            initial = value.isoformat() if name == "deadline" else written(value)
            self.fields[name] = forms.CharField(label=LABELS[name], required=False, initial=initial)

    def changes(self) -> dict[str, Any]:
        """The arguments of extend; only what was changed."""
        budget = {name: self._limit(name) for name in self.limits if name in self.changed_data}
        found: dict[str, Any] = {"trials": self.cleaned_data["trials"]} if self.cleaned_data["trials"] else {}
        return found | ({"budget": budget} if budget else {})

    def _limit(self, name: str) -> Any:
        """None, no limit, where the field was emptied; text that is no number stays text, for the check to name."""
        text = self.cleaned_data[name].strip()
        return None if not text else text if name == "deadline" else plain_of(text)


class PointForm(forms.Form):
    """One field for each dimension of the space; an empty one, where it may be, is left out of the point."""

    def __init__(self, data: QueryDict | None, definition: Definition) -> None:
        super().__init__(data)
        self.fields.update({path: _field(path, item) for path, item in definition.search.space.items()})

    def params(self) -> dict[str, Any]:
        return {path: plain_of(text) for path, text in self.cleaned_data.items() if text != ""}


def _field(path: str, dimension: Dimension) -> forms.Field:
    when = "; ".join(f"{parent} = {texts_of(values)}" for parent, values in (dimension.when or {}).items())
    only = f"Only where {when}." if when else ""
    if isinstance(dimension, Choices):
        offered = [(text_of(value), text_of(value)) for value in dimension.choices]
        blank = [("", "not at this point")] if when else []
        return forms.ChoiceField(label=path, required=not when, choices=[*blank, *offered], help_text=only)
    bounds = f"{written(dimension.low)} to {written(dimension.high)}"
    widget = forms.TextInput({"inputmode": "decimal", "class": "data", "autocomplete": "off"})
    return forms.CharField(label=path, required=not when, help_text=f"{bounds}. {only}".strip(), widget=widget)
