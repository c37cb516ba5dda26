"""What a media type says about a push. Source: Kargo's `pkg/webhook/external/media_types.go`."""

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
"""`application/vnd.oci.image.manifest.v1+json` is left out on purpose: charts are pushed as that, too."""


class MediaClass(Enum):
    """How a pushed repository is to be named."""

    CHART = auto()
    IMAGE = auto()
    UNKNOWN = auto()


def classify(media_type: str) -> MediaClass:
    """Return what was pushed, as far as its media type tells; the comparison is exact and minds the case."""
    if media_type.startswith(_CHART_PREFIX):
        return MediaClass.CHART
    return MediaClass.IMAGE if media_type in _IMAGE_TYPES else MediaClass.UNKNOWN
