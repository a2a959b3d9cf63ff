from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from webapp.accounts import actions, queries
from webapp.accounts.errors import Invalid
from webapp.accounts.models import ApiToken
from webapp.http import PageRequest, respond
from webapp.pages.forms.accounts import TokenForm
from webapp.pages.forms.bound import show_errors


@never_cache
@require_http_methods(["GET", "POST"])
@login_required
def tokens(request: PageRequest) -> HttpResponse:
    """The answer to a POST is the only page that ever shows the token: it is not kept, not even in the session."""
    form = TokenForm(request.POST or None)
    context: dict[str, object] = {
        "form": form,
        "now": timezone.now(),
        "api_url": request.build_absolute_uri("/api/v1/"),
    }
    if request.method == "POST" and form.is_valid():
        try:
            token, plain = actions.create_token(request.user, form.cleaned_data["name"], form.expires_at())
            context |= {"token": token, "plain": plain, "form": TokenForm()}
        except Invalid as error:
            show_errors(form, error.errors)
    context["tokens"] = queries.tokens_of(request.user)
    return render(request, "pages/tokens.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@login_required
def token_revoke(request: PageRequest, token_id: int) -> HttpResponse:
    """GET asks, POST does. Another person's token is a 404."""
    token = get_object_or_404(ApiToken, pk=token_id, user=request.user)
    if request.method == "GET":
        context = {
            "title": f"Revoke {token.name}?",
            "text": "Whatever still uses this token is refused from that moment. It can't be undone.",
            "action": "Revoke",
            "url": request.path,
            "back": reverse("tokens"),
        }
        return respond(request, "pages/confirm.html", "parts/confirm.html", context)
    actions.revoke_token(token)
    messages.success(request, f"{token.name} is revoked.")
    return redirect("tokens")
