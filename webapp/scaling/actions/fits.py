"""How fits come into being, are revised, edited, and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from gpu_jobs.points import RunPoints
from webapp.accounts.errors import FieldError, Invalid, below
from webapp.accounts.models import Project, User
from webapp.runs import actions as runs
from webapp.runs import fields, plain, specs
from webapp.runs.errors import WrongState
from webapp.runs.states import FINAL
from webapp.scaling import lookup
from webapp.scaling.models import Fit, Revision
from webapp.scaling.points import NothingYet, hash_of

if TYPE_CHECKING:
    from gpu_jobs.kinds.scaling_fit import Spec

KIND = "scaling_fit"


@transaction.atomic
def create_fit(
    *, project: Project, user: User | None, spec: Mapping[str, Any], name: str = "", is_kept_current: bool = False
) -> Fit:
    """A fit and its first revision, which is queued. Raises Invalid with `loc` ["spec", ...]; then nothing is written.

    One that is kept current may have too few runs yet: its `notice` says so, and the first revision comes with them.
    """
    parsed = parsed_spec(spec)
    errors: list[FieldError] = []
    columns = fields.checked(errors, name=name or f"{parsed.law.name} fit")
    errors += _unkeepable(parsed, is_kept_current)
    if errors:
        raise Invalid(errors)
    fit = Fit.objects.create(
        project=project, spec=_kept(parsed), is_kept_current=is_kept_current, created_by=user, **columns
    )
    fit.refresh_from_db()
    _revise_or_wait(fit, user)
    return fit


@transaction.atomic
def revise(fit: Fit, user: User | None = None) -> Revision:
    """The next revision: a run like any other on the points of now, tagged fit-<id>. Raises Invalid and WrongState."""
    fit = locked(fit)
    parsed = parsed_spec(fit.spec)
    with below("spec"):
        found = lookup.looked_up(parsed, fit.project)
    return revise_on(fit, found, user)


def revise_on(fit: Fit, found: Spec, user: User | None) -> Revision:
    """The next revision of a locked fit, on points that were looked up. Raises Invalid."""
    asker = user or fit.created_by
    run = runs.submit(
        project=fit.project, spec=found.model_dump(mode="json"), user=asker, name=fit.name, tags=[f"fit-{fit.pk}"]
    )
    last = Revision.objects.filter(fit=fit).aggregate(last=Max("number"))["last"] or 0
    digest = hash_of(*lookup.sources(found))
    revision = Revision.objects.create(fit=fit, number=last + 1, run=run, points_hash=digest)
    Fit.objects.filter(pk=fit.pk).update(looked_at=Now(), notice="")
    revision.refresh_from_db()
    return revision


@transaction.atomic
def edit_fit(
    fit: Fit,
    *,
    name: str | None = None,
    is_kept_current: bool | None = None,
    spec: Mapping[str, Any] | None = None,
    user: User | None = None,
) -> Fit:
    """Changes what is not None; another spec is fitted at once. Raises Invalid, then nothing is changed; WrongState."""
    fit = locked(fit)
    errors: list[FieldError] = []
    changes = fields.checked(errors, name=name)
    parsed = parsed_spec(fit.spec if spec is None else spec)
    kept = fit.is_kept_current if is_kept_current is None else is_kept_current
    errors += _unkeepable(parsed, kept)
    if errors:
        raise Invalid(errors)
    is_other = spec is not None and _kept(parsed) != fit.spec
    changes |= {"spec": _kept(parsed)} if is_other else {}
    changes |= {} if is_kept_current is None else {"is_kept_current": kept, "looked_at": None, "notice": ""}
    if changes:
        Fit.objects.filter(pk=fit.pk, deleted_at=None).update(**changes)
        fit.refresh_from_db()
    if is_other:
        _revise_or_wait(fit, user)
    return fit


@transaction.atomic
def delete_fit(fit: Fit) -> None:
    """Hides the fit and cancels what of it waits or runs; the runs of its revisions stay. Deleting twice is nothing."""
    hidden = Fit.objects.filter(pk=fit.pk, deleted_at=None).update(deleted_at=Now(), is_kept_current=False)
    fit.refresh_from_db()
    if not hidden:
        return
    open_revisions = Revision.objects.filter(fit=fit, run__deleted_at=None).exclude(run__status__in=FINAL)
    for revision in open_revisions.select_related("run"):
        try:
            runs.cancel(revision.run)
        except WrongState:  # it has ended by itself meanwhile
            continue


def locked(fit: Fit) -> Fit:
    """The row as it is now, held until the transaction ends. Raises WrongState."""
    held = Fit.objects.select_for_update(of=("self",)).select_related("project", "created_by")
    found = held.filter(pk=fit.pk, deleted_at=None).first()
    if found is None:
        raise WrongState(f"Fit {fit.pk} was deleted meanwhile.")
    return found


def _revise_or_wait(fit: Fit, user: User | None) -> None:
    """The next revision; of a fit that is kept current, the notice that it has too few points yet."""
    try:
        with transaction.atomic():
            revise(fit, user)
    except NothingYet as error:
        if not fit.is_kept_current:
            raise
        Fit.objects.filter(pk=fit.pk).update(looked_at=Now(), notice=str(error))
    fit.refresh_from_db()


def parsed_spec(spec: Mapping[str, Any]) -> Spec:
    """The spec of a fit; its kind may be left out. Raises Invalid with `loc` ["spec", ...]."""
    given = {"kind": KIND, **plain.json(dict(spec))}
    if given["kind"] != KIND:
        raise Invalid([{"loc": ["spec", "kind"], "msg": f"kind must be {KIND} here, not {given['kind']!r}."}])
    with below("spec"):
        return cast("Spec", specs.checked(given))


def _kept(parsed: Spec) -> dict[str, Any]:
    return lookup.emptied(parsed).model_dump(mode="json")


def _unkeepable(parsed: Spec, is_kept_current: bool) -> list[FieldError]:
    if not is_kept_current or any(isinstance(points, RunPoints) for points in lookup.sources(parsed)):
        return []
    message = "Only points from runs become others: take the source runs, or do not keep it current."
    return [{"loc": ["is_kept_current"], "msg": message}]
