"""The middleware that hands the parts of the serving process to views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from receivers.ops import runtime
from receivers.ops.runtime import Runtime


def attach_runtime(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Return middleware that sets `request.runtime`, which is an error to use in a process that does not serve."""

    def middleware(request: HttpRequest) -> HttpResponse:
        setattr(request, "runtime", SimpleLazyObject(runtime.current))  # noqa: B010 - HttpRequest declares no such name
        return get_response(request)

    return middleware


def runtime_of(request: Any) -> Runtime:
    """Return what `attach_runtime` has set on a request of Django or DRF, whose types don't declare it."""
    attached: Runtime = request.runtime
    return attached
