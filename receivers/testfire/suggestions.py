"""What a test could be of: repositories that Warehouses subscribe to, and a tag that they select."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from receivers.kargo.coverage import is_on_docker_hub
from receivers.kargo.repository_names import normalize_chart, normalize_image
from receivers.kargo.resources import Warehouse
from receivers.kargo.selectors import ChartVersions, ExactTag, SemverTags
from receivers.kargo.subscriptions import Subscription

MOST_REPOSITORIES: Final = 200  # more is more than anybody looks through; any other can be typed
USUAL_TAGS: Final = ("1.0.0", "v1.0.0", "latest", "main")
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+){0,2}")
_PARTS: Final = 3


def repositories(warehouses: Iterable[Warehouse]) -> tuple[str, ...]:
    """Return the repositories on Docker Hub that these Warehouses subscribe to, sorted, `MOST_REPOSITORIES` at most."""
    names = dict.fromkeys(one.repository for one in _subscriptions(warehouses) if is_on_docker_hub(one))
    return tuple(sorted(islice(names, MOST_REPOSITORIES)))


def tags(repository: str, warehouses: Iterable[Warehouse]) -> tuple[str, ...]:
    """Return tags that subscriptions of the repository select, one for each at most, without a tag twice."""
    names = {normalize_image(repository), normalize_chart(repository)}
    found = (_tag(one) for one in _subscriptions(warehouses) if one.repository in names)
    return tuple(dict.fromkeys(filter(None, found)))


def _subscriptions(warehouses: Iterable[Warehouse]) -> Iterator[Subscription]:
    return (subscription for warehouse in warehouses for subscription in warehouse.subscriptions)


def _tag(subscription: Subscription) -> str:
    """Return the first likely tag that the subscription selects; empty if it selects none of them."""
    return next((tag for tag in _likely(subscription) if subscription.selector.judge(tag).matches), "")


def _likely(subscription: Subscription) -> Iterator[str]:
    """Yield the versions that the constraint names, filled up with zeros, and what is usual."""
    match subscription.selector:
        case ExactTag(followed) if followed:
            yield followed
        case SemverTags(constraint=constraint) | ChartVersions(constraint=constraint) if constraint:
            for number in _NUMBERS.findall(constraint.text):
                parts = number.split(".")
                yield ".".join(parts + ["0"] * (_PARTS - len(parts)))
                yield ".".join([*parts[:-1], str(int(parts[-1][:9]) + 1), *["0"] * (_PARTS - len(parts))])
    yield from USUAL_TAGS
