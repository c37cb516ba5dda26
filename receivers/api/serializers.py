"""The queries that the API accepts."""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers

from receivers.deliveries.querysets import MAX_PAGE_SIZE
from receivers.kargo.push import Push, git_push
from receivers.kargo.scopes import parse_scope
from receivers.models import TEXT_LENGTH

PAGE_SIZE: Final = 50  # rows by default


class PageQuery(serializers.Serializer[dict[str, Any]]):
    """The page of a list: `size` rows after the cursor `after`."""

    size = serializers.IntegerField(min_value=1, max_value=MAX_PAGE_SIZE, default=PAGE_SIZE)
    after = serializers.CharField(allow_blank=True, default="")


MAX_FILES: Final = 10_000  # characters of the names of all changed files


class PushQuery(serializers.Serializer[dict[str, Any]]):
    """A hypothetical push to a receiver of `project`, which is `cluster` for a cluster receiver.

    With `ref`, it is one of commits that change `files`, whose names are separated by commas.
    """

    project = serializers.CharField(max_length=TEXT_LENGTH)
    repository = serializers.CharField(max_length=TEXT_LENGTH)
    tag = serializers.CharField(max_length=TEXT_LENGTH, allow_blank=True, default="")
    media_type = serializers.CharField(max_length=TEXT_LENGTH, allow_blank=True, default="")
    ref = serializers.CharField(max_length=TEXT_LENGTH, allow_blank=True, default="")
    files = serializers.CharField(max_length=MAX_FILES, allow_blank=True, default="")

    def validate_project(self, value: str) -> str:
        """Return the project, or `CLUSTER_SCOPE`."""
        return parse_scope(value)

    @property
    def push(self) -> Push:
        """Return the push of a valid query."""
        given = self.validated_data
        if given["ref"]:
            files = tuple(name for name in given["files"].split(",") if name)
            return git_push(given["repository"], given["ref"], files)
        return Push(given["repository"], given["tag"], given["media_type"])
