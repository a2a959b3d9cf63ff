"""Every write of fits and ladders. Their runs change state through webapp.runs.actions alone."""

from webapp.scaling.actions.fits import create_fit, delete_fit, edit_fit, revise
from webapp.scaling.actions.keeping import keep_current
from webapp.scaling.actions.ladders import add_rung, cancel_ladder, create_ladder, delete_ladder

__all__ = [
    "add_rung",
    "cancel_ladder",
    "create_fit",
    "create_ladder",
    "delete_fit",
    "delete_ladder",
    "edit_fit",
    "keep_current",
    "revise",
]
