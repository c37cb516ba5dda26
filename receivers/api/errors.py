"""The errors of the API, in one form: a code, a sentence, and the problems of each field of the query."""

from __future__ import annotations

import logging
from typing import Any, Final

from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import status, views
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.response import Response

log = logging.getLogger(__name__)

RETRY_AFTER: Final = 5  # seconds; longer than locks are held, and about what a database needs to restart


class Conflict(APIException):
    """409: the state of the object does not allow the request."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "The state of the object does not allow this."
    default_code = "conflict"


class Unavailable(APIException):
    """503: the request may succeed after `wait` seconds, which become the header Retry-After."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The database is locked or unreachable."
    default_code = "unavailable"
    wait = RETRY_AFTER


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response:
    """Return the response to an exception of a view: `{"code": ..., "detail": ..., "fields": {...}}`.

    `fields` has a list of sentences for each invalid field, and is empty for every other error. An exception that is
    not for clients is logged, and becomes 503 if the database is locked or unreachable, and 500 otherwise.
    """
    # Without the text of Django's `Http404`: hidden deliveries and those that do not exist have the same response.
    response = views.exception_handler(NotFound() if isinstance(exc, Http404) else exc, context)
    if response is None:
        log.error("failed to process a request of the API", exc_info=exc)
        unavailable = isinstance(exc, OperationalError | InterfaceError)
        return exception_handler(Unavailable() if unavailable else APIException(), context)
    if isinstance(exc, ValidationError):
        sentences = [f"{name}: {' '.join(problems)}" for name, problems in response.data.items()]
        response.data = {"code": "invalid", "detail": " ".join(sentences), "fields": response.data}
    else:
        detail = response.data["detail"]
        response.data = {"code": detail.code, "detail": detail, "fields": {}}
    return response
