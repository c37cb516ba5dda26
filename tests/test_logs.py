"""Faults are logged, but not every 4xx or 5xx response to pushes and probes."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from kargoweb.logs import FaultsOnly


def logged(view: str | None, fault: Exception | None = None) -> bool:
    """Return whether a record of `django.request` about a response of this view is logged."""
    exc_info = (type(fault), fault, None) if fault else None
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "Service Unavailable", (), exc_info)
    record.request = SimpleNamespace(resolver_match=view and SimpleNamespace(view_name=view))
    return FaultsOnly().filter(record)


@pytest.mark.parametrize("view", ["webhook", "readiness", "health"])
def test_an_error_response_to_a_push_or_probe_is_not_logged(view: str) -> None:
    assert not logged(view)


@pytest.mark.parametrize("view", ["home", "sign-in", None])
def test_an_error_response_of_a_page_is_logged(view: str | None) -> None:
    assert logged(view)


@pytest.mark.parametrize("view", ["webhook", "readiness", "home", None])
def test_an_exception_is_always_logged(view: str | None) -> None:
    assert logged(view, ValueError("broken"))
