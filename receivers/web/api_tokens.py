"""The page on which users create and revoke their API tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from receivers.accounts import audit, tokens
from receivers.accounts.access import access_of
from receivers.deliveries.form_fields import ShortTextField
from receivers.models import NAME_LENGTH, ApiToken, AuditAction, TokenScope
from receivers.web.page_view import PageRequest, page_view

MOST_TOKENS: Final = 50  # of one user
LIFETIMES: Final = (30, 90, 365)  # days


class TokenForm(forms.Form):
    """A new token."""

    name = forms.CharField(max_length=80, widget=forms.TextInput({"autocomplete": "off", "required": True}))
    scope = forms.ChoiceField(choices=TokenScope, label="Permission")
    project = ShortTextField(
        required=False, max_length=NAME_LENGTH, widget=forms.TextInput({"placeholder": "All your projects"})
    )
    days = forms.TypedChoiceField(
        choices=[*((days, f"{days} days") for days in LIFETIMES), (0, "Never")],
        coerce=int,
        initial=LIFETIMES[1],
        label="Expires after",
    )


@page_view
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def api_tokens(request: PageRequest) -> HttpResponse:
    """Show the user's tokens; POST creates one, and shows it once."""
    form, created = TokenForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        if tokens.of_user(request.user).count() >= MOST_TOKENS:
            form.add_error(None, f"You have {MOST_TOKENS} tokens. Revoke one first.")
        elif project_problem(request.user, form.cleaned_data["project"]):
            form.add_error("project", "You have no role in this project.")
        else:
            created = _create(request, form.cleaned_data)
            form = TokenForm()
    context = {"form": form, "created": created, "tokens": tokens.of_user(request.user)[:MOST_TOKENS]}
    return render(request, "accounts/api_tokens.html", context, status=400 if form.errors else 200)


@page_view
@require_POST
def revoke_token(request: PageRequest, pk: UUID) -> HttpResponse:
    """Revoke a token of the user."""
    token = get_object_or_404(ApiToken, pk=pk, user_id=request.user.pk)
    tokens.revoke(token)
    audit.record(request, AuditAction.REVOKE_TOKEN, detail=str(token))
    messages.success(request, f"Revoked {token.name}. Programs that use it get 401 from now on.")
    return redirect("api-tokens")


def project_problem(user: Any, project: str) -> bool:
    """Say whether a token can't be limited to this project, because its owner has no role there."""
    return bool(project) and access_of(user).limited(tokens.HIGHEST_ROLE[TokenScope.READ], project).is_empty


def _create(request: PageRequest, values: dict[str, Any]) -> str:
    days = values["days"]
    token, text = tokens.create(
        request.user,
        values["name"],
        TokenScope(values["scope"]),
        project=values["project"],
        expires_at=timezone.now() + timedelta(days=days) if days else None,
    )
    detail = f"{token}, {token.scope}{f' in {token.project}' if token.project else ''}"
    audit.record(request, AuditAction.CREATE_TOKEN, project=token.project, detail=detail)
    return text
