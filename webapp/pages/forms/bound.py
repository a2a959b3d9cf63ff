"""Puts what an action found wrong onto the form that asked for it, under the same field and in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms

from webapp.accounts.errors import FieldError


def show_errors(form: forms.BaseForm, errors: Sequence[FieldError]) -> None:
    """Each error goes to the field its `loc` ends in, or above the form when it has no such field."""
    for error in errors:
        name = str(error["loc"][-1]) if error["loc"] else ""
        form.add_error(name if name in form.fields else None, error["msg"])
