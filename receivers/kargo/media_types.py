"""Classifies a push by its media type.

Source: Kargo's `pkg/webhook/external/media_types.go`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

_CHART_PREFIX: Final = "application/vnd.cncf.helm"

_IMAGE_TYPES: Final = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
"""`application/vnd.oci.image.manifest.v1+json` is omitted on purpose: charts have it, too."""


class MediaClass(Enum):
    """The rules by which a pushed repository is normalized."""

    CHART = auto()
    IMAGE = auto()
    UNKNOWN = auto()


def classify(media_type: str) -> MediaClass:
    """Return the class of a media type; the comparison is exact and case-sensitive."""
    if media_type.startswith(_CHART_PREFIX):
        return MediaClass.CHART
    return MediaClass.IMAGE if media_type in _IMAGE_TYPES else MediaClass.UNKNOWN
