"""Log filters, and the formatter for `KARGOWEB_LOG_FORMAT=json`."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from kargoweb.middleware import MACHINE_VIEWS
from kargoweb.tracing import trace_id, traceparent


class FaultsOnly(logging.Filter):
    """Drop the records of `django.request` about error responses of machine views, unless they have an exception.

    Django logs every 4xx and 5xx response, for example an unknown receiver URL or a pod that is not ready. Those of
    machine views are routine, and are stored or counted elsewhere.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        return bool(record.exc_info) or match is None or match.view_name not in MACHINE_VIEWS


class JsonLines(logging.Formatter):
    """Formats each record as one JSON object on one line.

    It has `time`, `level`, `logger`, `message`, the record's `fields` under their own names, the traceback as
    `exception`, and the `trace_id` if there is a trace. A record gets fields with `extra={"fields": {...}}`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if trace := trace_id(traceparent()):
            line["trace_id"] = trace
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        return json.dumps(line, ensure_ascii=False, default=str)
