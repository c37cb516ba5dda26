"""Middleware of our own."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

from receivers.webhook import is_machine_path


class PagesCommonMiddleware(CommonMiddleware):
    """Django's CommonMiddleware, for pages only.

    It checks the Host header. Probes call a pod by its address and Docker Hub calls whatever name an Ingress
    answers to, so neither is a reason to refuse a push.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Let webhooks and probes pass unseen."""
        return None if is_machine_path(request.path_info) else super().process_request(request)
