"""The WSGI application. Pages pass Django's middleware; webhooks and probes go straight to their views."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import django
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kargoweb.settings")
django.setup(set_prefix=False)

from receivers.webhook.views import is_machine_path  # noqa: E402 - models need django.setup()

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class MachineHandler(WSGIHandler):
    """A WSGI handler without middleware, because machines need no sessions and no headers for browsers.

    It also accepts every Host header: probes call a pod by its IP address, and Docker Hub by any name of the Ingress.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """Load no middleware."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._middleware_chain = convert_exception_to_response(getattr(self, "_get_response"))  # noqa: B009 - untyped


def choose(machines: WSGIApplication, pages: WSGIApplication) -> WSGIApplication:
    """Return an application that dispatches each request by its path."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        handler = machines if is_machine_path(environ["PATH_INFO"]) else pages
        return handler(environ, start_response)

    return application


application = choose(MachineHandler(), WSGIHandler())
