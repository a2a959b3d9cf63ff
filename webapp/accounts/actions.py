"""Every write of accounts: people, projects, members, tokens and login links."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.text import slugify

from webapp.accounts import secrets
from webapp.accounts.errors import Invalid, LastOwner
from webapp.accounts.models import ApiToken, LoginLink, Membership, Project, Role, User

LOGIN_LINK_LIFE = timedelta(minutes=15)
ADMIN = "admin"


def create_user(username: str, *, email: str = "", password: str | None = None, is_superuser: bool = False) -> User:
    """A person; without a password they sign in by a login link. Raises Invalid."""
    user = User(username=username.strip(), email=email.strip(), is_superuser=is_superuser, is_staff=is_superuser)
    user.set_password(_checked_password(password, user))  # None makes it unusable
    _clean(user)
    user.save(force_insert=True)
    return user


def set_password(user: User, password: str) -> None:
    """Raises Invalid when the password breaks a rule."""
    user.set_password(_checked_password(password, user))
    user.save(update_fields=["password"])


def ensure_admin() -> User:
    """The superuser `admin`, created when missing with an unusable password: they sign in by link."""
    defaults = {"is_superuser": True, "is_staff": True, "password": make_password(None)}
    return User.objects.get_or_create(username=ADMIN, defaults=defaults)[0]


def create_project(user: User, name: str) -> Project:
    """A project owned by `user`; its slug comes from the name and never changes. Raises Invalid."""
    name = _project_name(name)
    project = Project(name=name, slug=slugify(name)[:60].strip("-"))
    if not project.slug:
        raise Invalid.field("name", f"name must contain a Latin letter or a digit for its address, not only {name!r}.")
    try:
        with transaction.atomic():
            project.save(force_insert=True)
            Membership.objects.create(user=user, project=project, role=Role.OWNER)
    except IntegrityError:
        raise Invalid.field("name", f"There is a project {project.slug!r} already; choose another name.") from None
    return project


def rename_project(project: Project, name: str) -> Project:
    """Changes what people read; the slug stays. Raises Invalid."""
    project.name = _project_name(name)
    project.save(update_fields=["name"])
    return project


def set_member(project: Project, user: User, role: str) -> Membership:
    """Adds a member or changes their role. Raises Invalid for an unknown role and LastOwner."""
    if role not in Role.values:
        raise Invalid.field("role", f"role must be one of {', '.join(Role.values)}, not {role!r}.")
    with transaction.atomic():
        _keep_an_owner(project, user, becomes=Role(role))
        membership, _ = Membership.objects.update_or_create(project=project, user=user, defaults={"role": role})
    return membership


def remove_member(project: Project, user: User) -> None:
    """Raises LastOwner; removing somebody who is no member changes nothing."""
    with transaction.atomic():
        _keep_an_owner(project, user, becomes=None)
        Membership.objects.filter(project=project, user=user).delete()


def create_token(user: User, name: str, expires_at: datetime | None = None) -> tuple[ApiToken, str]:
    """A token and its plain text, which is shown this once. Raises Invalid."""
    name = name.strip()
    if not 1 <= len(name) <= 100:
        raise Invalid.field("name", f"name must have 1 to 100 characters, not {len(name)}.")
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid.field("expires_at", f"expires_at must lie in the future, not {expires_at.isoformat()}.")
    plain = secrets.new_token()
    token = ApiToken(user=user, name=name, prefix=plain[:12], digest=secrets.digest(plain), expires_at=expires_at)
    token.save(force_insert=True)
    return token, plain


def revoke_token(token: ApiToken) -> None:
    token.delete()


def create_login_link(user: User) -> str:
    """The secret of a link that signs `user` in once within 15 minutes."""
    plain = secrets.new_link()
    LoginLink.objects.filter(expires_at__lt=Now()).delete()
    LoginLink.objects.create(user=user, digest=secrets.digest(plain), expires_at=timezone.now() + LOGIN_LINK_LIFE)
    return plain


def use_login_link(plain: str) -> User | None:
    """The person the link signs in, or None when it is unknown, used or expired. Of two at once, one gets in."""
    link = LoginLink.objects.filter(digest=secrets.digest(plain), user__is_active=True).select_related("user").first()
    if link is None:
        return None
    used = LoginLink.objects.filter(pk=link.pk, used_at=None, expires_at__gt=Now()).update(used_at=Now())
    return link.user if used else None


def _keep_an_owner(project: Project, user: User, *, becomes: Role | None) -> None:
    """Locks the project's owners, so that two owners can't step down at the same time."""
    if becomes == Role.OWNER:
        return
    Project.objects.select_for_update().get(pk=project.pk)
    owners = set(project.memberships.filter(role=Role.OWNER).values_list("user_id", flat=True))
    if owners == {user.pk}:
        raise LastOwner(project.slug, user.username)


def _project_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 100:
        raise Invalid.field("name", f"name must have 1 to 100 characters, not {len(name)}.")
    return name


def _checked_password(password: str | None, user: User) -> str | None:
    if password is None:
        return None
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid([{"loc": ["password"], "msg": message} for message in error.messages]) from None
    return password


def _clean(user: User) -> None:
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        errors = error.message_dict.items()
        raise Invalid([{"loc": [name], "msg": message} for name, messages in errors for message in messages]) from None
