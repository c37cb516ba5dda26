"""What goes into the log."""

from __future__ import annotations

import logging
from typing import Final

# By the name of the view: their answers from 400 up are their daily work, and are on record or counted.
ANSWERED_BY_MACHINES: Final = frozenset({"webhook", "readiness", "health", "metrics"})


class FaultsOnly(logging.Filter):
    """A filter for `django.request`, which reports every answer from 400 up: a strange digest, a pod not ready yet.

    What raised is let through, whoever answered.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be logged."""
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        return bool(record.exc_info) or match is None or match.view_name not in ANSWERED_BY_MACHINES
