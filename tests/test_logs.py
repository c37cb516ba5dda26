"""The log tells of faults, not of every answer that is a refusal."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from kargoweb.logs import FaultsOnly


def told(view: str | None, fault: Exception | None = None) -> bool:
    """Whether `django.request` gets a line into the log for an answer of this view."""
    exc_info = (type(fault), fault, None) if fault else None
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "Service Unavailable", (), exc_info)
    record.request = SimpleNamespace(resolver_match=view and SimpleNamespace(view_name=view))
    return FaultsOnly().filter(record)


@pytest.mark.parametrize("view", ["webhook", "readiness", "health"])
def test_a_refused_push_or_probe_is_not_told(view: str) -> None:
    assert not told(view)


@pytest.mark.parametrize("view", ["home", "sign-in", None])
def test_a_page_that_was_refused_or_not_found_is_told(view: str | None) -> None:
    assert told(view)


@pytest.mark.parametrize("view", ["webhook", "readiness", "home", None])
def test_what_raised_is_always_told(view: str | None) -> None:
    assert told(view, ValueError("broken"))
