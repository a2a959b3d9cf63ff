"""Forms of sign-in, account, projects, members and tokens. Rules live in the actions; forms only shape the input."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from django import forms
from django.utils import timezone

from webapp.accounts.models import Role, User

TOKEN_LIVES = (("", "Never"), ("7", "In 7 days"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"))


class SignInForm(forms.Form):
    username = forms.CharField(max_length=150, widget=forms.TextInput({"autocomplete": "username", "autofocus": True}))
    password = forms.CharField(widget=forms.PasswordInput({"autocomplete": "current-password"}))


class PasswordForm(forms.Form):
    """`current` is asked only from people who have a password already."""

    current = forms.CharField(
        label="Current password", widget=forms.PasswordInput({"autocomplete": "current-password"})
    )
    password = forms.CharField(
        label="New password",
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
        help_text="At least 8 characters, not only digits, and nothing that many people use.",
    )

    def __init__(self, user: User, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.user = user
        if not user.has_usable_password():
            del self.fields["current"]

    def clean_current(self) -> str:
        current: str = self.cleaned_data["current"]
        if not self.user.check_password(current):
            raise forms.ValidationError("This is not your current password.")
        return current


class ProjectForm(forms.Form):
    name = forms.CharField(
        max_length=100,
        widget=forms.TextInput({"autofocus": True, "placeholder": "Code models"}),
        help_text="Its address is made from the name and never changes.",
    )


class MemberForm(forms.Form):
    username = forms.CharField(max_length=150, widget=forms.TextInput({"autocomplete": "off"}))
    role = forms.ChoiceField(choices=Role.choices, initial=Role.EDITOR)

    def clean_username(self) -> User:
        username = self.cleaned_data["username"].strip()
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise forms.ValidationError(f"There is nobody called {username}. Ask an admin to add them first.")
        return user


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=100, label="What is it for?", widget=forms.TextInput({"placeholder": "laptop, CI, notebook"})
    )
    life = forms.ChoiceField(choices=TOKEN_LIVES, required=False, label="Expires")

    def expires_at(self) -> datetime | None:
        """The end of the last day of its life, or None when it never ends."""
        days = self.cleaned_data["life"]
        if not days:
            return None
        last_day = timezone.now().date() + timedelta(days=int(days))
        return datetime.combine(last_day, time.max, tzinfo=timezone.get_current_timezone())
