"""A sweep searches a space by trials; a trial is one point; its replicates are runs of that point with several seeds.

These rows are the only record of a search: a sampler is asked for the next point and remembers nothing.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from webapp.accounts.models import Project, User
from webapp.runs.models import Queue, Run
from webapp.sweeps.ordered import OrderedJSONField
from webapp.sweeps.states import LIVE, Role, SweepStatus, TrialStatus


class Sweep(models.Model):
    """`definition` is a checked definition.Definition as JSON; every edit is a new `revision` of it."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="sweeps")
    name = models.CharField(max_length=200)
    definition = OrderedJSONField()
    revision = models.IntegerField(default=1)
    status = models.CharField(max_length=12, choices=SweepStatus.choices, default=SweepStatus.RUNNING)
    end_reason = models.TextField(default="", blank=True)  # one sentence, once it is over
    protocol = models.JSONField(null=True)  # {"name", knobs...} when it was made from a template
    tags = ArrayField(models.CharField(max_length=60), default=list)
    queue = models.ForeignKey(Queue, models.PROTECT, to_field="name", db_column="queue", related_name="sweeps")
    priority = models.IntegerField(default=0)  # of its runs
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    schedule = models.ForeignKey("Schedule", models.SET_NULL, null=True, related_name="sweeps")
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "sweeps"
        indexes = [
            models.Index(fields=["project", "-id"], name="sweeps_of_project", condition=Q(deleted_at=None)),
            models.Index(fields=["status"], name="sweeps_live", condition=Q(status__in=sorted(LIVE))),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.name}"


class Trial(models.Model):
    """One point. `values` are the means over its tuning seeds, one per objective, as measured (no sign is turned)."""

    class Source(models.TextChoices):
        SAMPLER = "sampler"
        HAND = "hand"  # added by a person
        IMPORTED = "imported"  # from another tool's study: no runs of ours

    sweep = models.ForeignKey(Sweep, models.CASCADE, related_name="trials")
    number = models.IntegerField()  # from 1
    params = models.JSONField()  # {"optimizer.lr": 1e-3, ...}: only what is active at this point
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.SAMPLER)
    status = models.CharField(max_length=13, choices=TrialStatus.choices, default=TrialStatus.QUEUED)
    values = models.JSONField(null=True)
    message = models.TextField(default="", blank=True)  # why it failed or was stopped, one sentence
    judged_step = models.BigIntegerField(default=0)  # up to here the stopper has let it live
    spared = models.BooleanField(default=False)  # resumed by a person: no stopper touches it again
    forecasts = models.JSONField(default=list)  # what stoppers foretold: [{"step", "mean", "low", "high", "chance"}]
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="children")  # PBT: copied from
    generation = models.IntegerField(default=0)  # PBT
    steps = models.BigIntegerField(null=True)  # PBT: where its training ends; else the spec's
    seeds = models.IntegerField(default=1)  # tuning seeds that it is to have by now (racing gives more)
    priority = models.IntegerField(default=0)  # added to the sweep's
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "trials"
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["sweep", "number"], name="trial_numbers")]

    def __str__(self) -> str:
        return f"{self.sweep_id}/{self.number}"


class Replicate(models.Model):
    """One run of a trial. Tuning and test seeds never meet (definition.Seeds), nor do their roles."""

    trial = models.ForeignKey(Trial, models.CASCADE, related_name="replicates")
    run = models.OneToOneField(Run, models.CASCADE, related_name="replicate")
    seed = models.BigIntegerField()
    role = models.CharField(max_length=4, choices=Role.choices, default=Role.TUNE)
    values = models.JSONField(null=True)  # one per objective, once its run is over

    class Meta:
        db_table = "replicates"
        ordering = ["role", "seed"]
        constraints = [models.UniqueConstraint(fields=["trial", "role", "seed"], name="replicate_seeds")]

    def __str__(self) -> str:
        return f"{self.trial_id} {self.role} seed {self.seed}"


class SweepEvent(models.Model):
    """What happened to a sweep and why, in sentences, oldest first."""

    sweep = models.ForeignKey(Sweep, models.CASCADE, related_name="events")
    at = models.DateTimeField(db_default=Now())
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    message = models.TextField()

    class Meta:
        db_table = "sweep_events"
        ordering = ["id"]

    def __str__(self) -> str:
        return self.message


class Schedule(models.Model):
    """When to queue a run or a sweep: by `cron` in a time zone, every `interval_s`, or once `at` a time."""

    class Missed(models.TextChoices):
        SKIP = "skip"
        ONCE = "once"  # however many were missed

    project = models.ForeignKey(Project, models.PROTECT, related_name="schedules")
    name = models.CharField(max_length=200)
    cron = models.CharField(max_length=200, default="", blank=True)
    interval_s = models.IntegerField(null=True)
    at = models.DateTimeField(null=True)
    timezone = models.CharField(max_length=64, default="UTC")
    action = OrderedJSONField()  # {"run": {...}} or {"sweep": {...}}: the body of POST /runs or /sweeps, less project
    missed = models.CharField(max_length=4, choices=Missed.choices, default=Missed.SKIP)
    overlap = models.BooleanField(default=False)  # may begin while what it began before is not over
    enabled = models.BooleanField(default=True)
    notice = models.TextField(default="", blank=True)  # why it was stopped by itself
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    # No way back: `schedule` is a property of PeriodicTask, which a reverse name would break for every other task.
    task = models.OneToOneField("django_celery_beat.PeriodicTask", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "schedules"
        indexes = [models.Index(fields=["project", "-id"], name="schedules_of_project", condition=Q(deleted_at=None))]

    def __str__(self) -> str:
        return f"{self.id} {self.name}"


class Firing(models.Model):
    """One time that came for a schedule, and what became of it. No time comes twice."""

    class Outcome(models.TextChoices):
        QUEUED = "queued"
        OVERLAP = "overlap"  # left out: what it began before was not over
        MISSED = "missed"  # left out: nobody was there to begin it
        REFUSED = "refused"  # the action was invalid; `message` says why

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="firings")
    due_at = models.DateTimeField()
    at = models.DateTimeField(db_default=Now())
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")  # "run now"
    run = models.ForeignKey(Run, models.SET_NULL, null=True, related_name="+")
    sweep = models.ForeignKey(Sweep, models.SET_NULL, null=True, related_name="+")
    message = models.TextField(default="", blank=True)

    class Meta:
        db_table = "firings"
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["schedule", "due_at"], name="firing_times")]

    def __str__(self) -> str:
        return f"{self.schedule_id} at {self.due_at}"
