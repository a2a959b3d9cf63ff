"""Every write of sweeps and trials. Their runs change state through webapp.runs.actions alone."""

from webapp.sweeps.actions.advancing import advance, fail, living
from webapp.sweeps.actions.control import pause, resume, stop
from webapp.sweeps.actions.creation import create, delete
from webapp.sweeps.actions.editing import edit, extend
from webapp.sweeps.actions.trials import add_trial, cancel_trial, prioritise, requeue_failed, resume_trial

__all__ = [
    "add_trial",
    "advance",
    "cancel_trial",
    "create",
    "delete",
    "edit",
    "extend",
    "fail",
    "living",
    "pause",
    "prioritise",
    "requeue_failed",
    "resume",
    "resume_trial",
    "stop",
]
