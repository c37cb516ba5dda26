"""The health of our sight of the cluster: what kargoweb cannot read, it cannot judge."""

from __future__ import annotations

from receivers.rules.health.finding import About, Finding, Subject


def unreadable(kind: str, namespace: str, error: str) -> Finding:
    """Return the finding that objects of a kind cannot be read, in one namespace or (empty) anywhere, and why not."""
    where = f" in namespace {namespace}" if namespace else ""
    scope = f" -n {namespace}" if namespace else ""
    about = About(Subject.CLUSTER, "", f"{namespace}/{kind}" if namespace else kind)
    return about.urgent(
        "unreadable",
        f"The {kind}{where} cannot be read, so what is shown of them may be old: {error}.",
        f"See that the API server is up, and that kargoweb's service account may read them: "
        f"kubectl auth can-i watch {kind}.kargo.akuity.io{scope} --as=system:serviceaccount:kargoweb:kargoweb",
        matter=error,
    )
