"""The health of the installation: what kargoweb cannot read, it cannot judge, and whether anybody can reach it."""

from __future__ import annotations

from receivers.health.finding import About, Finding, Subject
from receivers.health.reachability import is_local


def unreadable(kind: str, namespace: str, error: str) -> Finding:
    """Return the finding that objects of a kind cannot be read, in one namespace or (empty) anywhere, and why not."""
    where = f" in namespace {namespace}" if namespace else ""
    scope = f" -n {namespace}" if namespace else ""
    about = About(Subject.CLUSTER, "", f"{namespace}/{kind}" if namespace else kind)
    return about.urgent(
        "unreadable",
        f"The {kind}{where} cannot be read, so what is shown of them may be old: {error}.",
        "See that the API server is up, and that kargoweb's service account may read them.",
        command=f"kubectl auth can-i watch {kind}.kargo.akuity.io{scope} --as=system:serviceaccount:kargoweb:kargoweb",
        matter=error,
    )


def local_installation(base_url: str, receivers: int) -> Finding | None:
    """Return what there is to say, once, if kargoweb is at home on this machine and `receivers` have URLs on it too.

    That is a developer's machine or the demo, where nothing is wrong; or a cluster in which nobody set a host name.
    """
    if not is_local(base_url) or not receivers:
        return None
    urls = "1 receiver has its URL" if receivers == 1 else f"{receivers} receivers have their URLs"
    return About(Subject.CLUSTER, "", "kargoweb").note(
        "local",
        f"kargoweb is served under {base_url}, and {urls} on this machine too: Docker Hub cannot reach them.",
        "Nothing has to be done on a machine of one's own. Anywhere else set KARGOWEB_BASE_URL, and "
        "externalWebhooksServer.host in the values of Kargo's chart, to a host name that the internet knows.",
        matter=base_url,
    )
