"""Repository names, made comparable as Kargo does (`pkg/urls/{image,helm,common}.go`)."""

from __future__ import annotations


def normalize_image(repo_url: str) -> str:
    """Return the comparable form of an image repository; what cannot be parsed comes back as it is."""
    raise NotImplementedError


def normalize_chart(repo_url: str) -> str:
    """Return the comparable form of a chart repository; what cannot be parsed comes back as it is."""
    raise NotImplementedError


def names_of_push(repository: str, media_type: str) -> tuple[str, ...]:
    """Return the one or two names under which a pushed repository is subscribed to."""
    raise NotImplementedError


def near_key(name: str) -> str:
    """Return a coarser name: repositories that people confuse have the same. Empty for an empty name."""
    raise NotImplementedError
