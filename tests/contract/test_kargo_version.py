"""The version of Kargo is detected, and Warehouses are decoded by its rules, against every API server."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from receivers.cluster.client import connect
from receivers.cluster.errors import Unreachable
from receivers.cluster.kargo_version import (
    REUSED_SECONDS,
    KargoVersion,
    KargoVersionDetector,
    VersionSource,
    controller_version,
)
from receivers.kargo.kargo_rules import LATEST, KargoRules
from receivers.kargo.resources import PROJECTS, WAREHOUSES
from tests.clusters import until
from tests.contract.api_objects import ok
from tests.contract.caches import Kargo, running_cache

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def deployment(image="ghcr.io/akuity/kargo:v1.10.10", component="controller", version="v1.9.0"):
    labels = {
        "app.kubernetes.io/name": "kargo",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/version": version,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"kargo-{component}", "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app": component}},
            "template": {
                "metadata": {"labels": {"app": component}},
                "spec": {"containers": [{"name": component, "image": image}]},
            },
        },
    }


@pytest.mark.parametrize(
    ("raw", "version"),
    [
        (deployment(), "v1.10.10"),
        (deployment("localhost:5000/kargo:v1.8.3@sha256:" + "0" * 64), "v1.8.3"),
        (deployment("mirror.example.com/kargo:latest"), "v1.9.0"),
        (deployment("localhost:5000/kargo", version=""), ""),
        (deployment(component="api"), ""),
        ({}, ""),
    ],
)
def test_the_image_of_a_controller_has_its_version(raw, version):
    assert controller_version(raw) == version


def test_the_schema_shows_a_range_of_versions(client, namespace):
    detector = KargoVersionDetector(namespace)
    assert detector.latest() is None
    assert detector.rules(client) is KargoRules.FROM_1_11
    assert detector.latest() == KargoVersion(KargoRules.FROM_1_11, VersionSource.SCHEMA)


def test_the_deployment_shows_the_exact_version(cluster, client, namespace):
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    ok(cluster.api.post(path, deployment(component="api", image="kargo:v1.11.0")), 201)
    ok(cluster.api.post(path, deployment()), 201)
    detector = KargoVersionDetector(namespace)
    assert detector.rules(client) is KargoRules.FROM_1_9
    assert detector.latest() == KargoVersion(KargoRules.FROM_1_9, VersionSource.DEPLOYMENT, "v1.10.10")


def test_a_configured_version_overrides_what_the_cluster_shows(client, namespace):
    detector = KargoVersionDetector(namespace, "1.8")
    assert detector.rules(client) is KargoRules.UP_TO_1_8
    assert detector.latest() == KargoVersion(KargoRules.UP_TO_1_8, VersionSource.SETTING, "1.8")


def test_without_a_version_the_latest_rules_apply(demo):
    ok(demo.api.delete(f"{DEFINITIONS}/warehouses.kargo.akuity.io"))
    detector = KargoVersionDetector("kargo")
    with contextlib.closing(connect(str(demo.kubeconfig))) as client:
        assert detector.rules(client) is LATEST
    assert detector.latest() == KargoVersion(LATEST, VersionSource.ASSUMED)


def test_a_refusal_is_no_reason_to_know_nothing(demo):
    with contextlib.closing(connect(str(demo.kubeconfig))) as client:
        demo.faults({"resource": "deployments", "status": 403})
        detector = KargoVersionDetector("kargo")
        assert detector.rules(client) is LATEST
        assert detector.latest() == KargoVersion(LATEST, VersionSource.SCHEMA)


def test_an_api_server_that_does_not_respond_shows_no_version(demo):
    with contextlib.closing(connect(str(demo.kubeconfig))) as client:
        demo.stop()
        with pytest.raises(Unreachable):
            KargoVersionDetector("kargo").rules(client)


def stage_links(demo, fields):
    """Set the fields in the schema of the ClusterConfig; 1.11 added `stageLinks`."""
    schema = {"type": "object", "properties": {"spec": {**OPEN, "properties": fields}, "status": OPEN}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    patch = {"spec": {"versions": [{**version, "subresources": {"status": {}}}]}}
    ok(demo.api.patch(f"{DEFINITIONS}/clusterconfigs.kargo.akuity.io", patch))


def test_after_an_upgrade_of_kargo_warehouses_are_decoded_by_its_rules(demo):
    stage_links(demo, {})
    seconds = itertools.count(step=REUSED_SECONDS)
    detector = KargoVersionDetector("kargo", clock=lambda: next(seconds))
    with contextlib.closing(connect(str(demo.kubeconfig))) as client:
        kargo = Kargo(client)
        kargo.create(PROJECTS, "shop")
        subscription = {"image": {"repoURL": "x/y", "allowTags": "^1"}}
        kargo.create(WAREHOUSES, "main", "shop", spec={"subscriptions": [subscription]})
        with running_cache(demo.kubeconfig, kargo_version=detector) as cache:

            def selected():
                (warehouse,) = cache.warehouses("shop")
                return warehouse.subscriptions[0].selector.evaluate("1.0.0").matches

            assert selected() is True
            until("all watches are open", lambda: all(each.is_watching for each in cache.reflectors))
            stage_links(demo, {"stageLinks": OPEN})
            demo.faults(dropWatches=True)  # as Kubernetes does when a definition changes
            until("the Warehouse is decoded again", lambda: selected() is None)
