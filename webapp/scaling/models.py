"""A fit is a law asked of runs or a table; each revision is one run of kind scaling_fit on the points of its time.

A ladder is the runs that a budget is worth, and the fit that goes through them; a rung is one of these runs.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from webapp.accounts.models import Project, User
from webapp.runs.models import Run
from webapp.sweeps.ordered import OrderedJSONField


class Fit(models.Model):
    """`spec` is a checked scaling_fit spec whose query is not looked up: every revision looks it up anew."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="fits")
    name = models.CharField(max_length=200)
    spec = OrderedJSONField()
    is_kept_current = models.BooleanField(default=False)  # a new revision as soon as its query finds other points
    looked_at = models.DateTimeField(null=True)  # when its query was last looked up for that
    notice = models.TextField(default="", blank=True)  # why it is not kept current just now, one sentence
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "fits"
        indexes = [
            models.Index(fields=["project", "-id"], name="fits_of_project", condition=Q(deleted_at=None)),
            models.Index(fields=["id"], name="fits_kept_current", condition=Q(deleted_at=None, is_kept_current=True)),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.name}"


class Revision(models.Model):
    """`points_hash` tells whether another look finds other points. The run holds points, objective, seed and result."""

    fit = models.ForeignKey(Fit, models.CASCADE, related_name="revisions")
    number = models.IntegerField()  # from 1
    run = models.OneToOneField(Run, models.CASCADE, related_name="revision")
    points_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "fit_revisions"
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["fit", "number"], name="revision_numbers")]

    def __str__(self) -> str:
        return f"{self.fit_id}.{self.number}"


class Ladder(models.Model):
    """`definition` is a checked definition.Definition as JSON: budget, design, rates, the spec that rungs change."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="ladders")
    name = models.CharField(max_length=200)
    definition = OrderedJSONField()
    fit = models.OneToOneField(Fit, models.SET_NULL, null=True, related_name="ladder")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "ladders"
        indexes = [models.Index(fields=["project", "-id"], name="ladders_of_project", condition=Q(deleted_at=None))]

    def __str__(self) -> str:
        return f"{self.id} {self.name}"


class Rung(models.Model):
    """One run of a ladder. `plan`: its shape, learning rate, batch, steps, N, D and C as they were proposed."""

    ladder = models.ForeignKey(Ladder, models.CASCADE, related_name="rungs")
    number = models.IntegerField()  # from 1, the cheapest first; those added later follow
    run = models.OneToOneField(Run, models.SET_NULL, null=True, related_name="rung")
    plan = OrderedJSONField()
    is_held_out = models.BooleanField(default=False)  # foreseen, not fitted

    class Meta:
        db_table = "ladder_rungs"
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["ladder", "number"], name="rung_numbers")]

    def __str__(self) -> str:
        return f"{self.ladder_id}.{self.number}"
