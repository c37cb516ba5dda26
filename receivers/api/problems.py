"""The errors of the API as problem details (RFC 9457): a code, a sentence, and the problems of each invalid field."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final

from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import serializers, status, views
from rest_framework.exceptions import APIException, ErrorDetail, NotFound, ValidationError
from rest_framework.response import Response

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = 5  # seconds; longer than locks are held, and about what a database needs to restart


class ProblemSerializer(serializers.Serializer[dict[str, Any]]):
    """The body of every error.

    `type` is a URN made of `code`, by which programs tell errors apart. `detail` is a sentence for people. `fields` has
    a list of sentences for each invalid field, and is empty for every code but `invalid`.
    """

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    fields = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))  # type: ignore[assignment]  # hides DRF's `fields`


class StateConflict(APIException):
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
    """Return the response to an exception of a view, whose body `ProblemSerializer` describes.

    An exception that is not for clients is logged, and becomes 503 if the database is locked or unreachable, and 500
    otherwise.
    """
    # Without the text of Django's `Http404`: hidden deliveries and those that do not exist have the same response.
    response = views.exception_handler(NotFound() if isinstance(exc, Http404) else exc, context)
    if response is None:
        log.error("failed to process a request of the API", exc_info=exc)
        unavailable = isinstance(exc, OperationalError | InterfaceError)
        return exception_handler(Unavailable() if unavailable else APIException(), context)
    if isinstance(exc, ValidationError):
        fields = _by_field(exc.detail)
        sentences = [f"{name}: {' '.join(problems)}" for name, problems in fields.items()]
        response.data = _problem(response.status_code, "invalid", " ".join(sentences), fields)
    else:
        detail = response.data["detail"]
        response.data = _problem(response.status_code, detail.code, detail, {})
    response.content_type = MEDIA_TYPE
    return response


def _problem(status_code: int, code: str, detail: str, fields: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "type": f"urn:kargoweb:error:{code}",
        "title": HTTPStatus(status_code).phrase,
        "status": status_code,
        "code": code,
        "detail": detail,
        "fields": fields,
    }


def _by_field(detail: Any) -> dict[str, list[str]]:
    """Return the sentences by field, of fields in lists and objects by their path: `tags.0`."""
    if not isinstance(detail, dict):
        return {"body": [str(each) for each in detail]}
    by_field: dict[str, list[str]] = {}
    for name, problems in detail.items():
        if isinstance(problems, dict):
            by_field |= {f"{name}.{path}": sentences for path, sentences in _by_field(problems).items()}
        else:
            texts = problems if isinstance(problems, list) else [problems]
            key = "body" if name == "non_field_errors" else str(name)
            by_field[key] = [str(each) for each in texts if isinstance(each, ErrorDetail | str)]
    return by_field
