"""Access that Kubernetes decides, over HTTP: kargoweb in front of an API server that answers SubjectAccessReviews."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User

from kargoweb.configuration import ConfigurationError, read_configuration
from receivers.accounts import tokens
from receivers.accounts.kubernetes_access import KubernetesAccess, ReviewFailed, ReviewSubject, subject_of
from receivers.accounts.roles import Access, Role
from receivers.models import ProviderIdentity, TokenScope
from tests.accounts.oidc_provider import OidcProvider
from tests.clusters import DemoCluster, until
from tests.commands.running import run, run_process
from tests.deliveries.rows import store, unique_name
from tests.product import Product
from tests.users import create_user
from tests.web.deliveries import failed_delivery
from tests.web.html import visible_text
from tests.web.http_browser import HttpBrowser
from tests.worlds import KargoProject, World

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.any_database("about the API server's verdicts, which are in memory only"),
]

REVIEWS = "create subjectaccessreviews"
VIEW = {"verbs": ["get"], "resources": ["warehouses"]}
OPERATE = {"verbs": ["get", "patch"], "resources": ["warehouses"]}
PROXY = {"KARGOWEB_ACCESS": "kubernetes", "KARGOWEB_PROXY_ADDRESSES": "127.0.0.0/30"}
PREFIXES = {"KARGOWEB_ACCESS_USERNAME_PREFIX": "oidc:", "KARGOWEB_ACCESS_GROUPS_PREFIX": "team:"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoCluster]:
    """A cluster whose reviews only these tests change."""
    with DemoCluster(tmp_path_factory.mktemp("reviews")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    """The provider of users."""
    with OidcProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def product(database: None, cluster: DemoCluster, provider: OidcProvider) -> Iterator[Product]:
    """kargoweb with no more permissions than it needs. Verdicts are short-lived, because tests change the rules."""
    settings = {
        **PROXY,
        **PREFIXES,
        "KARGOWEB_ACCESS_SECONDS": "0.2",
        "KARGOWEB_PROXY_ROLES": "platform=admin,support=viewer",
        "KARGOWEB_OIDC_ISSUER": provider.url,
        "KARGOWEB_OIDC_CLIENT_ID": "kargoweb",
        "KARGOWEB_OIDC_CLIENT_SECRET": "only-for-tests",
    }
    with Product(cluster.kubeconfig_for("reviewer"), **settings) as product:
        yield product


@pytest.fixture
def project(cluster: DemoCluster, product: Product) -> Iterator[KargoProject]:
    """A project that kargoweb knows."""
    with World(cluster.kubeconfig) as world:
        project = world.project()
        headers = as_user("admin-of-tests", "platform")
        until("it is known", lambda: project.name in HttpBrowser(product).open("/projects", headers=headers))
        yield project


def as_user(name: str, groups: str = "") -> dict[str, str]:
    return {"X-Forwarded-User": name, "X-Forwarded-Groups": groups}


def status_of(browser: HttpBrowser, path: str, headers: dict[str, str]) -> int:
    browser.open(path, headers=headers)
    status: int = browser.status
    return status


def projects_of(browser: HttpBrowser, name: str, groups: str = "") -> tuple[int, str]:
    page = browser.open("/projects", headers=as_user(name, groups))
    return browser.status, page


def can_operate(browser: HttpBrowser, project: KargoProject, headers: dict[str, str]) -> int:
    """Return the status of the page for test pushes, which only operators may open."""
    return status_of(browser, f"/projects/{project.name}/receivers/hook/test", headers)


@pytest.mark.parametrize("by_group", [False, True], ids=["by name", "by group"])
@pytest.mark.parametrize("everywhere", [False, True], ids=["in the project", "everywhere"])
@pytest.mark.parametrize("rule", [VIEW, OPERATE], ids=["get", "patch"])
def test_rbac_on_warehouses_grants_the_roles(
    product, browser, cluster, project, name, rule, everywhere, by_group
):
    rules = [rule if everywhere else {**rule, "namespaces": [project.name]}]
    cluster.allow(users={} if by_group else {f"oidc:{name}": rules}, groups={"team:payments": rules})
    groups = "payments" if by_group else "others"
    status, page = projects_of(browser, name, groups)
    assert (status, project.name in page) == (200, True)
    assert can_operate(browser, project, as_user(name, groups)) == (200 if rule is OPERATE else 403)
    browser.open("/status", headers=as_user(name, groups))
    assert browser.status == (200 if everywhere else 404)
    browser.open("/audit", headers=as_user(name, groups))
    assert browser.status in {403, 404}


def test_other_projects_stay_hidden(browser, cluster, project, name):
    other = project.world.project()
    cluster.allow(users={f"oidc:{name}": [{**VIEW, "namespaces": [other.name]}]})
    page = until(
        "the other is known", lambda: page if other.name in (page := projects_of(browser, name)[1]) else ""
    )
    assert project.name not in page
    browser.open(f"/projects/{project.name}", headers=as_user(name))
    assert browser.status == 404


def test_who_may_patch_but_not_get_sees_nothing(browser, cluster, project, name):
    cluster.allow(users={f"oidc:{name}": [{**OPERATE, "verbs": ["patch"]}]})
    assert projects_of(browser, name)[0] == 403


def test_a_revoked_right_counts_once_the_verdict_is_too_old(browser, cluster, project, name):
    cluster.allow(users={f"oidc:{name}": [VIEW]})
    assert projects_of(browser, name)[0] == 200
    cluster.allow()
    until("the verdict is too old", lambda: projects_of(browser, name)[0] == 403)


def test_the_page_says_what_kubernetes_would_have_to_allow(browser, cluster, project, name):
    cluster.allow()
    status, page = projects_of(browser, name, "a b, payments")
    text = visible_text(page)
    assert status == 403
    assert f"Kubernetes knows you as oidc:{name}" in text
    command = "kubectl auth can-i get warehouses.kargo.akuity.io -n PROJECT"
    assert f"{command} --as=oidc:{name} '--as-group=team:a b' --as-group=team:payments" in text
    assert "manage.py grant" not in text


def test_groups_can_also_have_roles_of_kargoweb(browser, cluster, project, name):
    """An admin reads the audit log and the configuration, which no permission in a cluster means."""
    cluster.allow()
    browser.open("/audit", headers=as_user(name, "platform"))
    assert browser.status == 200


def test_a_grant_of_kargoweb_does_not_count(browser, cluster, project, name):
    cluster.allow(users={f"oidc:{name}": [VIEW]})
    projects_of(browser, name)
    run("grant", name, "operator", project.name)
    assert can_operate(browser, project, as_user(name)) == 403


def test_local_accounts_keep_their_grants(browser, cluster, project):
    cluster.allow()
    user = create_user(f"operator:{project.name}")
    browser.sign_in(user.username)
    assert can_operate(browser, project, {}) == 200


def test_names_of_kubernetes_own_users_and_groups_mean_nothing(database, cluster, project):
    cluster.allow(
        users={"system:admin": [VIEW]}, groups={"system:masters": [VIEW], "system:authenticated": []}
    )
    with Product(cluster.kubeconfig_for("reviewer"), **PROXY) as product:
        browser = HttpBrowser(product)
        status, page = projects_of(browser, "system:admin")
        assert status == 403
        assert "Kubernetes can't identify you" in visible_text(page)
        assert projects_of(browser, unique_name(), "system:masters")[0] == 403
        # The API server adds this group by itself.
        cluster.allow(groups={"system:authenticated": [VIEW]})
        assert projects_of(browser, unique_name())[0] == 200


def test_a_user_of_the_provider_and_the_api_tokens_have_the_same_access(
    product, browser, provider, cluster, project
):
    name = unique_name()
    provider.add(name, preferred_username=name, groups=["payments"])
    cluster.allow(groups={"team:payments": [{**OPERATE, "namespaces": [project.name]}]})
    browser.open("/sign-in/provider?next=/projects")
    assert project.name in browser.open(browser.url, {"sub": name})
    user = User.objects.get(username=name)
    identity = ProviderIdentity.objects.get(user=user)
    assert (identity.name, identity.groups) == (name, ["payments"])
    assert not user.groups.exists()

    [row] = store(failed_delivery(project.name))
    bearer = {"Authorization": f"Bearer {tokens.create(user, 'ci', TokenScope.OPERATE)[1]}"}
    address = f"{product.url}/api/v1/deliveries/{row.pk}"
    assert product.http.request("GET", address, headers=bearer).status == 200
    assert product.http.request("POST", f"{address}/redeliver", headers=bearer).status == 201
    cluster.allow(groups={"team:payments": [{**VIEW, "namespaces": [project.name]}]})
    until(
        "the token may read only",
        lambda: product.http.request("POST", f"{address}/redeliver", headers=bearer).status == 403,
    )
    cluster.allow()
    until(
        "the token may do nothing", lambda: product.http.request("GET", address, headers=bearer).status == 403
    )
    assert product.http.request("GET", f"{product.url}/api/v1/deliveries", headers=bearer).status == 403


def test_an_unverified_email_address_is_no_name(database, cluster, provider):
    name = f"{unique_name()}@example.com"
    settings = {
        "KARGOWEB_ACCESS": "kubernetes",
        "KARGOWEB_OIDC_ISSUER": provider.url,
        "KARGOWEB_OIDC_CLIENT_ID": "kargoweb",
        "KARGOWEB_OIDC_CLIENT_SECRET": "only-for-tests",
        "KARGOWEB_OIDC_USERNAME_CLAIM": "email",
    }
    provider.add(name, email=name, email_verified=False, groups=[])
    with Product(cluster.kubeconfig_for("reviewer"), **settings) as product:
        browser = HttpBrowser(product)
        browser.open("/sign-in/provider")
        page = browser.open(browser.url, {"sub": name})
        assert browser.status == 403
        assert "has not verified your e-mail address" in visible_text(page)


def test_without_an_answer_there_is_no_access_but_a_sentence(product, browser, cluster, project, name):
    cluster.allow(users={f"oidc:{name}": [VIEW]})
    assert projects_of(browser, name)[0] == 200
    user = User.objects.get(username=name)
    bearer = {"Authorization": f"Bearer {tokens.create(user, 'ci', TokenScope.READ)[1]}"}
    cluster.faults({"resource": "subjectaccessreviews", "status": 500})
    try:
        page = until("the verdict is too old", lambda: page if (page := refused(browser, name)) else "")
        assert "the Kubernetes API refused to review your access" in visible_text(page)
        assert browser.headers["Retry-After"] == "5"
        response = product.http.request("GET", f"{product.url}/api/v1/deliveries", headers=bearer)
        assert (response.status, response.json()["code"]) == (503, "access_undecided")
        # Who has a role of kargoweb isn't affected, and sees that another may be missing.
        browser.open("/audit", headers=as_user(unique_name(), "platform"))
        assert browser.status == 200
        page = browser.open("/projects", headers=as_user(unique_name(), "support"))
        assert browser.status == 200
        assert "the Kubernetes API refused to review your access" in visible_text(page)
    finally:
        cluster.faults()
    until("Kubernetes decides again", lambda: projects_of(browser, name)[0] == 200)


def refused(browser: HttpBrowser, name: str) -> str:
    """Return the page if it is 503."""
    status, page = projects_of(browser, name)
    return page if status == 503 else ""


def test_without_the_permission_to_ask_the_page_says_so(database, cluster, name):
    with Product(cluster.kubeconfig_for("kargoweb"), **PROXY) as product:
        browser = HttpBrowser(product)
        page = refused(browser, name)
        assert "kargoweb may not create SubjectAccessReviews" in visible_text(page)
        local = HttpBrowser(product)
        local.sign_in(create_user("admin").username)
        local.open_until("/status", "subjectaccessreviews")


def test_an_api_server_that_hangs_does_not_hang_the_pages(database, tmp_path, name):
    with DemoCluster(tmp_path) as cluster, Product(cluster.kubeconfig_for("reviewer"), **PROXY) as product:
        cluster.allow(groups={"system:authenticated": [VIEW]})
        cluster.suspend()
        try:
            with ThreadPoolExecutor(8) as pool:
                pages = list(pool.map(lambda n: refused(HttpBrowser(product), f"{name}-{n}"), range(16)))
        finally:
            cluster.resume()
        assert all("Kubernetes" in visible_text(page) for page in pages)


def test_verdicts_are_kept_and_one_is_enough_for_all_projects(database, cluster, project, name):
    cluster.allow(users={name: [OPERATE]})
    with Product(cluster.kubeconfig_for("reviewer"), **PROXY) as product:
        browser = HttpBrowser(product)
        before = cluster.fault_log()["requests"].get(REVIEWS, 0)
        for _ in range(3):
            assert projects_of(browser, name)[0] == 200
        assert cluster.fault_log()["requests"][REVIEWS] - before == 2  # get and patch, in all namespaces


def test_users_and_their_access_are_listed(product, browser, cluster, project, name):
    projects_of(browser, name)
    assert f"{name}  decided by Kubernetes" in run_process("manage.py", "users", **PROXY).out


# The reviews themselves


class Rules:
    """Reviews by a table of scopes and verbs, which are counted."""

    def __init__(self, **allowed: str) -> None:
        self.allowed = {scope: verbs.split() for scope, verbs in allowed.items()}
        self.requests: list[tuple[str, str]] = []
        self.failure = ""
        self.lock = threading.Lock()

    def __call__(self, subject: ReviewSubject, verb: str, namespace: str | None) -> bool:
        with self.lock:
            self.requests.append((verb, namespace or ""))
        if self.failure:
            raise ReviewFailed(self.failure)
        return verb in self.allowed.get(namespace or "everywhere", ())


ALICE = ReviewSubject("alice", ())
PROJECTS = ("blog", "payments", "shop")
ALL_SEEN = dict.fromkeys(PROJECTS, Role.VIEWER)


@pytest.mark.parametrize(
    ("rules", "expected", "requests"),
    [
        ({"everywhere": "get patch"}, Access(Role.OPERATOR), 2),
        ({}, Access(), 1 + 3),
        ({"shop": "get"}, Access(None, {"shop": Role.VIEWER}), 1 + 3 + 1),
        ({"shop": "get patch"}, Access(None, {"shop": Role.OPERATOR}), 1 + 3 + 1),
        ({"everywhere": "get", "shop": "patch"}, Access(Role.VIEWER, {**ALL_SEEN, "shop": Role.OPERATOR}), 2 + 3),
        ({"everywhere": "patch"}, Access(), 1 + 3),
    ],
)  # fmt: skip
def test_few_reviews_decide(rules, expected, requests):
    review = Rules(**rules)
    access = KubernetesAccess(review, lambda: PROJECTS, 60.0)
    assert access.access_of(ALICE) == expected
    assert len(review.requests) == requests
    assert access.access_of(ALICE) == expected
    assert len(review.requests) == requests
    access.stop()


def test_a_new_project_takes_one_more_review():
    projects = ["shop"]
    review = Rules(shop="get", new="get patch")
    access = KubernetesAccess(review, lambda: projects, 60.0)
    access.access_of(ALICE)
    projects.append("new")
    review.requests.clear()
    assert access.access_of(ALICE).by_project == {"shop": Role.VIEWER, "new": Role.OPERATOR}
    assert review.requests == [("get", "new"), ("patch", "new")]
    projects.remove("shop")
    assert set(access.access_of(ALICE).by_project) == {"new"}
    access.stop()


def test_verdicts_are_those_of_one_user_with_these_groups():
    review = Rules(shop="get")
    access = KubernetesAccess(review, lambda: PROJECTS, 60.0)
    access.access_of(ALICE)
    review.requests.clear()
    access.access_of(ReviewSubject("alice", ("payments",)))
    access.access_of(ReviewSubject("bob", ()))
    assert len(review.requests) == 10
    access.stop()


def test_requests_of_a_user_at_the_same_time_share_the_reviews():
    review = Rules(shop="get")
    access = KubernetesAccess(review, lambda: PROJECTS, 60.0)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(access.access_of, [ALICE] * 32))
    assert {frozenset(item.by_project) for item in answers} == {frozenset({"shop"})}
    assert len(review.requests) == 5
    access.stop()


def test_a_failure_is_remembered_for_a_moment():
    review = Rules(everywhere="get patch")
    review.failure = "it hangs"
    access = KubernetesAccess(review, lambda: PROJECTS, 60.0)
    result = access.access_of(ALICE)
    assert result.is_empty
    assert "it hangs" in result.problem
    assert "it hangs" in access.access_of(ReviewSubject("bob", ())).problem
    assert len(review.requests) == 1
    review.failure = ""
    until("the review is retried", lambda: access.access_of(ALICE).everywhere is Role.OPERATOR)
    access.stop()


def test_what_was_decided_in_time_is_not_asked_again(monkeypatch):
    monkeypatch.setattr("receivers.accounts.kubernetes_access.REVIEW_SECONDS", 1.0)
    rules, hang = Rules(shop="get", blog="get"), threading.Event()

    def review(subject: ReviewSubject, verb: str, namespace: str | None) -> bool:
        if namespace == "shop":
            hang.wait()
        return rules(subject, verb, namespace)

    access = KubernetesAccess(review, lambda: PROJECTS, 60.0)
    result = access.access_of(ALICE)
    assert result.is_empty
    assert "Reload the page" in result.problem
    rules.requests.clear()
    hang.set()
    expected = {"blog": Role.VIEWER, "shop": Role.VIEWER}
    assert until("the rest is decided", lambda: access.access_of(ALICE).by_project) == expected
    assert {scope for _, scope in rules.requests} == {"shop"}
    access.stop()


def test_a_stopped_process_grants_nothing():
    access = KubernetesAccess(Rules(everywhere="get patch"), lambda: PROJECTS, 60.0)
    access.stop()
    assert access.access_of(ALICE).problem


def test_the_verdicts_of_all_users_are_limited(monkeypatch):
    monkeypatch.setattr("receivers.accounts.kubernetes_access.MOST_VERDICTS", 20)
    review = Rules(shop="get")
    access = KubernetesAccess(review, lambda: PROJECTS, 60.0)
    for number in range(50):
        access.access_of(ReviewSubject(f"user-{number}", ()))
    review.requests.clear()
    access.access_of(ReviewSubject("user-49", ()))
    assert not review.requests
    access.access_of(ReviewSubject("user-0", ()))
    assert review.requests
    access.stop()


@pytest.mark.parametrize(
    ("name", "groups", "prefixes", "expected"),
    [
        ("alice", ["b", "a", "a", ""], ("", ""), ReviewSubject("alice", ("a", "b", "system:authenticated"))),
        ("alice", ["a"], ("o:", "g:"), ReviewSubject("o:alice", ("g:a", "system:authenticated"))),
        ("alice", ["system:masters", "a"], ("", ""), ReviewSubject("alice", ("a", "system:authenticated"))),
        ("masters", ["masters"], ("", "system:"), ReviewSubject("masters", ("system:authenticated",))),
        ("system:admin", [], ("", ""), None),
        ("system:admin", [], ("o:", ""), ReviewSubject("o:system:admin", ("system:authenticated",))),
        (" ", [], ("o:", ""), None),
    ],
)
def test_names_are_those_that_the_api_server_uses(name, groups, prefixes, expected):
    assert subject_of(name, groups, username_prefix=prefixes[0], groups_prefix=prefixes[1]) == expected


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"KARGOWEB_PROXY_ADDRESSES": ""}, "no user has a name that Kubernetes knows"),
        ({"KARGOWEB_ACCESS": "rbac"}, "must be one of roles, kubernetes"),
        ({"KARGOWEB_ACCESS_SECONDS": "900"}, "must be a number of seconds from 0.1 to 300"),
    ],
)
def test_invalid_settings_stop_the_start_with_a_sentence(tmp_path, changes, sentence):
    valid = {"KARGOWEB_DATA_DIR": str(tmp_path), **PROXY}
    assert read_configuration(valid).access.by_kubernetes
    with pytest.raises(ConfigurationError, match=sentence):
        read_configuration(valid | changes)
