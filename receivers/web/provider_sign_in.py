"""The way to the OpenID Connect provider and back."""

from __future__ import annotations

import logging
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.views import LogoutView
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView
from requests import RequestException

from receivers.accounts.oidc import ProviderBackend, SignInFailed, provider, provider_setting

log = logging.getLogger(__name__)

BY_PROVIDER: Final = f"{ProviderBackend.__module__}.{ProviderBackend.__qualname__}"
"""The backend that a session names if the provider signed the user in."""


class Begin(OIDCAuthenticationRequestView):  # type: ignore[misc]  # has no types
    """Sends the browser to the provider."""

    get_settings = staticmethod(provider_setting)

    def __init__(self, **kwargs: Any) -> None:
        # Not the parent's, which asks the provider before there is a request that could be answered.
        super(OIDCAuthenticationRequestView, self).__init__(**kwargs)
        self.OIDC_RP_CLIENT_ID = settings.OIDC_RP_CLIENT_ID

    def get(self, request: HttpRequest) -> HttpResponse:
        """Redirect to the provider, or explain why that is impossible."""
        try:
            self.OIDC_OP_AUTH_ENDPOINT = provider.endpoint("authorization_endpoint")
        except SignInFailed as error:
            return _failed(request, str(error), 503)
        response: HttpResponse = super().get(request)
        return response


class Callback(OIDCAuthenticationCallbackView):  # type: ignore[misc]  # has no types
    """Where the provider sends the browser back to."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Sign the user in, or explain why that failed."""
        if request.GET.get("error"):
            log.info("The provider refused a sign-in: %s", request.GET["error"])
            return _failed(request, "The provider did not sign you in.", 403)
        try:
            response: HttpResponse = super().get(request)
        except SignInFailed as error:
            return _failed(request, str(error), 403)
        except SuspiciousOperation:
            return _failed(
                request, "This sign-in has ended, or began in another browser. Sign in again.", 400
            )
        except RequestException as error:
            log.warning("The provider failed during a sign-in: %s", error)
            return _failed(request, "The provider does not respond. Try again in a few minutes.", 503)
        return response

    def login_failure(self) -> HttpResponse:
        """Explain that the account is disabled, or that the address was opened without a sign-in."""
        return _failed(
            self.request, "Your account is disabled, or this sign-in has ended. Sign in again.", 403
        )


class SignOut(LogoutView):
    """Ends the session, and that at the provider if it began the session."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign out."""
        by_provider = request.session.get("_auth_user_backend") == BY_PROVIDER
        response: HttpResponse = super().post(request, *args, **kwargs)
        if by_provider and (address := _end_session_address(request)):
            return redirect(address)
        return response


def _end_session_address(request: HttpRequest) -> str:
    """Return the address that ends the session at the provider; empty if it has none. Source: RP-Initiated Logout."""
    try:
        endpoint = provider.metadata().get("end_session_endpoint")
    except SignInFailed:
        return ""
    if not isinstance(endpoint, str):
        return ""
    back = request.build_absolute_uri(reverse("sign-in"))
    query = urlencode({"client_id": settings.OIDC_RP_CLIENT_ID, "post_logout_redirect_uri": back})
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"


def _failed(request: HttpRequest, reason: str, status: int) -> HttpResponse:
    context = {"reason": reason, "provider": settings.KARGOWEB.oidc.name}
    response = render(request, "accounts/provider_failed.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response
