"""A run is one job spec and what became of it; an attempt is one try at it on one worker."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from webapp.accounts.models import Project, User
from webapp.runs.states import ACTIVE, Status


class Queue(models.Model):
    """A named line of runs. A paused queue hands out nothing; what runs goes on."""

    name = models.CharField(max_length=60, unique=True)
    paused = models.BooleanField(default=False)

    class Meta:
        db_table = "queues"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Worker(models.Model):
    """One worker process on one host. `name` is unique among living workers; `draining` takes no new runs."""

    name = models.CharField(max_length=200, unique=True)
    hostname = models.CharField(max_length=200)
    pid = models.IntegerField()
    slots = models.IntegerField()
    queues = ArrayField(models.CharField(max_length=60))
    devices = models.JSONField(default=list)  # one {"index", "name", "memory_bytes"} a slot; index null on CPU
    versions = models.JSONField(default=dict)
    draining = models.BooleanField(default=False)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "workers"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    project = models.ForeignKey(Project, models.PROTECT, related_name="runs")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)  # a registered kind, or "external"
    spec = models.JSONField(default=dict)
    tags = ArrayField(models.CharField(max_length=60), default=list)
    baseline = models.ForeignKey("self", models.SET_NULL, null=True, related_name="+")
    cloned_from = models.ForeignKey("self", models.SET_NULL, null=True, related_name="clones")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    status = models.CharField(max_length=20, choices=Status.choices, default=Status.QUEUED)
    queue = models.ForeignKey(Queue, models.PROTECT, to_field="name", db_column="queue", related_name="runs")
    priority = models.IntegerField(default=0)  # higher first
    rank = models.IntegerField(null=True)  # set by reordering by hand: ranked runs come first within a priority
    share = models.CharField(
        max_length=40, default="", db_default="", blank=True
    )  # runs of one share take turns with others
    gpus = models.IntegerField(default=1)  # slots it takes on one worker
    max_attempts = models.IntegerField(default=3)
    losses = models.IntegerField(default=0)  # attempts lost since a person last queued it; pauses don't count
    reserved_for = models.ForeignKey(Worker, models.SET_NULL, null=True, related_name="+")  # see actions/claiming.py

    step = models.BigIntegerField(default=0)
    steps = models.BigIntegerField(null=True)
    phase = models.CharField(max_length=60, default="", blank=True)
    facts = models.JSONField(default=dict)  # what Started told: parameters, model, data, FLOPs formula, plan
    provenance = models.JSONField(default=dict)
    result = models.JSONField(null=True)
    error_type = models.CharField(max_length=100, default="", blank=True)
    error_message = models.TextField(default="", blank=True)

    created_at = models.DateTimeField(db_default=Now())
    queued_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "runs"
        indexes = [
            models.Index(fields=["project", "-id"], name="runs_of_project", condition=Q(deleted_at=None)),
            models.Index(fields=["queue", "-priority", "rank", "id"], name="runs_queued", condition=Q(status="queued")),
            models.Index(fields=["status"], name="runs_active", condition=Q(status__in=sorted(ACTIVE))),
            GinIndex(fields=["tags"], name="runs_tags"),
            GinIndex(fields=["spec"], name="runs_spec", opclasses=["jsonb_path_ops"]),  # params.x = 'y'
            # a table of runs sorted by each; what is in none of them (step, phase) is what changes while a run runs
            models.Index(fields=["project", "name", "id"], name="runs_by_name", condition=Q(deleted_at=None)),
            models.Index(fields=["project", "status", "id"], name="runs_by_status", condition=Q(deleted_at=None)),
            models.Index(fields=["project", "created_by", "id"], name="runs_by_user", condition=Q(deleted_at=None)),
            models.Index(
                fields=["project", "started_at", "ended_at", "id"], name="runs_by_time", condition=Q(deleted_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.name}"


class RunParam(models.Model):
    """What stands at a path of a run's spec, of an object its `name`: what a table is sorted by.

    A trigger writes them (see the migration `params`, which says what has none). Nothing changes them otherwise.
    """

    pk = models.CompositePrimaryKey("run_id", "path")
    run = models.ForeignKey(Run, models.CASCADE, related_name="params", db_constraint=False, db_index=False)
    path = models.TextField()  # with the character 31 between its names
    value = models.JSONField()

    class Meta:
        db_table = "run_params"
        indexes = [models.Index(fields=["path", "value", "run"], name="params_by_value")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.path}"


class RunWords(models.Model):
    """By what a run is found: its name, its tags and its method, in capitals, as is its kind. A trigger writes them."""

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="words", db_constraint=False)
    kind = models.TextField()
    words = models.TextField()

    class Meta:
        db_table = "run_words"

    def __str__(self) -> str:
        return f"{self.run_id} {self.words}"


class Outside(models.Model):
    """What is known of the program behind a run of kind external.

    `key` names the request that made the run, so that the same one, sent again, makes no second. `heard_at` is its last
    heartbeat; a program that sends none is never found silent.
    """

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="outside")
    project = models.ForeignKey(Project, models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=200, null=True)  # noqa: DJ001 - without a key there is nothing to be unique
    digest = models.BinaryField(null=True)
    heard_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "outside_programs"
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="outside_keys")]

    def __str__(self) -> str:
        return f"{self.run_id} from outside"


class SavedView(models.Model):
    """What a project's table of runs shows, under a name; the fields are those of its address. See saved_views.py."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="views")
    name = models.CharField(max_length=60)
    q = models.CharField(max_length=2000, default="", blank=True)
    status = models.CharField(max_length=250, default="", blank=True)
    kind = models.CharField(max_length=250, default="", blank=True)
    tag = models.CharField(max_length=250, default="", blank=True)
    sort = models.CharField(max_length=300, default="", blank=True)
    columns = ArrayField(models.CharField(max_length=300), default=list, blank=True)
    group = models.CharField(max_length=600, default="", blank=True)
    group_sort = models.CharField(max_length=320, default="", blank=True)
    is_default = models.BooleanField(default=False)  # what somebody sees who asks for nothing
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "saved_views"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="saved_view_names"),
            models.UniqueConstraint(fields=["project"], condition=Q(is_default=True), name="saved_view_default"),
            models.CheckConstraint(condition=~Q(name=""), name="saved_view_has_name"),
            models.CheckConstraint(condition=Q(columns__len__lte=40), name="saved_view_columns"),
        ]

    def __str__(self) -> str:
        return self.name


class QueuePlace(models.Model):
    """The database view `queue_places`: THE order of each queue, defined once (see the migration `queue_places`)."""

    run = models.OneToOneField(Run, models.DO_NOTHING, primary_key=True, related_name="place")
    queue = models.CharField(max_length=60)
    turn = models.BigIntegerField()  # runs of the same project that go before it: active ones, then better queued ones;
    # within a project the shares take turns likewise (migration `shares`)
    position = models.BigIntegerField()  # 1 is claimed next

    class Meta:
        managed = False
        db_table = "queue_places"

    def __str__(self) -> str:
        return f"{self.queue} {self.position}"


class Input(models.Model):
    """What a run's spec names of ours: "run:12" or "upload:3". A run is not claimed before its input runs are final."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="inputs")
    name = models.CharField(max_length=40)
    source = models.ForeignKey(Run, models.SET_NULL, null=True, related_name="uses")
    upload = models.ForeignKey("Upload", models.SET_NULL, null=True, related_name="uses")

    class Meta:
        db_table = "run_inputs"
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="input_names")]

    def __str__(self) -> str:
        return self.name


class Attempt(models.Model):
    """One try. `sequence` is the last event of it that is in Postgres: replayed events at or below it are skipped."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    run = models.ForeignKey(Run, models.CASCADE, related_name="attempts")
    number = models.IntegerField()
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True, related_name="attempts")
    worker_name = models.CharField(max_length=200)
    devices = models.JSONField(default=list)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.STARTING)
    sequence = models.BigIntegerField(default=0)
    resumed_from_step = models.BigIntegerField(null=True)
    last_step = models.BigIntegerField(default=0)
    error_type = models.CharField(max_length=100, default="", blank=True)
    error_message = models.TextField(default="", blank=True)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "attempts"
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="attempt_numbers"),
            models.UniqueConstraint(fields=["run"], condition=Q(ended_at=None), name="one_live_attempt"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.number}"


class PhaseMark(models.Model):
    """When an attempt entered a phase (train, prune, retrain, evaluate, ...), and its peak memory once it left."""

    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="phases")
    name = models.CharField(max_length=60)
    step = models.BigIntegerField(default=0)
    at = models.DateTimeField()
    peak_memory_bytes = models.BigIntegerField(null=True)

    class Meta:
        db_table = "phase_marks"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.name} at step {self.step}"


class LogLine(models.Model):
    run = models.ForeignKey(Run, models.CASCADE, related_name="+")
    attempt = models.ForeignKey(Attempt, models.CASCADE, null=True, related_name="+")
    at = models.DateTimeField()
    level = models.CharField(max_length=10)
    message = models.TextField()

    class Meta:
        db_table = "log_lines"
        indexes = [models.Index(fields=["run", "id"], name="log_of_run")]

    def __str__(self) -> str:
        return self.message


class Blob(models.Model):
    """Bytes in the storage, named by their SHA-256; written once, shared by every artifact with that content."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())
    touched_at = models.DateTimeField(db_default=Now())  # last stored or found present: younger ones are no garbage

    class Meta:
        db_table = "blobs"

    def __str__(self) -> str:
        return self.sha256


class Artifact(models.Model):
    """A file of a run. A checkpoint or a model is several: all rows under one `folder`, committed together."""

    class Type(models.TextChoices):
        CHECKPOINT = "checkpoint"
        MODEL = "model"
        FILE = "file"

    run = models.ForeignKey(Run, models.CASCADE, related_name="artifacts")
    attempt = models.ForeignKey(Attempt, models.SET_NULL, null=True, related_name="+")
    path = models.CharField(max_length=400)  # e.g. checkpoints/step-400/model.safetensors
    folder = models.CharField(max_length=300, default="", blank=True)  # e.g. checkpoints/step-400
    type = models.CharField(max_length=12, choices=Type.choices)
    step = models.BigIntegerField(null=True)
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="artifacts")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "artifacts"
        ordering = ["path"]
        constraints = [models.UniqueConstraint(fields=["run", "path"], name="artifact_paths")]

    def __str__(self) -> str:
        return self.path


class Upload(models.Model):
    """A data file that a person gave to a project; a spec names it as {"source": "upload", "upload": <id>}."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=200)
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="uploads")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "uploads"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name
