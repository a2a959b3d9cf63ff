"""Every write of runs. A run changes state nowhere else, and always by a conditional UPDATE."""

from webapp.runs.actions.attempts import (
    LogEntry,
    NewArtifact,
    add_artifacts,
    advance,
    entered_phase,
    finish,
    lock,
    logged,
    progressed,
    started,
    stopped,
    touch,
)
from webapp.runs.actions.claiming import claim
from webapp.runs.actions.control import cancel, delete, pause, requeue, resume, tag, update
from webapp.runs.actions.forking import fork
from webapp.runs.actions.outside import add_file, create_external, finish_external, heard, lose_silent
from webapp.runs.actions.queues import move, pause_queue, resume_queue
from webapp.runs.actions.reaping import Observation, reap
from webapp.runs.actions.submission import add_upload, clone, delete_upload, submit
from webapp.runs.actions.workers import drain, heartbeat, register_worker, undrain, unregister_worker

__all__ = [
    "LogEntry",
    "NewArtifact",
    "Observation",
    "add_artifacts",
    "add_file",
    "add_upload",
    "advance",
    "cancel",
    "claim",
    "clone",
    "create_external",
    "delete",
    "delete_upload",
    "drain",
    "entered_phase",
    "finish",
    "finish_external",
    "fork",
    "heard",
    "heartbeat",
    "lock",
    "logged",
    "lose_silent",
    "move",
    "pause",
    "pause_queue",
    "progressed",
    "reap",
    "register_worker",
    "requeue",
    "resume",
    "resume_queue",
    "started",
    "stopped",
    "submit",
    "tag",
    "touch",
    "undrain",
    "unregister_worker",
    "update",
]
