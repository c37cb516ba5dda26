"""Django admin: who may use it, what it can change, what it records, and what its lists cost."""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Any, Final

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from receivers import admin
from receivers.accounts import tokens
from receivers.accounts.roles import Role
from receivers.deliveries.predicates import MAY_BE_OPEN
from receivers.models import (
    Alert,
    AlertChannel,
    AlertDuty,
    AlertMessage,
    AlertNotice,
    ApiToken,
    Audit,
    AuditAction,
    Delivery,
    Downtime,
    HourlyFigure,
    KargoController,
    MissedPush,
    Mute,
    Outcome,
    ProjectDelivery,
    ProviderIdentity,
    PushFailure,
    ReceiverUrl,
    Refresh,
    Replica,
    RolledUpHour,
    SavedView,
    TokenScope,
    UnknownCall,
    WarehouseEvent,
)
from tests.deliveries.rows import delivery, store, unique_name
from tests.users import BACKEND, PASSWORD, create_superuser, create_user
from tests.web.html import csrf_token, visible_text

READ_ONLY: Final = list(apps.get_app_config("receivers").get_models())
LISTS: Final = {
    "deliveries": "delivery/",
    "second page of deliveries": "delivery/?p=2",
    **{
        f"deliveries, {outcome}": f"delivery/?outcome={outcome}"
        for outcome in sorted({Outcome.NO_MATCH, *MAY_BE_OPEN})
    },
    "deliveries of a repository": "delivery/?q=example/app",
    "deliveries of a tag": "delivery/?q=example/app:1.0.0",
    "refreshes": "refresh/",
    "refreshes of a Warehouse": "refresh/?q=storefront/web",
    "audit log": "audit/",
    "receiver URLs": "receiverurl/",
    "receiver URLs of a project": "receiverurl/?q=storefront",
    "unknown URLs": "unknowncall/",
    "missed pushes": "missedpush/",
}
PATHS: Final = ("/admin/", "/admin/auth/user/", "/admin/receivers/audit/", "/admin/no-such-page")
GROWING: Final = [path for path in LISTS.values() if path.startswith(("delivery", "refresh", "audit"))]

each_model = pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)


def row_of(model: type[Model]) -> Model:
    """Store and return a row."""
    now, name = timezone.now(), unique_name()
    if model is Delivery:
        [row] = store(delivery(name, outcome=Outcome.NO_MATCH, headers=[["Accept", "hidden-value"]]))
        return row
    if model is Refresh:
        return Refresh.objects.create(
            delivery=store(delivery(name))[0], project=name, warehouse="web", outcome="not_newest"
        )
    if model is HourlyFigure:
        return HourlyFigure.objects.create(scope="project", project=name, hour=now, measure="failed", count=1)
    if model is RolledUpHour:
        return RolledUpHour.objects.create(hour=now, computed_at=now)
    if model is ProjectDelivery:
        return ProjectDelivery.objects.create(delivery=store(delivery(""))[0], project=name, received_at=now)
    if model is Replica:
        return Replica.objects.create(
            id=uuid.uuid4(), host=name, version="1", started_at=now, seen_at=now.replace(year=2020)
        )
    if model is ProviderIdentity:
        user = create_user("viewer")
        return ProviderIdentity.objects.create(user=user, issuer="https://login.example.com", subject=name)
    if model is PushFailure:
        return PushFailure.objects.create(delivery=store(delivery(name))[0].pk)
    if model is WarehouseEvent:
        return WarehouseEvent.objects.create(push_id=uuid.uuid4(), project=name, warehouse="web", text=name)
    if model is ApiToken:
        return tokens.create(create_user("viewer"), name[:40], TokenScope.READ)[0]
    if model is AlertDuty:
        return AlertDuty.objects.create(id=uuid.uuid4())
    if model in {AlertChannel, AlertMessage, AlertNotice, Alert}:
        return alert_row(model, name)
    if model is SavedView:
        return SavedView.objects.create(
            user=create_user("viewer"), page="pushes", name=name[:40], query="tag=1"
        )
    if model is ReceiverUrl:
        digest_hash = secrets.token_bytes(32)
        return ReceiverUrl.objects.create(
            digest_hash=digest_hash, url_suffix="abcdef", kind="dockerhub", receiver=name, first_seen_at=now
        )
    if model is Downtime:
        # Made up for, or a serving process would do so.
        return Downtime.objects.create(since=now, until=now, caught_up_at=now)
    rest: dict[type[Model], dict[str, Any]] = {
        UnknownCall: {"kind": "dockerhub", "url_suffix": "abcdef", "client_address": name[:64]},
        MissedPush: {"project": name, "warehouse": "web", "repository": "a/b", "tag": "1", "freight": "f"},
        Audit: {"at": now, "user": name, "action": AuditAction.MUTE},
        KargoController: {"shard": name, "until": now},
        Mute: {"key": secrets.token_hex(8), "user": name, "at": now, "seen_at": now},
    }
    times = {"first_at": now, "last_at": now} if model in {UnknownCall, MissedPush} else {}
    return model._default_manager.create(**rest[model], **times)


def alert_row(model: type[Model], name: str) -> Model:
    """Store and return a row of the tables of alerts. Nothing of it is due."""
    alert = Alert.objects.create(
        key=name, kind="finding", severity="urgent", title="down", ended_at=timezone.now()
    )
    channel = AlertChannel.objects.create(
        name=name, kind="slack", enabled=False, created_by="ada", address="hidden"
    )
    message = AlertMessage.objects.create(channel=channel, title="down")
    notice = AlertNotice.objects.create(alert=alert, channel=channel, message=message)
    return next(row for row in (alert, channel, message, notice) if isinstance(row, model))


def list_path(model: type[Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def outcomes_in(page: str) -> set[str]:
    """Return the labels of the outcomes in a list of deliveries."""
    return set(re.findall(r"<td class=\"field-outcome\">([^<]*)<", page))


@pytest.fixture
def client(admin_client: Client) -> Client:
    """Django's test client with a superuser signed in."""
    admin_client.force_login(create_superuser(), BACKEND)
    return admin_client


def statements_of(client: Client, path: str) -> list[tuple[str, Any]]:
    """Open a list; return the statements on tables of kargoweb, and their parameters."""
    statements: list[tuple[str, Any]] = []

    def record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append((str(sql), params))
        return execute(sql, params, many, context)

    client.get("/admin/")  # the findings that every page counts are cached afterwards
    with connection.execute_wrapper(record):
        assert client.get(f"/admin/receivers/{path}").status_code == 200
    return [(sql, params) for sql, params in statements if '"receivers_' in sql]


class TestAccess:
    def test_signing_in_happens_on_the_sign_in_page(self, browser, product):
        name = create_superuser().username
        browser.open("/admin/receivers/delivery/?p=1")
        assert browser.url.startswith(f"{product.url}/sign-in?next=/admin/receivers/delivery/")
        form = {"username": name, "password": PASSWORD, "next": "/admin/"}
        page = browser.submit("/sign-in", form, on="/sign-in")
        assert browser.url.endswith("/admin/")
        assert "Audit log" in page
        assert Audit.objects.filter(user=name, action="sign_in").count() == 1

    def test_the_admin_has_no_sign_in_of_its_own(self, browser):
        token = csrf_token(browser.open("/sign-in"))
        form = {
            "username": create_superuser().username,
            "password": PASSWORD,
            "csrfmiddlewaretoken": token,
        }
        browser.open("/admin/login/?next=/admin/", form)
        assert browser.url.endswith("/sign-in?next=/admin/")
        browser.open("/admin/")
        assert "/sign-in" in browser.url

    @pytest.mark.parametrize("path", PATHS)
    def test_anonymous_users_are_redirected_to_the_sign_in_page(self, browser, product, path):
        browser.open(path)
        assert browser.url == f"{product.url}/sign-in?next={path}"

    @pytest.mark.parametrize("groups", [(), *((role.value,) for role in Role)], ids=["no role", *Role])
    def test_users_who_are_no_superusers_are_rejected(self, signed_in, groups):
        browser = signed_in(*groups)
        for path in PATHS:
            browser.open(path)
            assert browser.status == 403, path
        assert 'href="/admin/"' not in browser.open("/")

    @pytest.mark.parametrize("path", PATHS[:-1])
    def test_superusers_are_admitted(self, superuser, path):
        superuser.open(path)
        assert superuser.status == 200

    def test_staff_who_are_no_superusers_are_rejected(self, browser):
        user = create_user("admin")
        User.objects.filter(pk=user.pk).update(is_staff=True)
        browser.sign_in(user.username)
        browser.open("/admin/")
        assert browser.status == 403

    def test_the_menu_of_superusers_links_to_it(self, superuser):
        assert 'href="/admin/"' in superuser.open("/")

    def test_the_own_password_is_changed_on_the_page_for_it(self, superuser):
        superuser.open("/admin/password_change/")
        assert superuser.url.endswith("/password")


class TestUsersAndGroups:
    def test_a_user_can_be_added_changed_and_deleted_and_the_audit_log_says_so(self, superuser):
        name = f"user-{secrets.token_hex(4)}"
        add = {"username": name, "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
        superuser.submit("/admin/auth/user/add/", add, on="/admin/auth/user/add/")
        user = User.objects.get(username=name)
        path = f"/admin/auth/user/{user.pk}/"
        change = {
            "username": name,
            "is_active": "on",
            "groups": str(Group.objects.get(name="viewer").pk),
            "date_joined_0": "2026-01-01",
            "date_joined_1": "00:00:00",
        }
        superuser.submit(f"{path}change/", change, on=f"{path}change/")
        assert list(user.groups.values_list("name", flat=True)) == ["viewer"]
        superuser.submit(f"{path}delete/", {"post": "yes"}, on=f"{path}delete/")
        assert not User.objects.filter(username=name).exists()
        entries = Audit.objects.filter(action="change_users", detail__contains=name).order_by("at", "id")
        added, changed, deleted = entries.values_list("detail", flat=True)
        assert added == f"user {name} (no role): Added."
        assert changed.startswith(f"user {name} (viewer): Changed")
        assert "Groups" in changed
        assert deleted == f"user {name} (viewer): Deleted."

    def test_a_new_password_is_recorded_and_ends_the_sessions_of_the_user(self, superuser, browser):
        user = create_user("viewer")
        browser.sign_in(user.username)
        path = f"/admin/auth/user/{user.pk}/password/"
        new = {"password1": "some other staple", "password2": "some other staple", "usable_password": "true"}
        superuser.submit(path, new, on=path)
        browser.open("/")
        assert "/sign-in" in browser.url
        detail = Audit.objects.get(action="change_users", detail__contains=user.username).detail
        assert detail == f"user {user.username} (viewer): Changed password."

    def test_a_new_superuser_is_recorded_as_such(self, superuser):
        user = create_user("viewer")
        path = f"/admin/auth/user/{user.pk}/change/"
        change = {
            "username": user.username,
            "is_superuser": "on",
            "date_joined_0": "2026-01-01",
            "date_joined_1": "00:00:00",
        }
        superuser.submit(path, change, on=path)
        detail = Audit.objects.get(action="change_users", detail__contains=user.username).detail
        assert detail.startswith(f"user {user.username} (superuser, inactive): Changed ")

    def test_groups_can_be_added_and_deleted_as_an_action_of_the_list(self, superuser):
        name = f"operator:{unique_name()}"
        superuser.submit("/admin/auth/group/add/", {"name": name}, on="/admin/auth/group/add/")
        group = Group.objects.get(name=name)
        action = {"action": "delete_selected", "_selected_action": str(group.pk), "post": "yes"}
        superuser.submit("/admin/auth/group/", action, on="/admin/auth/group/")
        assert not Group.objects.filter(name=name).exists()
        details = Audit.objects.filter(action="change_users", detail__contains=name).order_by("at", "id")
        expected = [f"group {name}: Added.", f"group {name}: Deleted."]
        assert list(details.values_list("detail", flat=True)) == expected

    @pytest.mark.parametrize("path", ["/admin/auth/user/{}/change/", "/admin/auth/group/add/"])
    def test_the_pages_explain_which_groups_grant_which_role(self, superuser, path):
        page = superuser.open(path.format(create_user().pk))
        for role in Role:
            assert f"<b>{role}</b>" in page
        assert "<b>operator:storefront</b>" in page

    def test_the_page_of_a_user_shows_no_password_hash(self, superuser):
        user = create_user("viewer")
        page = superuser.open(f"/admin/auth/user/{user.pk}/change/")
        *_, salt, digest = user.password.split("$")
        assert "algorithm" in page
        assert salt not in page
        assert digest not in page


class TestTablesOfKargoweb:
    @each_model
    def test_every_table_has_a_list_and_pages(self, client, model):
        path = f"{list_path(model)}{row_of(model).pk}/change/"
        assert 'class="field-' in client.get(list_path(model)).content.decode()
        page = client.get(path).content.decode()
        assert 'class="readonly"' in page
        assert "_save" not in page

    @each_model
    def test_no_table_can_be_written(self, client, model):
        row = row_of(model)
        before = model._default_manager.filter(pk=row.pk).values().get()
        path = f"{list_path(model)}{row.pk}/"
        assert client.get(f"{list_path(model)}add/").status_code == 403
        assert client.post(f"{list_path(model)}add/", {}).status_code == 403
        assert client.post(f"{path}change/", {"project": "changed"}).status_code == 403
        assert client.post(f"{path}delete/", {"post": "yes"}).status_code == 403
        client.post(
            list_path(model), {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}
        )
        assert model._default_manager.filter(pk=row.pk).values().get() == before

    def test_no_page_shows_the_hash_of_a_digest(self, client):
        row: Any = row_of(ReceiverUrl)
        for path in (list_path(ReceiverUrl), f"{list_path(ReceiverUrl)}{row.pk}/change/"):
            page = client.get(path).content.decode()
            assert row.receiver in page
            assert bytes(row.digest_hash).hex() not in page
            assert "hash" not in visible_text(page).lower()

    def test_the_page_of_a_delivery_links_to_its_page_instead_of_showing_headers(self, client):
        row = row_of(Delivery)
        page = client.get(f"{list_path(Delivery)}{row.pk}/change/").content.decode()
        assert f'href="/deliveries/{row.pk}"' in page
        assert "hidden-value" not in page

    def test_a_search_finds_a_repository_and_its_tag(self, client):
        name = unique_name()
        store(*(delivery(name, repository=f"a/{name}", tag=tag) for tag in ("1.0.0", "2.0.0")))
        for term, count in ((f"a/{name}", 2), (f"a/{name}:2.0.0", 1), (f"{name}:2.0.0", 0), (":2.0.0", 0)):
            page = client.get(list_path(Delivery), {"q": term}).content.decode()
            assert len(re.findall(r"<td class=\"field-tag\">", page)) == count

    def test_an_outcome_filters_the_list(self, client):
        name = unique_name()
        outcomes = (Outcome.NO_MATCH, Outcome.COLLISION, Outcome.FAILED)
        # Now, so that the rows of other tests don't fill the first page.
        latest: dict[str, Any] = {"repository": f"a/{name}", "received_at": timezone.now()}
        store(*(delivery(name, outcome=outcome, **latest) for outcome in outcomes))
        for outcome in outcomes:
            page = client.get(list_path(Delivery), {"outcome": outcome}).content.decode()
            assert page.count(f">a/{name}<") == 1
            assert outcomes_in(page) == {outcome.label}

    def test_a_search_leaves_the_filter_out(self, client):
        name = unique_name()
        outcomes = (Outcome.NO_MATCH, Outcome.FAILED)
        store(*(delivery(name, repository=f"a/{name}", outcome=outcome) for outcome in outcomes))
        page = client.get(list_path(Delivery), {"q": f"a/{name}", "outcome": "failed"}).content.decode()
        assert outcomes_in(page) == {outcome.label for outcome in outcomes}
        assert "By outcome" not in page

    @pytest.mark.parametrize("query", ["reason__contains=x", "body=x", "tag=1", "outcome__contains=x"])
    def test_other_parameters_are_rejected(self, client, query):
        assert client.get(f"{list_path(Delivery)}?{query}").status_code == 400


class TestCost:
    @pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
    def test_no_list_counts_or_reads_a_whole_table(self, client, path):
        store(*(delivery(unique_name(), number, outcome=Outcome.NO_MATCH) for number in range(60)))
        statements = [sql for sql, _ in statements_of(client, path)]
        assert len(statements) == 2, statements
        [count] = [sql for sql in statements if "COUNT(" in sql]
        assert f" LIMIT {admin.ROWS_LISTED})" in count
        for sql in statements:
            for column in ("verdicts", "headers", "stored_body", "history", "digest_hash"):
                assert f'"{column}"' not in sql

    @pytest.mark.skipif(
        "connection.vendor != 'sqlite'", reason="plans of PostgreSQL depend on what is in the tables"
    )
    @pytest.mark.parametrize("path", [*GROWING, "delivery/?o=2.-3", "audit/?o=2"])
    def test_an_index_serves_the_lists_of_tables_that_grow(self, client, path):
        store(*(delivery(unique_name(), number, outcome=Outcome.NO_MATCH) for number in range(60)))
        statements = statements_of(client, path)
        assert statements
        for sql, params in statements:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                plan = [row[3] for row in cursor.fetchall()]
            assert "USE TEMP B-TREE FOR ORDER BY" not in plan, (sql, plan)
            # A list without a search or a filter needs the first rows of an index, whichever they are. An index of one
            # outcome has no other rows.
            selective = "?q=" in path or "?outcome=" in path
            index = r" INDEX delivery_(pending|followed|failed)$" if selective else r" INDEX \w+$"
            scans = [step for step in plan if step.startswith("SCAN receivers_")]
            assert all(re.search(index, scan) for scan in scans), (sql, plan)

    def test_a_list_ends_after_a_number_of_rows_and_says_so(self, client, monkeypatch):
        monkeypatch.setattr(admin, "ROWS_LISTED", 70)
        store(*(delivery(unique_name(), number) for number in range(80)))
        page = visible_text(client.get(list_path(Delivery)).content.decode())
        assert "This list ends after 70 rows. Search to find others." in page
        assert "70 deliveries" in page
        second = client.get(f"{list_path(Delivery)}?p=2").content.decode()
        assert second.count("<tr><th") == 20

    def test_a_list_that_is_complete_does_not_say_so(self, client):
        page = client.get(list_path(Delivery), {"q": f"a/{unique_name()}"}).content.decode()
        assert "This list ends" not in page
        assert "0 deliveries" in visible_text(page)
