"""Every write of fits and ladders. Their runs change state through webapp.runs.actions alone."""

from webapp.scaling.actions.fits import create_fit, delete_fit, edit_fit, revise
from webapp.scaling.actions.keeping import keep_current

__all__ = ["create_fit", "delete_fit", "edit_fit", "keep_current", "revise"]
