"""The page on which signed-in users change their own password."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from receivers.accounts import audit
from receivers.accounts.client_address import ip_address
from receivers.accounts.password_slots import slots, too_many
from receivers.models import AuditAction


@method_decorator(never_cache, name="dispatch")
class PasswordChange(PasswordChangeView):
    """Change the password of the signed-in user, who needs no role for it.

    Django ends all other sessions of the user, because a session holds a hash of the password.
    """

    template_name = "accounts/password.html"
    http_method_names = ["get", "head", "post", "options"]  # noqa: RUF012 - as Django's, which has PUT, too
    success_url = reverse_lazy("home")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check the old password and change it, unless too many passwords are checked at the same time."""
        with slots.take(ip_address(request) or "", request.user.get_username()) as free:
            return super().post(request, *args, **kwargs) if free else too_many(request)

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Save the new password, record it, and redirect to the projects with a message."""
        response = super().form_valid(form)
        audit.record(self.request, AuditAction.CHANGE_PASSWORD)
        messages.success(self.request, "Password changed. Your other sessions are signed out.")
        return response
