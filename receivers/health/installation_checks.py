"""Checks of the installation: whether kargoweb can read the cluster, and whether the internet can reach kargoweb."""

from __future__ import annotations

from collections.abc import Mapping

from receivers.health.checks import Check
from receivers.health.finding import Finding, FindingFactory, Subject
from receivers.health.reachability import is_local


def unreadable(kind: str, namespace: str, error: str) -> Finding:
    """Return the finding that objects of a kind can't be read, in one namespace or (empty) in the whole cluster."""
    where = f" in namespace {namespace}" if namespace else ""
    scope = f" -n {namespace}" if namespace else ""
    factory = FindingFactory(Subject.CLUSTER, "", f"{namespace}/{kind}" if namespace else kind)
    return factory.urgent(
        Check.CLUSTER_UNREADABLE,
        f"kargoweb can't read {kind}{where}, so what it shows may be out of date: {error}.",
        "Check that the API server is up, and that kargoweb's service account is allowed to read them.",
        command=f"kubectl auth can-i watch {kind}.kargo.akuity.io{scope} --as=system:serviceaccount:kargoweb:kargoweb",
        identity=error,
    )


def local_installation(base_url: str, receivers: int) -> Finding | None:
    """Return a single finding if kargoweb and the URLs of `receivers` receivers are on this machine.

    That is fine on a developer's machine and in the demo. In a cluster, it means that no host name is set.
    """
    if not is_local(base_url) or not receivers:
        return None
    urls = "the URL of 1 receiver is" if receivers == 1 else f"the URLs of {receivers} receivers are"
    return FindingFactory(Subject.CLUSTER, "", "kargoweb").note(
        Check.LOCAL_INSTALLATION,
        f"kargoweb's base URL is {base_url}, and {urls} on this machine too. Providers can't reach them.",
        "On a development machine, ignore this. Otherwise, set KARGOWEB_BASE_URL, and externalWebhooksServer.host in "
        "the values of Kargo's chart, to a public host name.",
        identity=base_url,
    )


def misrouted_webhooks(requests: Mapping[str, int]) -> Finding | None:
    """Return a finding if recent requests were for receivers of kinds that kargoweb does not know, counted by kind."""
    if not requests:
        return None
    total = sum(requests.values())
    count = "1 request" if total == 1 else f"{total} requests"
    return FindingFactory(Subject.CLUSTER, "", "kargoweb").warning(
        Check.MISROUTED_WEBHOOKS,
        f"{count} for receivers of kinds that kargoweb doesn't support ({', '.join(sorted(requests))}) arrived "
        "recently. kargoweb rejected them with 404.",
        "Route the paths of these kinds to Kargo's external webhooks server, as the chart's Ingress does.",
        command="kubectl get ingress --all-namespaces",
        identity=" ".join(sorted(requests)),
    )
