"""Log filters."""

from __future__ import annotations

import logging

from kargoweb.middleware import MACHINE_VIEWS


class FaultsOnly(logging.Filter):
    """Drop the records of `django.request` about error responses of machine views, unless they have an exception.

    Django logs every 4xx and 5xx response, for example an unknown receiver URL or a pod that is not ready. Those of
    machine views are routine, and are stored or counted elsewhere.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        return bool(record.exc_info) or match is None or match.view_name not in MACHINE_VIEWS
