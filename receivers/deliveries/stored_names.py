"""Find under which names the log has what people copy from a page, which leaves out parts of the URLs of Git."""

from __future__ import annotations

from itertools import product
from typing import Final

from receivers.deliveries.push_names import repository_spellings, tag_spellings
from receivers.models import Delivery

# An index lookup for each name. A condition with IN would read and sort all deliveries of the names.
_KNOWN: Final = """
    WITH named (repository, tag) AS (VALUES {names})
    SELECT NULL AS id, repository, tag FROM named
    WHERE EXISTS (
        SELECT 1 FROM receivers_delivery known WHERE known.push_id IS NOT NULL AND {condition} LIMIT 1
    )
"""
_SAME_TAG: Final = "known.tag = named.tag"
_SAME_REPOSITORY: Final = "known.repository = named.repository"


def stored_artifacts(repository: str, tag: str = "") -> list[tuple[str, str]]:
    """Return the (repository, tag) that the log has for a name as people type it or copy it from a page.

    One of both may be empty, for any. One statement, or none if there is only one way to spell the name.
    """
    repositories = repository_spellings(repository) if repository else ("",)
    tags = tag_spellings(tag) if tag else ("",)
    spelled = list(product(repositories, tags))
    if len(spelled) == 1:
        return spelled
    conditions = [*([_SAME_REPOSITORY] if repository else ()), *([_SAME_TAG] if tag else ())]
    # Only placeholders and the fixed texts above are put together.
    statement = _KNOWN.format(
        names=", ".join(["(%s, %s)"] * len(spelled)), condition=" AND ".join(conditions)
    )
    names = [text for pair in spelled for text in pair]
    found = {(row.repository, row.tag) for row in Delivery.objects.raw(statement, names)}
    return [pair for pair in spelled if pair in found]
