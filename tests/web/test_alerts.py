"""The pages and the command of the alerts: who may manage which channels, and that secrets are never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from receivers.models import (
    Alert,
    AlertChannel,
    AlertMessage,
    Audit,
    AuditAction,
    ChannelKind,
    WarehouseEvent,
)
from receivers.ops.alerts.encryption import decrypt, encrypt
from receivers.ops.alerts.sending import check_signing_key, new_signing_key
from tests.commands.running import run
from tests.deliveries.rows import unique_name
from tests.ops.sinks import Sink, http_sink
from tests.users import BACKEND, create_user
from tests.web.queries import query_count

PAGE = "/alerts"
NEW = "/alerts/new"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with http_sink() as sink:
        yield sink


@pytest.fixture
def project(product, world) -> Iterator[str]:
    """A project in the cluster. Its channels are deleted afterwards."""
    created = world.bare_project()
    yield created.name
    AlertChannel.objects.filter(project=created.name).delete()


def channel(project: str, url: str = "https://chat.example.com/hunter2", **fields) -> AlertChannel:
    values = {"name": unique_name(), "kind": ChannelKind.WEBHOOK, "created_by": "ada"}
    secrets = {"address": encrypt(url), "signing_key": encrypt(new_signing_key())}
    return AlertChannel.objects.create(project=project, **(values | secrets | fields))


def form(project: str, **fields: str) -> dict[str, str]:
    values = {
        "name": "team",
        "kind": "slack",
        "severity": "urgent",
        "address": "https://chat.example.com/hunter2",
    }
    return {"project": project, **values, **fields}


def audited(project: str) -> list[str]:
    entries = Audit.objects.filter(action=AuditAction.MANAGE_ALERTS, project=project).order_by("id")
    return list(entries.values_list("detail", flat=True))


def known(browser, project: str) -> None:
    browser.open_until(NEW, f'value="{project}"')


class TestChannels:
    def test_an_operator_creates_tests_changes_and_deletes_a_channel(self, signed_in, project, sink):
        operator = signed_in(f"operator:{project}")
        known(operator, project)
        page = operator.submit(NEW, form(project, address=f"{sink.url}/hunter2"), on=NEW)
        assert "Saved channel team" in page
        assert "hunter2" not in page
        created = AlertChannel.objects.get(project=project)
        assert decrypt(created.address) == f"{sink.url}/hunter2"
        assert "hunter2" not in created.address
        page = operator.submit(f"{PAGE}/{created.pk}/test", on=PAGE)
        assert "Sent a test alert to team. Answer: 200 thanks" in page
        assert "Test alert from kargoweb" in sink.received[0].json["text"]
        edited = operator.open(f"{PAGE}/{created.pk}")
        assert "hunter2" not in edited
        operator.submit(
            f"{PAGE}/{created.pk}", {"name": "renamed", "severity": "warning"}, on=f"{PAGE}/{created.pk}"
        )
        created.refresh_from_db()
        assert (created.name, created.severity) == ("renamed", "warning")
        assert decrypt(created.address) == f"{sink.url}/hunter2", "an empty address keeps the current one"
        assert "renamed is disabled" in operator.submit(
            f"{PAGE}/{created.pk}/switch", {"enabled": "false"}, on=PAGE
        )
        operator.submit(f"{PAGE}/{created.pk}/delete", on=f"{PAGE}/{created.pk}")
        assert not AlertChannel.objects.filter(project=project).exists()
        details = audited(project)
        assert [detail.split()[0] for detail in details] == [
            "created",
            "sent",
            "changed",
            "disabled",
            "deleted",
        ]
        assert not any("hunter2" in detail for detail in details)

    def test_a_failed_test_shows_why(self, signed_in, project, sink):
        sink.answers = [404]
        target = channel(project, sink.url, kind=ChannelKind.SLACK)
        page = signed_in("operator").submit(f"{PAGE}/{target.pk}/test", on=PAGE)
        assert "failed. Answer: 404 no, thanks" in page
        assert AlertMessage.objects.get(channel=target).due_at is None, "a test is not retried"

    def test_a_generated_signing_key_is_shown_once(self, signed_in, project):
        operator = signed_in(f"operator:{project}")
        known(operator, project)
        page = operator.submit(NEW, form(project, kind="webhook"), on=NEW)
        shown = re.search(r'aria-label="Signing key">(whsec_[^<]+)<', page)
        assert shown, page
        key = unescape(shown[1])
        check_signing_key(key)
        assert decrypt(AlertChannel.objects.get(project=project).signing_key) == key
        created = AlertChannel.objects.get(project=project)
        for path in (PAGE, f"{PAGE}/{created.pk}"):
            assert key not in unescape(operator.open(path))

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ({"address": "ftp://example.com"}, "Address must be an http:// or https:// URL"),
            ({"address": "http://169.254.169.254/"}, "can&#x27;t be a link-local or metadata address"),
            ({"address": ""}, "Address is missing"),
            ({"secret": "alerts"}, "can&#x27;t be combined with an address"),
            ({"kind": "email", "address": "ops"}, "must be e-mail addresses separated by commas"),
            ({"kind": "webhook", "signing_key": "short"}, "must be whsec_"),
            ({"kind": "pigeon"}, "Type "),
            ({"name": "x" * 81}, "can have at most 80 characters"),
            ({"name": ""}, "Name is missing"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_invalid_fields_are_named(self, signed_in, project, fields, problem):
        operator = signed_in(f"operator:{project}")
        known(operator, project)
        page = operator.submit(NEW, form(project, **fields), on=NEW)
        assert problem in page
        assert not AlertChannel.objects.filter(project=project).exists()

    def test_a_name_is_used_once_in_a_project(self, signed_in, project):
        operator = signed_in(f"operator:{project}")
        known(operator, project)
        channel(project, name="team")
        assert "is used by another channel" in operator.submit(NEW, form(project), on=NEW)


class TestAccess:
    def test_users_see_and_manage_only_the_channels_of_their_projects(self, signed_in, project):
        own, other, everything = channel(project), channel("another-project"), channel("")
        try:
            operator = signed_in(f"operator:{project}")
            page = operator.open(PAGE)
            assert own.name in page
            assert other.name not in page
            assert everything.name not in page
            for target in (other, everything):
                operator.open(f"{PAGE}/{target.pk}")
                assert operator.status == 404
                for action in ("test", "switch", "delete"):
                    operator.submit(f"{PAGE}/{target.pk}/{action}", on=PAGE)
                    assert operator.status == 404, action
            everywhere = signed_in("operator").open(PAGE)
            assert other.name in everywhere
            assert everything.name not in everywhere, "only admins manage the channels for everything"
            assert everything.name in signed_in("admin").open(PAGE)
            assert AlertChannel.objects.filter(pk__in=[own.pk, other.pk, everything.pk]).count() == 3
        finally:
            AlertChannel.objects.filter(pk__in=[other.pk, everything.pk]).delete()

    @pytest.mark.parametrize("group", ["viewer", "viewer:shop"])
    def test_viewers_manage_no_channels(self, signed_in, group):
        viewer = signed_in(group)
        assert f'href="{PAGE}"' not in viewer.open("/")
        for path in (PAGE, NEW):
            viewer.open(path)
            assert viewer.status == 403

    @pytest.mark.parametrize("chosen", ["*", "another-project"])
    def test_an_operator_cannot_create_a_channel_beyond_their_project(self, signed_in, project, chosen):
        operator = signed_in(f"operator:{project}")
        known(operator, project)
        page = operator.submit(NEW, form(chosen), on=NEW)
        assert "doesn&#x27;t exist, or you can&#x27;t manage its alerts" in page

    def test_the_list_takes_few_queries_however_many_channels_there_are(self, admin_client, project_name):
        query_count(admin_client, PAGE)  # the first page builds the health report
        counts = []
        for _ in range(2):
            for target in [channel(project_name) for _ in range(3)]:
                AlertMessage.objects.create(channel=target, title="x")
            counts.append(query_count(admin_client, PAGE))
        AlertChannel.objects.filter(project=project_name).delete()
        assert counts[0] == counts[1]


class TestEvents:
    @pytest.fixture
    def with_events(self, settings):
        settings.KARGOWEB = replace(settings.KARGOWEB, alerts=replace(settings.KARGOWEB.alerts, events=True))

    def test_the_page_says_whether_pushes_are_recorded_as_events(self, admin_client, settings):
        assert "Kubernetes Events" not in admin_client.get(PAGE).content.decode()
        settings.KARGOWEB = replace(settings.KARGOWEB, alerts=replace(settings.KARGOWEB.alerts, events=True))
        assert "Kubernetes Events" in admin_client.get(PAGE).content.decode()

    def test_only_who_sees_the_project_learns_that_an_event_could_not_be_recorded(
        self, admin_client, with_events, project_name
    ):
        event = WarehouseEvent.objects.create(
            push_id=uuid4(), project=project_name, warehouse="web", attempts=1, due_at=timezone.now()
        )
        try:
            assert "could not be recorded yet" in admin_client.get(PAGE).content.decode()
            operator = Client(HTTP_HOST="localhost")
            operator.force_login(create_user("operator:another"), BACKEND)
            page = operator.get(PAGE).content.decode()
            assert "Kubernetes Events" in page
            assert "could not be recorded yet" not in page
        finally:
            event.delete()


class TestHistory:
    def test_the_last_alerts_of_the_users_channels_are_shown_with_their_state(self, signed_in, project):
        channel(project)
        titles = {"": "still open", "resolved": "over", "muted": "silenced"}
        alerts = [
            Alert(
                scope=scope,
                key=f"{title} {scope}",
                kind="push",
                severity="urgent",
                title=f"{title} in {scope}",
                path="/attention",
                end=end,
                ended_at=timezone.now() if end else None,
            )
            for scope in (project, "another-project")
            for end, title in titles.items()
        ]
        Alert.objects.bulk_create(alerts)
        try:
            page = signed_in(f"operator:{project}").open(PAGE)
        finally:
            Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).delete()
        states = {
            title: page.partition(f"{title} in {project}")[2].partition("</tr>")[0]
            for title in titles.values()
        }
        assert "Open" in states["still open"]
        assert "Resolved" in states["over"]
        assert "Muted" in states["silenced"]
        assert "another-project" not in page


class TestCommand:
    def test_it_lists_the_channels_without_their_secrets(self, database):
        target = channel(unique_name(), "https://chat.example.com/hunter2")
        try:
            listed = run("alerts", "list")
            assert f"{target.project}/{target.name}" in listed.out
            assert "chat.example.com" in listed.out
            assert "hunter2" not in listed.out
            assert str(target.pk) in {row["id"] for row in run("alerts", "list", "--json").json}
        finally:
            target.delete()

    def test_it_sends_a_test_and_its_exit_code_says_whether_it_arrived(self, database, sink):
        target = channel(unique_name(), sink.url)
        try:
            sink.answers = [200, 500]
            name = f"{target.project}/{target.name}"
            completed = run("alerts", "test", name)
            assert (completed.code, completed.out) == (0, "Sent: 200 thanks\n")
            assert run("alerts", "test", str(target.pk)).code == 1
            unknown = run("alerts", "test", "no/such")
            assert (unknown.code, unknown.err) == (
                3,
                "No channel 'no/such'; `manage.py alerts list` lists all channels\n",
            )
        finally:
            target.delete()
