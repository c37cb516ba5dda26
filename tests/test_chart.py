"""The Helm chart: what it renders, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kargoweb import VERSION
from tests.charts import CHART, EXAMPLES, KUBERNETES, NAMESPACE, Manifest, helm, render, render_text
from tests.clusters import ROOT
from tests.test_docs import settings_read

SQLITE, EVERYTHING = CHART / "ci" / "sqlite.yaml", CHART / "ci" / "everything.yaml"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def of_kind(objects: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Return the objects of a kind by name."""
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


def pod(objects: list[Manifest], name: str = "kargoweb") -> Manifest:
    """Return the pod of a Deployment."""
    template: Manifest = of_kind(objects, "Deployment")[name]["spec"]["template"]
    return template


def selected(selector: dict[str, str], objects: list[Manifest]) -> set[str]:
    """Return the Deployments whose pods have these labels."""
    deployments = of_kind(objects, "Deployment")
    return {
        name for name in deployments if selector.items() <= pod(objects, name)["metadata"]["labels"].items()
    }


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
class TestEveryExample:
    def test_helm_finds_no_fault(self, values: Path):
        done = helm("lint", CHART, "--strict", "--values", values)
        assert done.returncode == 0, done.stdout

    def test_every_object_names_its_namespace(self, values: Path):
        # "kubectl apply --namespace" refuses manifests that have objects in another one, as that of Kargo.
        namespaces = {
            item["metadata"].get("namespace")
            for item in render(values)
            if not item["kind"].startswith("Cluster")
        }
        assert namespaces == {NAMESPACE, "kargo"}

    def test_its_variables_are_settings(self, values: Path):
        named = set(re.findall(r"\b(?:KARGOWEB_[A-Z_]+|DATABASE_URL)\b", render_text(values)))
        assert named <= settings_read()
        assert {"KARGOWEB_BASE_URL", "KARGOWEB_ROLE"} <= named

    def test_its_pods_are_restricted(self, values: Path):
        objects = render(values)
        for name in of_kind(objects, "Deployment"):
            spec = pod(objects, name)["spec"]
            assert spec["securityContext"]["runAsNonRoot"]
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            context = spec["containers"][0]["securityContext"]
            assert context["readOnlyRootFilesystem"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not context["allowPrivilegeEscalation"]

    def test_selectors_select_pods(self, values: Path):
        objects = render(values)
        deployments = of_kind(objects, "Deployment")
        for name, deployment in deployments.items():
            assert selected(deployment["spec"]["selector"]["matchLabels"], objects) == {name}
        for name, service in of_kind(objects, "Service").items():
            assert selected(service["spec"]["selector"], objects) == {name}
        for name, budget in of_kind(objects, "PodDisruptionBudget").items():
            assert selected(budget["spec"]["selector"]["matchLabels"], objects) == {name}
        for policy in of_kind(objects, "NetworkPolicy").values():
            assert selected(policy["spec"]["podSelector"]["matchLabels"], objects) == set(deployments)

    def test_routes_lead_to_services(self, values: Path):
        objects = render(values)
        services = of_kind(objects, "Service")
        for ingress in of_kind(objects, "Ingress").values():
            for rule in ingress["spec"]["rules"]:
                assert {path["backend"]["service"]["name"] for path in rule["http"]["paths"]} <= set(services)
        for route in of_kind(objects, "HTTPRoute").values():
            for rule in route["spec"]["rules"]:
                assert {backend["name"] for backend in rule["backendRefs"]} <= set(services)

    def test_the_policy_admits_one_port_and_no_metadata_service(self, values: Path):
        [policy] = of_kind(render(values), "NetworkPolicy").values()
        [ingress] = policy["spec"]["ingress"]
        assert ingress["ports"] == [{"port": "http"}]
        [egress] = policy["spec"]["egress"]
        refused = {address for block in egress["to"] for address in block["ipBlock"]["except"]}
        assert {"169.254.169.254/32", "fd00:ec2::254/128"} <= refused


def test_one_pod_on_sqlite_has_a_volume_that_stays():
    objects = render(SQLITE)
    [deployment] = of_kind(objects, "Deployment").values()
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    [claim] = of_kind(objects, "PersistentVolumeClaim").values()
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert (
        pod(objects)["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    )
    assert "@sha256:" in pod(objects)["spec"]["containers"][0]["image"]
    assert not of_kind(objects, "PodDisruptionBudget")


def test_an_existing_volume_can_be_used():
    objects = render(SQLITE, "--set", "database.volume.existingClaim=mine")
    assert not of_kind(objects, "PersistentVolumeClaim")
    assert pod(objects)["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "mine"


def test_split_roles_share_the_database_and_nothing_else():
    objects = render(EVERYTHING)
    roles = {
        name: next(item["value"] for item in container["env"] if item["name"] == "KARGOWEB_ROLE")
        for name in of_kind(objects, "Deployment")
        for container in pod(objects, name)["spec"]["containers"]
    }
    assert roles == {"kargoweb": "receiver", "kargoweb-dashboard": "dashboard"}
    routes = {
        name: (
            route["spec"]["rules"][0]["matches"][0]["path"]["value"],
            route["spec"]["rules"][0]["backendRefs"][0]["name"],
        )
        for name, route in of_kind(objects, "HTTPRoute").items()
    }
    assert routes == {
        "kargoweb-receivers": ("/hooks/dockerhub/", "kargoweb"),
        "kargoweb": ("/", "kargoweb-dashboard"),
    }
    # The HorizontalPodAutoscaler sets the number of replicas.
    assert "replicas" not in of_kind(objects, "Deployment")["kargoweb"]["spec"]
    assert set(of_kind(objects, "HorizontalPodAutoscaler")) == {"kargoweb"}
    assert set(of_kind(objects, "PodDisruptionBudget")) == {"kargoweb", "kargoweb-dashboard"}


def test_splitting_roles_keeps_the_selector_of_the_deployment_which_is_immutable():
    whole = render(EVERYTHING, "--set", "splitRoles=false")
    before, after = (of_kind(objects, "Deployment")["kargoweb"] for objects in (whole, render(EVERYTHING)))
    assert before["spec"]["selector"] == after["spec"]["selector"]


def test_the_public_host_leads_to_kargoweb_for_docker_hub_only():
    paths = {
        rule["host"]: [path["path"] for path in rule["http"]["paths"]]
        for ingress in of_kind(render(SQLITE), "Ingress").values()
        for rule in ingress["spec"]["rules"]
    }
    assert paths == {"kargo-hooks.example.com": ["/dockerhub/"], "kargoweb.example.com": ["/"]}


@pytest.mark.parametrize("route", ["ingress", "gateway"])
def test_single_receivers_can_be_moved(route: str):
    digests = ["a" * 64, "b" * 64]
    options = [
        f"{route}.receivers.paths[{number}]=/dockerhub/{digest}" for number, digest in enumerate(digests)
    ]
    settings = [*options, f"{route}.receivers.basePath=/hooks"]
    objects = render(
        SQLITE if route == "ingress" else EVERYTHING,
        *(word for option in settings for word in ("--set", option)),
    )
    if route == "ingress":
        rules = of_kind(objects, "Ingress")["kargoweb-receivers"]["spec"]["rules"]
        paths = [path["path"] for rule in rules for path in rule["http"]["paths"]]
    else:
        rules = of_kind(objects, "HTTPRoute")["kargoweb-receivers"]["spec"]["rules"]
        paths = [match["path"]["value"] for rule in rules for match in rule["matches"]]
    assert paths == [f"/hooks/dockerhub/{digest}" for digest in digests]


def test_only_optional_roles_grant_access_to_secrets_to_get_or_to_create_them():
    on_secrets = {
        (name, verb)
        for name, role in of_kind(render(EVERYTHING), "ClusterRole").items()
        for rule in role["rules"]
        if {"secrets", "*"} & set(rule["resources"])
        for verb in rule["verbs"]
    }
    assert on_secrets == {
        ("kargoweb-manage-receivers", "get"),
        ("kargoweb-create-receivers", "create"),
        ("kargoweb-alert-secrets", "get"),
    }
    assert set(of_kind(render(SQLITE), "ClusterRole")) == {"kargoweb", "kargoweb-follow-stages"}


def test_secrets_of_alert_channels_are_readable_by_name_only():
    roles = of_kind(render(SQLITE, "--set", "permissions.alertSecrets={one,two}"), "ClusterRole")
    [rule] = roles["kargoweb-alert-secrets"]["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["secrets"],
        "verbs": ["get"],
        "resourceNames": ["one", "two"],
    }


def test_events_are_reported_only_if_asked_for_and_then_permitted():
    def events(values: Path) -> tuple[str, bool]:
        objects = render(values)
        data = of_kind(objects, "ConfigMap")["kargoweb"]["data"]
        return data["KARGOWEB_EVENTS"], "kargoweb-events" in of_kind(objects, "ClusterRoleBinding")

    assert events(SQLITE) == ("false", False)
    assert events(EVERYTHING) == ("true", True)


def test_only_who_chooses_it_may_review_the_access_of_users():
    def reviewers(*options: str) -> set[str]:
        roles = of_kind(render(SQLITE, *options), "ClusterRole").items()
        return {
            name
            for name, role in roles
            for rule in role["rules"]
            if {"subjectaccessreviews", "*"} & set(rule["resources"])
        }

    def setting(*options: str) -> str | None:
        [config] = of_kind(render(SQLITE, *options), "ConfigMap").values()
        access: str | None = config["data"].get("KARGOWEB_ACCESS")
        return access

    assert (reviewers(), setting()) == (set(), None)
    chosen = "--set", "permissions.reviewAccess=true"
    assert (reviewers(*chosen), setting(*chosen)) == ({"kargoweb-review-access"}, "kubernetes")


def test_a_changed_setting_restarts_the_pods():
    def checksum(*options: str) -> str:
        annotations: dict[str, str] = pod(render(SQLITE, *options))["metadata"]["annotations"]
        return annotations["checksum/config"]

    assert checksum() == checksum()
    assert checksum() != checksum("--set", "config.KARGOWEB_KEEP_DAYS=7")


def test_a_setting_can_come_from_a_key_of_the_secret():
    environment = pod(render(SQLITE, "--set", "secretConfig.KARGOWEB_SIGN_IN_NOTE=note"))["spec"][
        "containers"
    ][0]
    variables = {item["name"]: item for item in environment["env"]}
    assert variables["KARGOWEB_SIGN_IN_NOTE"]["valueFrom"]["secretKeyRef"] == {
        "name": "kargoweb",
        "key": "note",
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("baseUrl=", "baseUrl must be the address of the pages"),
        ("image.repository=", "image.repository must be your image of kargoweb"),
        ("splitRoles=true", "splitRoles needs database.type=postgresql"),
        ("receiver.replicas=2", "receiver.replicas above 1 needs database.type=postgresql"),
        ("receiver.autoscaling.enabled=true", "receiver.autoscaling needs database.type=postgresql"),
        ("metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.enabled needs metrics.enabled=true"),
        ("ingress.receivers.host=", "ingress.receivers.host must be the host of the receiver URLs"),
        ("receiver.replica=2", "additional properties 'replica' not allowed"),
        ("database.type=mysql", "value must be one of 'sqlite', 'postgresql'"),
        ("config.DEBUG=1", "does not match pattern '^KARGOWEB_"),
        ("permissions.alertSecrets={}", "minLength: got 0, want 1"),
        ("ingress.receivers.paths[0]=/dockerhub/", "does not match pattern '^/dockerhub/[0-9a-f]{64}$'"),
        ("image.digest=latest", "does not match pattern '^(sha256:"),
    ],
)  # fmt: skip
def test_values_that_cannot_work_are_refused_with_a_sentence(options: str, sentence: str):
    template = ("template", "kargoweb", CHART, "--kube-version", KUBERNETES, "--values", SQLITE)
    done = helm(*template, "--set", options)
    assert done.returncode != 0
    assert sentence in done.stderr


GUIDES = {
    f"{page.stem}-{number}": block
    for page in sorted((ROOT / "docs" / "guides").glob("*.md"))
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.M | re.S))
    if not block.startswith("externalWebhooksServer:")  # values of Kargo's chart
}


@pytest.mark.parametrize("block", GUIDES.values(), ids=GUIDES)
def test_values_of_the_guides_are_accepted(tmp_path: Path, block: str):
    values = tmp_path / "values.yaml"
    values.write_text(block)
    assert render(SQLITE, "--values", str(values))


def test_the_schema_knows_just_the_values_that_exist():
    schema = json.loads((CHART / "values.schema.json").read_text())

    def names(value: Any, properties: dict[str, Any], path: str = "") -> None:
        properties = schema["definitions"]["pods"] if "$ref" in properties else properties
        if "properties" not in properties:
            return
        known = set(properties["properties"]) - ({"global"} if not path else set())
        assert set(value) == known, path
        for name in known:
            names(value[name], properties["properties"][name], f"{path}.{name}")

    names(VALUES, schema)


def test_the_chart_has_the_version_of_the_product():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION
