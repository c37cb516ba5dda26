"""Deliveries of every receiver kind, over HTTP: authenticated, matched, answered and recorded."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.querysets import delivery_log
from receivers.deliveries.redelivery import NotRedeliverable, redeliver
from receivers.kargo.kinds import KINDS
from receivers.kargo.push import Push
from receivers.kargo.resources import FREIGHTS, REFRESH_ANNOTATION, SECRETS
from receivers.kargo.stages import PROMOTIONS, STAGES
from receivers.models import Delivery, Outcome
from receivers.refreshes.retry_policy import MAX_REQUESTS
from tests.clusters import until
from tests.delivery_rows import wait_for_result
from tests.worlds import KargoProject, image

GIT_KINDS = ("bitbucket", "gitea", "github", "gitlab")
IMAGE_KINDS = ("artifactory", "azure", "harbor", "quay")
SIGNING_KINDS = sorted(kind.name for kind in KINDS.values() if kind.signs)
SECRET = "s3cret"
COMMIT = "c0ffee" + "0" * 34


def git(repo_url: str, **fields: Any) -> dict[str, Any]:
    """Return a Git subscription."""
    return {"git": {"repoURL": repo_url, "commitSelectionStrategy": "NewestFromBranch", **fields}}


class Hook:
    """A receiver of one kind in a project, and its provider."""

    def __init__(
        self, product, world, kind: str, *subscriptions: dict[str, Any], secret: bool = True
    ) -> None:
        self.product = product
        self.kind = KINDS[kind]
        self.project: KargoProject = world.bare_project()
        self.project.warehouse("warehouse-0", *subscriptions)
        if secret:
            metadata = {"name": "hooks", "namespace": self.project.name}
            world.create(
                SECRETS,
                {"metadata": metadata, "stringData": {self.kind.secret_key: SECRET}},
                self.project.name,
            )
        self.project.publish("hook", kind=kind)
        self.path = self.project.path("hook", kind=kind)
        until("the receiver is known", lambda: product.post(self.path, b"[]").status != 404)

    def send(self, push: Push, *, secret: str = SECRET, **headers: str):
        """Send what the provider sends; return the response."""
        body = self.kind.compose(push)
        return self.product.post(
            self.path, body, {**self.kind.compose_headers(push, body, secret.encode()), **headers}
        )

    def push(self, push: Push):
        """Send a push until its Warehouse is known; return the delivery."""

        def refreshed():
            response = self.send(push)
            assert response.status == 200
            return response if response.data == b'{"msg":"refreshed 1 warehouse(s)"}\n' else None

        return self.delivery(until("the Warehouse is known", refreshed))

    @staticmethod
    def delivery(response):
        """Return the delivery of a response."""
        return wait_for_result(response.headers["X-Kargoweb-Delivery"])


def git_push(url: str, **fields: Any) -> Push:
    return Push(url, "refs/heads/main", commit=COMMIT, **fields)


@pytest.mark.parametrize("kind", GIT_KINDS)
def test_a_push_of_commits_refreshes_the_warehouses_of_the_branch(product, world, kind):
    url = f"https://git.example.com/{kind}/app"
    hook = Hook(product, world, kind, git(url, branch="main"))
    delivery = hook.push(git_push(url))
    assert (delivery.kind, delivery.repository, delivery.tag) == (kind, url, "refs/heads/main")
    assert delivery.details["commit"] == COMMIT
    assert [verdict["rule"] for verdict in delivery.verdicts] == ["git.branch"]
    assert hook.project.token()


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_a_push_of_an_image_refreshes_the_warehouses_of_the_tag(product, world, kind):
    repository = f"registry.example.com/{kind}/app"
    hook = Hook(product, world, kind, image(repository))
    delivery = hook.push(Push(repository, "1.2.3"))
    assert (delivery.kind, delivery.tag) == (kind, "1.2.3")
    assert hook.project.token()


@pytest.mark.parametrize("kind", SIGNING_KINDS)
def test_a_request_with_a_wrong_signature_is_refused_and_recorded(product, world, kind):
    url = f"https://git.example.com/{kind}/forged"
    hook = Hook(product, world, kind, git(url))
    response = hook.send(git_push(url), secret="guessed")
    assert response.status == 401
    delivery = hook.delivery(response)
    assert delivery.outcome == Outcome.UNAUTHORIZED
    assert delivery.reason
    assert hook.project.token() == ""
    recorded = json.dumps([delivery.headers, delivery.reason])
    assert "guessed" not in recorded


@pytest.mark.parametrize("kind", SIGNING_KINDS)
def test_the_signature_of_a_request_is_not_stored(product, world, kind):
    url = f"https://git.example.com/{kind}/stored"
    hook = Hook(product, world, kind, git(url))
    push = git_push(url)
    body = hook.kind.compose(push)
    headers = hook.kind.compose_headers(push, body, SECRET.encode())
    delivery = hook.delivery(hook.send(push))
    stored = dict(delivery.headers)
    secrets = {name for name, value in headers.items() if value not in stored.get(name.title(), value)}
    assert secrets
    assert all(stored[name.title()] == "[redacted]" for name in secrets)
    assert SECRET not in json.dumps(delivery.headers)


def test_without_the_secret_the_answer_is_that_of_kargo(product, world):
    hook = Hook(product, world, "github", git("https://git.example.com/no/secret"), secret=False)
    response = hook.send(git_push("https://git.example.com/no/secret"))
    assert (response.status, response.data) == (500, b"{}\n")
    delivery = hook.delivery(response)
    assert delivery.outcome == Outcome.SECRET_UNREADABLE
    assert 'secrets "hooks" not found' in delivery.reason


def test_a_kind_without_signatures_needs_no_secret(product, world):
    hook = Hook(product, world, "quay", image("quay.io/acme/app"), secret=False)
    assert hook.push(Push("quay.io/acme/app", "1.0.0")).warehouses == 1


def test_a_ping_is_answered_and_recorded(product, world):
    hook = Hook(product, world, "github", git("https://git.example.com/a/ping"))
    body = b'{"zen":"Keep it logically awesome."}'
    headers = {**hook.kind.compose_headers(git_push(""), body, SECRET.encode()), "X-GitHub-Event": "ping"}
    response = product.post(hook.path, body, headers)
    assert response.data == b'{"msg":"ping event received, webhook is configured correctly"}\n'
    delivery = hook.delivery(response)
    assert (delivery.outcome, delivery.push_id) == (Outcome.IGNORED, None)


def test_an_unsupported_event_is_refused_before_the_signature(product, world):
    hook = Hook(product, world, "gitea", git("https://git.example.com/a/release"))
    response = hook.send(git_push("https://git.example.com/a/release"), **{"X-Gitea-Event": "release"})
    assert (response.status, response.data) == (501, b'{"error":"event type release is not supported"}\n')
    assert hook.delivery(response).outcome == Outcome.UNSUPPORTED_EVENT


def test_changed_files_decide_and_the_log_says_which(product, world):
    url = "https://git.example.com/mono/repo"
    hook = Hook(product, world, "github", git(url, branch="main", includePaths=["apps/shop"]))
    assert hook.push(git_push(url, files=("apps/shop/values.yaml",))).warehouses == 1
    delivery = hook.delivery(hook.send(git_push(url, files=("docs/index.md",))))
    assert delivery.outcome == Outcome.NO_MATCH
    assert delivery.reason == ('no changed file ("docs/index.md") is selected by includePaths "apps/shop"')


def test_the_ssh_url_of_a_repository_is_a_near_miss_where_kargo_ignores_it(product, world):
    hook = Hook(
        product,
        world,
        "gitea",
        git("git@git.example.com:team/app.git", branch="main"),
        git("https://git.example.com/team/other", branch="main"),
    )
    hook.push(git_push("https://git.example.com/team/other"))
    delivery = hook.delivery(hook.send(git_push("https://git.example.com/team/app")))
    assert [verdict["result"] for verdict in delivery.verdicts] == ["near_miss"]
    assert "git@git.example.com:team/app.git" in delivery.reason


def test_a_closed_pull_request_refreshes_the_promotions_that_wait_for_it(product, world):
    hook = Hook(product, world, "github", git("https://github.com/acme/app"))
    url = "https://github.com/acme/app/pull/7"
    name = waiting_promotion(world, hook.project, url)
    response = closed_pull_request(hook, url)
    assert response.data == b'{"msg":"refreshed 1 promotion(s)"}\n'
    delivery = hook.delivery(response)
    assert delivery.outcome == Outcome.PROMOTIONS_REFRESHED
    assert name in delivery.reason
    promotion = world.cluster.get(PROMOTIONS, name, hook.project.name)
    assert promotion["metadata"]["annotations"][REFRESH_ANNOTATION]


def closed_pull_request(hook: Hook, url: str):
    """Send that a pull request was closed; return the response."""
    body = json.dumps({"action": "closed", "pull_request": {"html_url": url}}).encode()
    headers = hook.kind.compose_headers(git_push(""), body, SECRET.encode())
    return hook.product.post(hook.path, body, {**headers, "X-GitHub-Event": "pull_request"})


@pytest.fixture
def failing(demo_cluster):
    """Make requests for Promotions of a project fail: `failing(project, "patch", times=1)`."""

    def fail(project: KargoProject, verb: str, **fields: Any) -> None:
        rule = {"verb": verb, "resource": "promotions", "namespace": project.name, "status": 500}
        demo_cluster.faults(rule | fields)

    yield fail
    demo_cluster.faults()


@pytest.mark.parametrize(
    ("verb", "answer", "reason"),
    [
        (
            "patch",
            b'{"error":"failed to refresh 1 of 1 promotion(s)"}\n',
            "1 of 1 Promotions were not refreshed",
        ),
        ("list", b"{}\n", "Promotions can't be listed"),
    ],
)
def test_promotions_are_refreshed_again_until_it_works(product, world, failing, verb, answer, reason):
    hook = Hook(product, world, "github", git("https://github.com/acme/app"))
    url = "https://github.com/acme/app/pull/8"
    name = waiting_promotion(world, hook.project, url)
    failing(hook.project, verb, times=1)
    response = closed_pull_request(hook, url)
    assert (response.status, response.data) == (500, answer)
    delivery = hook.delivery(response)
    assert (delivery.outcome, delivery.status) == (Outcome.PROMOTIONS_REFRESHED, 500)
    assert delivery.details["failed_requests"] == 1
    promotion = world.cluster.get(PROMOTIONS, name, hook.project.name)
    assert promotion["metadata"]["annotations"][REFRESH_ANNOTATION]
    assert reason not in delivery.reason


@pytest.mark.parametrize("verb", ["patch", "list"])
def test_a_missing_permission_for_promotions_is_reported_at_once(product, world, failing, verb):
    hook = Hook(product, world, "github", git("https://github.com/acme/app"))
    url = "https://github.com/acme/app/pull/10"
    waiting_promotion(world, hook.project, url)
    failing(hook.project, verb, status=403)
    delivery = hook.delivery(closed_pull_request(hook, url))
    assert (delivery.outcome, delivery.status) == (Outcome.PROMOTIONS_FAILED, 500)


def test_promotions_that_could_not_be_refreshed_are_reported_after_the_last_attempt(product, world, failing):
    hook = Hook(product, world, "github", git("https://github.com/acme/app"))
    failing(hook.project, "list")
    row = Delivery(
        received_at=timezone.now() - timedelta(days=1),
        project=hook.project.name,
        receiver="hook",
        kind="github",
        headers=[["X-Github-Event", "pull_request"]],
        details={"failed_requests": MAX_REQUESTS - 1},
        reason="Promotions can't be listed: before",
    )
    row.body = b'{"action": "closed", "pull_request": {"html_url": "https://github.com/acme/app/pull/9"}}'
    row.save(force_insert=True)
    ended = wait_for_result(str(row.pk))
    assert ended.outcome == Outcome.PROMOTIONS_FAILED
    assert ended.ended_at
    assert ended.reason.startswith("Promotions can't be listed: ")


def test_a_redelivery_needs_no_signature_but_the_original_did(product, world):
    url = "https://git.example.com/team/again"
    hook = Hook(product, world, "github", git(url, branch="main"))
    again = redeliver(hook.push(git_push(url)), "jane")
    ended = until("it is processed", lambda: Delivery.objects.filter(pk=again.pk, warehouses=1).first())
    assert (ended.kind, ended.tag, ended.details["commit"]) == ("github", "refs/heads/main", COMMIT)
    forged = hook.delivery(hook.send(git_push(url), secret="guessed"))
    assert forged.push_id == forged.pk
    with pytest.raises(NotRedeliverable, match="not authenticated"):
        redeliver(forged, "jane")


def test_two_pushes_to_a_branch_are_not_one(product, world):
    url = "https://git.example.com/team/twice"
    hook = Hook(product, world, "gitlab", git(url, branch="main"))
    first = hook.push(git_push(url))
    same = hook.delivery(hook.send(git_push(url)))
    other = hook.delivery(hook.send(Push(url, "refs/heads/main", commit="d" * 40)))
    assert same.push_id == first.push_id
    assert other.push_id != first.push_id


def test_deliveries_are_filtered_by_kind(product, world):
    hook = Hook(product, world, "quay", image("quay.io/acme/filtered"))
    delivery = hook.push(Push("quay.io/acme/filtered", "1.0.0"))
    for kind, expected in (("quay", True), ("github", False)):
        wanted = DeliveryFilter(project=hook.project.name, kind=kind)
        assert (delivery.pk in {row.pk for row in delivery_log().page(wanted).rows}) is expected


def waiting_promotion(world, project: KargoProject, url: str) -> str:
    """Create a running Promotion that waits for a pull request; return its name."""
    origin = {"kind": "Warehouse", "name": "warehouse-0"}
    steps = [{"uses": "git-wait-for-pr", "as": "wait"}]
    stage = {
        "requestedFreight": [{"origin": origin, "sources": {"direct": True}}],
        "promotionTemplate": {"spec": {"steps": steps}},
    }
    commits = [{"repoURL": "https://github.com/acme/app", "id": COMMIT}]
    at = {"namespace": project.name}
    world.create(STAGES, {"metadata": {"name": "test", **at}, "spec": stage}, project.name)
    world.create(
        FREIGHTS,
        {"metadata": {"name": "f", **at}, "alias": "alias", "origin": origin, "commits": commits},
        project.name,
    )
    spec = {"stage": "test", "freight": "f", "steps": steps}
    created = world.create(PROMOTIONS, {"metadata": {"name": "promotion", **at}, "spec": spec}, project.name)
    name = str(created["metadata"]["name"])
    status = {"phase": "Running", "currentStep": 0, "state": {"wait": {"pr": {"url": url}}}}
    world.cluster.patch_status(PROMOTIONS, name, project.name, {"status": status})
    return name
