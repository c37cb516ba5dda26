"""Setting up a receiver: what to apply, applying it, and the wait for its first push."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest
import yaml
from django.conf import settings

from receivers.cluster.errors import NotFound
from receivers.controller.receiver_setup import (
    NewReceiver,
    ReceiverExists,
    SecretExists,
    create_receiver,
    may_create,
    random_secret,
    receivers_of,
)
from receivers.kargo.resources import CLUSTER_CONFIGS, PROJECT_CONFIGS, SECRETS
from receivers.models import Audit
from tests.clusters import until
from tests.delivery_rows import routed_project
from tests.web.queries import query_count
from tests.worlds import image, push_body

PAGE = "/receivers/new"


def new_receiver(project: str, name: str = "second", secret: str = "second-webhook") -> NewReceiver:
    return NewReceiver(project, name, secret, project)


@pytest.fixture
def project(product, world):
    return routed_project(product, world, image("example/set-up"))


def shown(page: str, label: str) -> str:
    """Return the text of a block of code."""
    block = re.search(rf'<pre class="code"[^>]*aria-label="{label}">(.*?)</pre>', page, re.DOTALL)
    assert block, page
    return unescape(re.sub(r"</?ins>", "", block[1]))


class TestWhatToApply:
    """The YAML and the commands."""

    def test_the_yaml_adds_the_receiver_and_keeps_all_that_exists(self, signed_in, world, project):
        spec = {"promotionPolicies": [{"stage": "test", "autoPromotionEnabled": True}]}
        world.cluster.patch(PROJECT_CONFIGS, project.name, project.name, {"spec": spec})
        before = world.cluster.get(PROJECT_CONFIGS, project.name, project.name)["spec"]
        page = signed_in("operator").submit(PAGE, {"project": project.name, "name": "second"}, on=PAGE)
        secret, config = yaml.safe_load_all(shown(page, "YAML"))
        entry = {"name": "second", "dockerhub": {"secretRef": {"name": "second-webhook"}}}
        assert config["spec"] == before | {"webhookReceivers": [*before["webhookReceivers"], entry]}
        assert (config["kind"], config["metadata"]["name"]) == ("ProjectConfig", project.name)
        assert secret["metadata"]["namespace"] == project.name
        assert secret["metadata"]["labels"] == {"kargo.akuity.io/cred-type": "generic"}
        assert len(secret["stringData"]["secret"]) >= 32
        added = re.search(r"<ins>(.*?)</ins>", page, re.DOTALL)
        assert added
        assert "second-webhook" in added[1]
        assert "hook\n" not in added[1].replace("second-webhook", "")

    def test_a_receiver_of_another_kind_has_the_key_of_its_secret(self, signed_in, project):
        fields = {"project": project.name, "name": "hub", "kind": "harbor"}
        page = signed_in("operator").submit(PAGE, fields, on=PAGE)
        secret, config = yaml.safe_load_all(shown(page, "YAML"))
        entry = {"name": "hub", "harbor": {"secretRef": {"name": "hub-webhook"}}}
        assert entry in config["spec"]["webhookReceivers"]
        assert list(secret["stringData"]) == ["auth-header"]
        assert "--from-literal=auth-header=" in shown(page, "kubectl")
        assert "Register it at Harbor" in page

    @pytest.mark.parametrize("expression", ["", "normalizeGit(request.body.project.url)"])
    def test_a_generic_receiver_refreshes_the_subscribers_of_the_repository(
        self, signed_in, project, expression
    ):
        fields = {"project": project.name, "kind": "generic", "repository": expression}
        page = signed_in("operator").submit(PAGE, fields, on=PAGE)
        secret, config = yaml.safe_load_all(shown(page, "YAML"))
        value = f"${{{{ {expression or 'normalizeImage(request.body.repository.url)'} }}}}"
        index = {"key": "subscribedURLs", "operator": "Equals", "value": value}
        criterion = {"kind": "Warehouse", "indexSelector": {"matchIndices": [index]}}
        action = {"action": "Refresh", "targetSelectionCriteria": [criterion]}
        receiver = {"secretRef": {"name": "generic-webhook"}, "actions": [action]}
        assert config["spec"]["webhookReceivers"][-1] == {"name": "generic", "generic": receiver}
        assert list(secret["stringData"]) == ["secret"]
        assert "Register it at your system" in page

    def test_the_repository_of_another_kind_is_ignored(self, signed_in, project):
        fields = {"project": project.name, "kind": "gitea", "repository": "lower("}
        page = signed_in("operator").submit(PAGE, fields, on=PAGE)
        assert "lower(" not in shown(page, "YAML")

    def test_a_receiver_without_a_name_has_that_of_its_provider(self, signed_in, project):
        page = signed_in("operator").submit(PAGE, {"project": project.name, "kind": "gitea"}, on=PAGE)
        entry = {"name": "gitea", "gitea": {"secretRef": {"name": "gitea-webhook"}}}
        assert entry in list(yaml.safe_load_all(shown(page, "YAML")))[1]["spec"]["webhookReceivers"]

    def test_every_page_has_another_secret(self, signed_in, project):
        browser = signed_in("operator")
        values = {
            next(yaml.safe_load_all(shown(page, "YAML")))["stringData"]["secret"]
            for page in (
                browser.submit(PAGE, {"project": project.name, "name": "x"}, on=PAGE) for _ in range(2)
            )
        }
        assert len(values) == 2

    def test_the_commands_add_to_the_list(self, signed_in, project):
        page = signed_in("operator").submit(PAGE, {"project": project.name, "name": "second"}, on=PAGE)
        commands = shown(page, "kubectl")
        assert f"kubectl create secret generic second-webhook -n {project.name}" in commands
        assert '"path":"/spec/webhookReceivers/-"' in commands

    def test_a_cluster_receivers_secret_is_in_the_system_namespace(self, signed_in):
        page = signed_in("operator").submit(PAGE, {"project": "cluster", "name": "second"}, on=PAGE)
        secret, config = yaml.safe_load_all(shown(page, "YAML"))
        assert secret["metadata"]["namespace"] == settings.KARGOWEB.system_namespace
        assert (config["kind"], config["metadata"]) == ("ClusterConfig", {"name": "cluster"})

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"name": "Docker_Hub"}, "Name must consist of lowercase letters"),
            ({"name": "x" * 254}, "Name can have at most 253 characters."),
            ({"secret": "-"}, "Secret must consist of lowercase letters"),
            (
                {"project": "no-such-project"},
                "Project doesn&#x27;t exist, or you can&#x27;t add a receiver to it.",
            ),
            ({"name": "hook"}, "Name already exists."),
            ({"kind": "generic", "repository": "lower("}, "Repository isn&#x27;t a valid expression: "),
            ({"kind": "generic", "repository": "'}}'"}, "Repository can&#x27;t contain }}."),
        ],
    )
    def test_invalid_fields_are_explained(self, signed_in, project, fields, message):
        form = {"project": project.name, "name": "second"} | fields
        page = signed_in("operator").submit(PAGE, form, on=PAGE)
        assert message in page

    def test_only_operators_of_a_project_add_receivers_to_it(self, signed_in, product, world, project):
        other = routed_project(product, world)
        browser = signed_in(f"operator:{other.name}")
        page = browser.open(PAGE)
        assert f'value="{other.name}"' in page
        assert project.name not in page
        assert 'value="cluster"' not in page
        page = browser.submit(PAGE, {"project": project.name, "name": "second"}, on=PAGE)
        assert "you can&#x27;t add a receiver to it" in page

    def test_whoever_cannot_add_receivers_is_not_offered_to(self, signed_in, project):
        browser = signed_in("viewer")
        for path in ("/projects", f"/projects/{project.name}"):
            assert PAGE not in browser.open(path)
        browser.open(PAGE)
        assert browser.status == 403
        browser = signed_in(f"operator:{project.name}")
        for path in ("/projects", f"/projects/{project.name}"):
            assert PAGE in browser.open(path)
        page = browser.open(f"{PAGE}?project={project.name}")
        assert f'<a href="/projects/{project.name}">{project.name}</a>' in page

    def test_a_project_that_one_cannot_choose_is_not_named(self, signed_in, project):
        page = signed_in("operator:elsewhere").open(f"{PAGE}?project={project.name}")
        assert f"/projects/{project.name}" not in page

    def test_the_page_needs_few_queries(self, admin_client, project):
        admin_client.get(PAGE)  # computes the findings that the navigation counts
        assert query_count(admin_client, PAGE) <= 3


class TestApply:
    """`receiver_setup`, against a Kubernetes API."""

    def test_the_secret_and_the_entry_are_created(self, world, project):
        create_receiver(world.cluster, new_receiver(project.name))
        config = world.cluster.get(PROJECT_CONFIGS, project.name, project.name)
        assert [entry["name"] for entry in receivers_of(config)] == ["hook", "second"]
        assert world.cluster.get(SECRETS, "second-webhook", project.name)["data"]["secret"]

    def test_a_test_push_to_a_new_generic_receiver_refreshes_the_warehouse(
        self, signed_in, product, world, project
    ):
        new = replace(
            new_receiver(project.name),
            kind="generic",
            repository="normalizeImage(request.body.repository.url)",
        )
        create_receiver(world.cluster, new)
        config = world.cluster.get(PROJECT_CONFIGS, project.name, project.name)
        [action] = config["spec"]["webhookReceivers"][-1]["generic"]["actions"]
        path = project.path("second", "generic")
        published = {"name": "second", "path": path, "url": f"http://hooks{path}"}
        world.cluster.patch_status(
            PROJECT_CONFIGS, project.name, project.name, {"status": {"webhookReceivers": [published]}}
        )
        body = b'{"repository": {"url": "docker.io/example/set-up"}}'
        until("the receiver is known", lambda: product.post(path, body).status == 200)
        assert action["action"] == "Refresh"
        until("the Warehouse is refreshed", lambda: project.token("warehouse-0"))

    def test_a_missing_configuration_is_created(self, world, project):
        world.cluster.delete(PROJECT_CONFIGS, project.name, project.name)
        create_receiver(world.cluster, new_receiver(project.name))
        config = world.cluster.get(PROJECT_CONFIGS, project.name, project.name)
        assert [entry["name"] for entry in receivers_of(config)] == ["second"]

    def test_an_existing_secret_is_left_alone(self, world, project):
        body = {"metadata": {"name": "second-webhook"}, "stringData": {"secret": "mine"}}
        before = world.cluster.create(SECRETS, body, project.name)
        with pytest.raises(SecretExists):
            create_receiver(world.cluster, new_receiver(project.name))
        assert world.cluster.get(SECRETS, "second-webhook", project.name)["data"] == before["data"]
        config = world.cluster.get(PROJECT_CONFIGS, project.name, project.name)
        assert [entry["name"] for entry in receivers_of(config)] == ["hook"]

    def test_an_existing_receiver_is_left_alone_and_no_secret_is_created(self, world, project):
        with pytest.raises(ReceiverExists):
            create_receiver(world.cluster, new_receiver(project.name, "hook", "another-webhook"))
        with pytest.raises(NotFound):
            world.cluster.get(SECRETS, "another-webhook", project.name)

    def test_the_account_of_kargoweb_is_asked_for_its_permissions(self, world, project):
        assert may_create(world.cluster, new_receiver(project.name))
        assert CLUSTER_CONFIGS.kind == new_receiver("").resource.kind

    def test_secrets_are_long_and_differ(self):
        values = {random_secret() for _ in range(50)}
        assert len(values) == 50
        assert all(re.fullmatch(r"[A-Za-z0-9]{32}", value) for value in values)


def test_applying_is_refused_where_it_is_switched_off(signed_in, world, project):
    form = {"project": project.name, "name": "second", "do": "apply"}
    browser = signed_in("admin")
    page = browser.submit(PAGE, form, on=PAGE)
    assert "KARGOWEB_CREATE_RECEIVERS" in page
    config = world.cluster.get(PROJECT_CONFIGS, project.name, project.name)
    assert [entry["name"] for entry in receivers_of(config)] == ["hook"]
    assert not Audit.objects.filter(project=project.name, action="create_receiver").exists()


def test_only_admins_apply(signed_in, project):
    browser = signed_in("operator")
    browser.submit(PAGE, {"project": project.name, "name": "second", "do": "apply"}, on=PAGE)
    assert browser.status == 403


class TestRegistration:
    """The page that waits for the first push."""

    def test_it_follows_a_receiver_from_its_creation_to_its_first_push(self, signed_in, product, project):
        browser = signed_in("viewer")
        path = f"/projects/{project.name}/receivers/fresh/registration"
        assert "has no receiver fresh yet" in " ".join(browser.open(path).split())
        project.publish_as({"hook": "s3cret", "fresh": "t"})
        browser.open_until(path, "Waiting for the first push")
        product.post(project.path("fresh", secret="t"), push_body("example/set-up", "1.0.0"))
        browser.open_until(path, "The first push has arrived")
        until("its repository is ticked", lambda: "first push <time" in " ".join(browser.open(path).split()))

    def test_it_does_not_reveal_whether_a_hidden_project_exists(self, signed_in, project):
        browser = signed_in("viewer:elsewhere")
        browser.open(f"/projects/{project.name}/receivers/hook/registration")
        assert browser.status == 404

    def test_the_url_is_masked(self, signed_in, project):
        page = signed_in("viewer").open(f"/projects/{project.name}/receivers/hook/registration")
        assert project.path() not in page
        until("the suffix is shown", lambda: project.path()[-6:] in page)
