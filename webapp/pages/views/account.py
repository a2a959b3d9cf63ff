from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from webapp.accounts import actions
from webapp.accounts.errors import Invalid
from webapp.http import PageRequest
from webapp.pages.forms.accounts import PasswordForm
from webapp.pages.forms.bound import show_errors


@sensitive_post_parameters("current", "password")
@require_http_methods(["GET", "POST"])
@login_required
def account(request: PageRequest) -> HttpResponse:
    form = PasswordForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.set_password(request.user, form.cleaned_data["password"])
        except Invalid as error:
            show_errors(form, error.errors)
        else:
            update_session_auth_hash(request, request.user)  # this browser stays in, all others are signed out
            messages.success(request, "Your password is set. Other browsers are signed out.")
            return redirect("account")
    return render(
        request,
        "pages/account.html",
        {"form": form, "crumbs": [{"label": "Account"}]},
        status=422 if form.is_bound else 200,
    )
