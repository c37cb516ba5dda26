"""Checks of a Warehouse's subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from receivers.health.checks import Check
from receivers.health.finding import Finding, FindingFactory
from receivers.health.shell_commands import edit_config, edit_warehouse
from receivers.kargo.coverage import is_never_matched, is_official_image, is_on_docker_hub
from receivers.kargo.near_misses import suggested_repo_url, why_never_matched
from receivers.kargo.quoting import listed, quoted
from receivers.kargo.resources import Warehouse
from receivers.kargo.selectors import TOO_COMPLEX, BrokenSelector
from receivers.kargo.subscriptions import Subscription
from receivers.kargo.unread_fields import explain_unread

DEFAULT_INTERVAL: Final = "5m0s"  # the default of spec.interval in the CRD


def subscription_findings(
    factory: FindingFactory, warehouse: Warehouse, *, covered: bool
) -> Iterator[Finding]:
    """Yield the findings about a Warehouse's subscriptions.

    `covered`: its project or the cluster has a Docker Hub receiver with a URL.
    """
    for position, subscription in enumerate(warehouse.subscriptions):
        if defect := subscription.selector.defect():
            describe = _too_complex if defect.rule == TOO_COMPLEX else _invalid
            yield describe(factory, position, subscription.repo_url, defect)
        elif is_never_matched(subscription):
            yield _never_matched(factory, position, subscription, warehouse.interval)
        if subscription.unread:
            yield _unread(factory, position, subscription)
    on_docker_hub = [
        subscription for subscription in warehouse.subscriptions if is_on_docker_hub(subscription)
    ]
    with_webhooks = sorted({each.repository for each in on_docker_hub if not is_official_image(each)})
    if with_webhooks and not covered:
        yield _without_receiver(factory, with_webhooks)
    if official := sorted({each.repository for each in on_docker_hub if is_official_image(each)}):
        yield _official(factory, official, warehouse.interval)


def _invalid(factory: FindingFactory, position: int, repo_url: str, selector: BrokenSelector) -> Finding:
    repository = f" ({quoted(repo_url)})" if repo_url else ""
    return factory.urgent(
        Check.INVALID_SUBSCRIPTION,
        f"Subscription {position + 1}{repository} is invalid, so Kargo discovers no artifacts for the whole "
        f"Warehouse: {selector.reason}.",
        f"Fix spec.subscriptions[{position}].",
        command=edit_warehouse(factory.project, factory.name),
        identity=f"{position} {selector.rule} {selector.reason}",
    )


def _too_complex(factory: FindingFactory, position: int, repo_url: str, selector: BrokenSelector) -> Finding:
    return factory.warning(
        Check.SUBSCRIPTION_TOO_COMPLEX,
        f"Pushes do not refresh the Warehouse for subscription {position + 1} ({quoted(repo_url)}), because "
        f"{selector.reason}.",
        f"Simplify the regular expressions of spec.subscriptions[{position}].",
        command=edit_warehouse(factory.project, factory.name),
        identity=f"{position} {selector.reason}",
    )


def _unread(factory: FindingFactory, position: int, subscription: Subscription) -> Finding:
    problem = explain_unread(subscription.kind, subscription.unread, subscription.strategy)
    return factory.warning(
        Check.UNREAD_FIELDS,
        f"Subscription {position + 1} ({quoted(subscription.repo_url)}) has fields without effect: {problem}.",
        f"Correct or remove these fields in spec.subscriptions[{position}].",
        command=edit_warehouse(factory.project, factory.name),
        identity=f"{position} {' '.join(subscription.unread)}",
    )


def _never_matched(
    factory: FindingFactory, position: int, subscription: Subscription, interval: str
) -> Finding:
    instead = suggested_repo_url(subscription.kind, subscription.near_key)
    return factory.warning(
        Check.NEVER_MATCHED,
        f"Subscription {position + 1}: {why_never_matched(subscription.kind, subscription.repo_url)}. Kargo finds new "
        f"tags only by polling, every {interval or DEFAULT_INTERVAL}.",
        f"Set repoURL of spec.subscriptions[{position}] to {instead}.",
        command=edit_warehouse(factory.project, factory.name),
        identity=f"{position} {subscription.repo_url}",
    )


def _without_receiver(factory: FindingFactory, repositories: Sequence[str]) -> Finding:
    return factory.warning(
        Check.WAREHOUSE_WITHOUT_RECEIVER,
        f"The Warehouse subscribes to {listed(repositories)} on Docker Hub, but neither project {factory.project} nor "
        "the cluster has a Docker Hub receiver with a URL. Kargo finds pushes only by polling.",
        "Add an entry with dockerhub: {secretRef: {name: …}} to spec.webhookReceivers, then register its URL in Docker "
        "Hub.",
        command=edit_config(factory.project),
        identity=" ".join(repositories),
    )


def _official(factory: FindingFactory, repositories: Sequence[str], interval: str) -> Finding:
    return factory.note(
        Check.OFFICIAL_IMAGE,
        f"Docker Hub sends no webhooks for official images. Kargo finds new tags of {listed(repositories)} only by "
        f"polling, every {interval or DEFAULT_INTERVAL}.",
        "If that is too slow, mirror the image to a repository of your own, which can have a webhook, and subscribe "
        "to that repository.",
        identity=" ".join(repositories),
    )
