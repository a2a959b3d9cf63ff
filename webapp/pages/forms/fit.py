"""What people call a fit, and whether it follows its points."""

from __future__ import annotations

from typing import Any

from django import forms

from webapp.scaling.models import Fit


class FitForm(forms.Form):
    name = forms.CharField(max_length=200, required=False, help_text="Made from the law when empty.")
    is_kept_current = forms.BooleanField(
        required=False,
        label="Keep current",
        help_text="Fitted anew by itself when its query finds other runs.",
    )

    @staticmethod
    def initial_of(fit: Fit) -> dict[str, Any]:
        return {"name": fit.name, "is_kept_current": fit.is_kept_current}
