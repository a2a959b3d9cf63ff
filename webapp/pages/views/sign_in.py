"""The door: password, one-time link, sign-out."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.actions import use_login_link
from webapp.pages.forms.accounts import SignInForm

BACKEND = "django.contrib.auth.backends.ModelBackend"


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("home")
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = authenticate(request, **form.cleaned_data)
        if user is not None:
            login(request, user)
            return redirect(_next_url(request))
        form.add_error(None, "Wrong username or password.")
    context = {"form": form, "next": request.GET.get("next") or request.POST.get("next", "")}
    return render(request, "pages/sign_in.html", context, status=401 if form.is_bound else 200)


@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_variables("token")
def login_link(request: HttpRequest, token: str) -> HttpResponse:
    """GET only shows the button, because chat programs fetch every link they are shown and would use it up."""
    if request.method == "GET":
        return render(request, "pages/login_link.html")
    user = use_login_link(token)
    if user is None:
        return render(request, "pages/login_link.html", {"spent": True}, status=410)
    login(request, user, backend=BACKEND)
    return redirect("home")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")


def locked_out(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """What django-axes answers after too many wrong passwords."""
    minutes = round(settings.AXES_COOLOFF_TIME * 60)
    return render(request, "pages/locked_out.html", {"minutes": minutes}, status=429)


def _next_url(request: HttpRequest) -> str:
    target = request.POST.get("next", "")
    here = {request.get_host()}
    safe = url_has_allowed_host_and_scheme(target, allowed_hosts=here, require_https=request.is_secure())
    return target if safe else reverse("home")
