"""Find deliveries by what people know of a push: tag, artifact, digest, Freight, id. Bounded index lookups."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Q

from receivers.deliveries.stored_names import stored_artifacts
from receivers.models import UNDERSTOOD, Delivery, Refresh

CANDIDATES: Final = 200
"""Deliveries or refreshes that one lookup reads, the newest first. Docker Hub sends about six for each push."""

SHORT_DIGEST: Final = 7
"""Hexadecimal digits from which on a text may be the start of a digest or of the name of Freight."""

_HEX: Final = re.compile(rf"(?:sha256:)?([0-9a-f]{{{SHORT_DIGEST},64}})")
_AFTER_HEX: Final = "g"  # follows every hexadecimal digit, in every collation
_ROW: Final = ("id", "project", "push_id", "received_at")


def by_artifact(repository: str, tag: str) -> list[Delivery]:
    """Return the newest deliveries of a repository, of one tag or (empty) of all, the newest first.

    Both as the provider sends them, or as pages show them. One query, and two if there are several ways to spell them.
    """
    artifacts = stored_artifacts(repository, tag)
    rows = [row for pair in artifacts for row in _newest(Q(**_columns(*pair)))]
    return rows if len(artifacts) == 1 else sorted(rows, key=_newest_first, reverse=True)


def by_tag(tag: str) -> list[Delivery]:
    """Return the newest deliveries of a tag, or of a branch or Git tag of this name, of any repository."""
    return by_artifact("", tag)


def by_id(text: str) -> list[Delivery]:
    """Return the delivery with this id, or those of the push with this id."""
    try:
        key = UUID(text)
    except ValueError:
        return []
    return list(Delivery.objects.filter(pk=key).only(*_ROW)) or _newest(Q(push_id=key))


def refreshes_by_freight(text: str, seen: Collection[str] | None) -> list[Refresh]:
    """Return refreshes whose Freight has this alias, or a name that starts with the text. Two queries at most.

    `seen` are the projects that the reader may see, None for all.
    """
    refreshes = _refreshes(Q(freight_alias=text), seen)
    if not refreshes and (match := _HEX.fullmatch(text)):
        refreshes = _refreshes(Q(freight__gte=match[1], freight__lt=match[1] + _AFTER_HEX), seen)
    return refreshes


def refreshes_by_digest(text: str, seen: Collection[str] | None) -> list[Refresh]:
    """Return refreshes in `seen` of artifacts whose digest starts with the text, with or without `sha256:`."""
    match = _HEX.fullmatch(text)
    if match is None:
        return []
    start = f"sha256:{match[1]}"
    return _refreshes(Q(digest__gte=start, digest__lt=start + _AFTER_HEX), seen)


def of_refreshes(refreshes: list[Refresh]) -> list[Delivery]:
    """Return the deliveries of refreshes, the newest first. One query."""
    ids = {refresh.delivery_id for refresh in refreshes}
    rows = Delivery.objects.filter(pk__in=ids).only(*_ROW) if ids else ()
    return sorted(rows, key=_newest_first, reverse=True)


def _columns(repository: str, tag: str) -> dict[str, str]:
    return {name: text for name, text in (("repository", repository), ("tag", tag)) if text}


def _newest_first(row: Delivery) -> tuple[datetime, UUID]:
    return row.received_at, row.pk


def _newest(wanted: Q) -> list[Delivery]:
    rows = Delivery.objects.filter(UNDERSTOOD, wanted).order_by("-received_at").only(*_ROW)
    return list(rows[:CANDIDATES])


def _refreshes(wanted: Q, seen: Collection[str] | None) -> list[Refresh]:
    # A push to a cluster receiver concerns several projects, and its readers see the Freight of their own only. Not a
    # condition of the query, because a database may then read all refreshes of these projects.
    # In no order: sorting would read all of them. There are more only if the same image is pushed all the time.
    columns = ("id", "project", "warehouse", "delivery_id", "freight", "freight_alias")
    rows = list(Refresh.objects.filter(wanted).only(*columns)[:CANDIDATES])
    visible = (row for row in rows if seen is None or row.project in seen)
    return sorted(visible, key=lambda row: row.pk, reverse=True)
