"""The sign-in page, and the response to too many failed sign-ins."""

from __future__ import annotations

from typing import Any

from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from receivers.accounts.client_address import ip_address
from receivers.accounts.password_slots import slots, too_many


class SignIn(LoginView):
    """The sign-in page. Signed-in users are redirected to the projects."""

    template_name = "accounts/sign_in.html"
    http_method_names = ["get", "head", "post", "options"]  # noqa: RUF012 - as Django's, which has PUT, too
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign in, unless too many do at the same time."""
        with slots.take(ip_address(request) or "", request.POST.get("username", "")) as free:
            return super().post(request, *args, **kwargs) if free else too_many(request)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the note and the ways to sign in that the installation has."""
        configuration = settings.KARGOWEB
        return super().get_context_data(**kwargs) | {
            "note": configuration.sign_in_note,
            "provider": configuration.oidc.name if configuration.oidc.issuer else "",
            "local_accounts": configuration.local_accounts,
        }


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """Return 429 and the time until which sign-in is locked. Called by django-axes."""
    name = get_client_username(request, credentials)
    attempts = AccessAttempt.objects.filter(username=name, ip_address=ip_address(request))
    last = attempts.order_by("-attempt_time").first()
    ends = (last.attempt_time if last else timezone.now()) + settings.AXES_COOLOFF_TIME
    wait = max(1, round((ends - timezone.now()).total_seconds()))
    headers = {"Retry-After": str(wait), "Cache-Control": "no-store"}
    return HttpResponse(
        render(
            request, "accounts/locked_out.html", {"ends": ends, "limit": settings.AXES_FAILURE_LIMIT}
        ).content,
        status=429,
        headers=headers,
    )
