"""Alerts begin and end; notices are grouped, limited in rate and retried; secrets stay secret."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from receivers.health.checks import Check
from receivers.health.finding import Finding, Severity, Subject
from receivers.health.report import HealthReport, Muted
from receivers.models import (
    Alert,
    AlertChannel,
    AlertDuty,
    AlertEnd,
    AlertMessage,
    AlertNotice,
    AlertSeverity,
    ChannelKind,
    Downtime,
    Origin,
    Outcome,
    ProjectDelivery,
    PushFailure,
    Refresh,
)
from receivers.ops.alerts import alert_log, finding_alerts, push_alerts
from receivers.ops.alerts.alert_log import EVERYTHING, Problem
from receivers.ops.alerts.bulletin import MOST_ITEMS, Bulletin, Item
from receivers.ops.alerts.channels import destination_shown, refused_address
from receivers.ops.alerts.encryption import Undecryptable, decrypt, encrypt, renewed
from receivers.ops.alerts.finding_alerts import SteadyFindings
from receivers.ops.alerts.outbox import Outbox, drop_unsent
from receivers.ops.alerts.sending import (
    NoDestination,
    check_signing_key,
    new_signing_key,
    signature,
)
from receivers.refreshes.rollup import update_deliveries
from tests.deliveries.rows import delivery, store, unique_name
from tests.ops.sinks import Sink, http_sink

OTHER_KEY = "another-secret-key-of-more-than-32-characters"
BASE_URL = "https://hooks.example.com"


def no_secret(channel: AlertChannel) -> Any:
    raise NoDestination("there is no cluster")


def outbox(**options: Any) -> Outbox:
    values: dict[str, Any] = {"group": 0.0, "rate": 100, "look_up": no_secret}
    return Outbox(BASE_URL, **(values | options))


@pytest.fixture
def sink() -> Iterator[Sink]:
    with http_sink() as sink:
        yield sink


@pytest.fixture
def project(database) -> Iterator[str]:
    """A project of this test. No channel, alert or note is left of other tests, or for them."""
    _clean()
    yield unique_name()
    _clean()


def _clean() -> None:
    for model in (AlertChannel, Alert, PushFailure, AlertDuty):
        model.objects.all().delete()


def channel(url: str, project: str = EVERYTHING, **fields: Any) -> AlertChannel:
    values = {"name": unique_name(), "kind": ChannelKind.WEBHOOK, "severity": AlertSeverity.WARNING}
    secrets = {"address": encrypt(url), "signing_key": encrypt(new_signing_key()), "created_by": "ada"}
    return AlertChannel.objects.create(project=project, **(values | secrets | fields))


def problem(key: str, **fields: Any) -> Problem:
    values = {
        "kind": "finding",
        "severity": AlertSeverity.WARNING,
        "project": "shop",
        "title": f"Title {key}",
    }
    return Problem(key, **({"text": "Text.", "path": "/attention"} | values | fields))


def sent(sink: Sink) -> list[tuple[str, str]]:
    """Return the status and the title of all alerts that arrived."""
    return [(alert["status"], alert["title"]) for each in sink.received for alert in each.alerts]


class TestOutbox:
    def test_what_happens_within_the_window_is_one_message(self, project, sink):
        target = channel(sink.url)
        alert_log.begin(EVERYTHING, [problem("a"), problem("b")])
        outbox(group=3600.0).work()
        assert sink.received == []
        outbox().work()
        assert [len(each.alerts) for each in sink.received] == [2]
        assert sent(sink) == [("firing", "Title a"), ("firing", "Title b")]
        message = AlertMessage.objects.get(channel=target)
        assert (message.title, message.answer) == ("Warning: Title a (and 1 more)", "200 thanks")
        assert message.sent_at

    def test_a_problem_that_persists_is_reported_once(self, project, sink):
        channel(sink.url)
        for _ in range(3):
            alert_log.begin(EVERYTHING, [problem("a")])
            outbox().work()
        assert sent(sink) == [("firing", "Title a")]

    def test_a_problem_that_was_over_before_its_report_is_not_reported(self, project, sink):
        channel(sink.url)
        alert_log.finish(alert_log.begin(EVERYTHING, [problem("a")]), AlertEnd.RESOLVED)
        outbox().work()
        assert sink.received == []

    def test_only_channels_that_got_the_beginning_get_the_end(self, project, sink):
        channel(f"{sink.url}/told")
        channel(f"{sink.url}/urgent-only", severity=AlertSeverity.URGENT)
        alerts = alert_log.begin(EVERYTHING, [problem("a")])
        outbox().work()
        channel(f"{sink.url}/newer")
        alert_log.finish(alerts, AlertEnd.RESOLVED)
        outbox().work()
        assert sent(sink) == [("firing", "Title a"), ("resolved", "Title a")]
        assert {request.path for request in sink.received} == {"/told"}

    def test_what_exceeds_the_rate_waits_and_is_sent_together(self, project, sink):
        target = channel(sink.url)
        limited = outbox(rate=2)
        for key in "abcd":
            alert_log.begin(EVERYTHING, [problem(key)])
            limited.work()
        assert len(sink.received) == 2
        AlertMessage.objects.filter(channel=target).update(created_at=timezone.now() - timedelta(minutes=2))
        limited.work()
        assert [len(each.alerts) for each in sink.received] == [1, 1, 2]

    def test_a_refused_message_is_retried_under_its_id_and_others_wait_for_it(self, project, sink):
        target = channel(sink.url)
        sink.answers = [500, 429]
        alert_log.begin(EVERYTHING, [problem("a")])
        outbox().work()
        message = AlertMessage.objects.get(channel=target)
        assert (message.attempts, message.sent_at, message.answer) == (1, None, "500 no, thanks")
        assert message.due_at is not None
        alert_log.begin(EVERYTHING, [problem("b")])
        _make_due(message)
        outbox().work()
        message.refresh_from_db()
        assert message.due_at > timezone.now() + timedelta(minutes=50), "Retry-After is respected"
        _make_due(message)
        outbox().work()
        outbox().work()
        assert sent(sink)[-2:] == [("firing", "Title a"), ("firing", "Title b")]
        assert len({each.headers["webhook-id"] for each in sink.received[:3]}) == 1

    def test_a_message_that_is_refused_for_a_day_is_given_up(self, project, sink):
        target = channel(sink.url)
        sink.answers = [500]
        alert_log.begin(EVERYTHING, [problem("a")])
        outbox().work()
        AlertMessage.objects.filter(channel=target).update(attempts=28, due_at=timezone.now())
        sink.answers = [500]
        outbox().work()
        message = AlertMessage.objects.get(channel=target)
        assert (message.due_at, message.sent_at, message.attempts) == (None, None, 29)

    def test_a_disabled_channel_sends_nothing_not_even_what_waited(self, project, sink):
        target = channel(sink.url)
        alert_log.begin(EVERYTHING, [problem("a")])
        target.enabled = False
        target.save()
        drop_unsent(target)
        alert_log.begin(EVERYTHING, [problem("b")])
        target.enabled = True
        target.save()
        outbox().work()
        assert sink.received == []

    def test_a_channel_that_fails_delays_no_other(self, project, sink):
        channel("http://127.0.0.1:1/closed")
        channel("http://nowhere.invalid/")
        channel(sink.url)
        alert_log.begin(EVERYTHING, [problem("a")])
        outbox().work()
        assert sent(sink) == [("firing", "Title a")]
        answers = set(AlertMessage.objects.filter(sent_at=None).values_list("answer", flat=True))
        assert any("connection refused" in answer for answer in answers), answers

    def test_no_message_goes_to_a_metadata_service(self, project):
        target = channel("http://169.254.169.254/latest/meta-data")
        alert_log.begin(EVERYTHING, [problem("a")])
        outbox().work()
        answer = AlertMessage.objects.get(channel=target).answer
        assert "kargoweb sends nothing to 169.254.169.254" in answer

    def test_an_answer_shows_no_path_of_the_url(self, project):
        target = channel("http://127.0.0.1:1/services/hunter2?token=hunter2")
        message = outbox().send_test(target)
        assert "hunter2" not in message.answer
        assert "127.0.0.1:1" in message.answer

    def test_a_secret_that_cannot_be_read_is_an_answer(self, project):
        target = channel("", secret="alerts", address="")
        message = outbox().send_test(target)
        assert (message.sent_at, message.due_at) == (None, None)
        assert message.answer == "the destination can't be read: there is no cluster"


def _make_due(message: AlertMessage) -> None:
    AlertMessage.objects.filter(pk=message.pk).update(due_at=timezone.now())


class TestPushes:
    def test_the_commit_that_ends_a_delivery_notes_its_failure(self, project):
        (row,) = store(delivery(project, outcome=Outcome.REFRESHED, warehouses=1))
        refresh = Refresh(
            delivery=row, project=project, warehouse="w", state="ended", outcome="discovery_failed"
        )
        refresh.ended_at = timezone.now()
        refresh.save()
        with transaction.atomic():
            update_deliveries([row.pk])
            assert PushFailure.objects.filter(delivery=row.pk).exists()
            transaction.set_rollback(True)  # the process dies before the commit
        assert not PushFailure.objects.exists()
        with transaction.atomic():
            update_deliveries([row.pk])
        assert PushFailure.objects.get().delivery == row.pk

    def test_a_push_of_a_project_is_reported_to_the_project_and_to_everything(self, project):
        (row,) = store(delivery(project, outcome=Outcome.DISCOVERY_FAILED, reason="denied"))
        PushFailure.objects.create(delivery=row.pk)
        push_alerts.note_failures([EVERYTHING, project, "other"])
        assert set(Alert.objects.values_list("scope", flat=True)) == {EVERYTHING, project}
        alert = Alert.objects.get(scope=project)
        assert (alert.title, alert.text) == ("example/app:1.0.0: discovery failed", "Denied.")
        assert alert.path == f"/pushes/{row.push_id}"
        assert not PushFailure.objects.exists()

    def test_a_push_to_a_cluster_receiver_is_reduced_to_the_project(self, project):
        other = unique_name()
        (row,) = store(delivery("", outcome=Outcome.DISCOVERY_FAILED, warehouses=2))
        for name, outcome in ((project, "freight_created"), (other, "discovery_failed")):
            ProjectDelivery.objects.create(delivery=row, project=name, received_at=row.received_at)
            Refresh.objects.create(
                delivery=row,
                project=name,
                warehouse="w",
                state="ended",
                outcome=outcome,
                ended_at=timezone.now(),
            )
        PushFailure.objects.create(delivery=row.pk)
        push_alerts.note_failures([EVERYTHING, project, other])
        assert set(Alert.objects.values_list("scope", flat=True)) == {EVERYTHING, other}

    @pytest.mark.parametrize("origin", [Origin.TEST, Origin.CATCH_UP])
    def test_tests_and_catch_ups_alert_nobody(self, project, origin):
        (row,) = store(delivery(project, outcome=Outcome.DISCOVERY_FAILED, origin=origin))
        PushFailure.objects.create(delivery=row.pk)
        push_alerts.note_failures([EVERYTHING, project])
        assert not Alert.objects.exists()

    def test_a_body_that_was_not_understood_is_reported_as_a_delivery(self, project):
        (row,) = store(
            delivery(
                project, outcome=Outcome.INVALID_BODY, push_id=None, repository="", tag="", reason="no JSON"
            )
        )
        PushFailure.objects.create(delivery=row.pk)
        push_alerts.note_failures([project])
        alert = Alert.objects.get()
        assert alert.title == f"Push to receiver {project}/hook: invalid body"
        assert alert.path == f"/deliveries/{row.pk}"

    def test_a_failure_that_was_redelivered_meanwhile_is_no_news(self, project):
        (failed,) = store(delivery(project, outcome=Outcome.DISCOVERY_FAILED))
        store(
            delivery(project, 5, outcome=Outcome.FREIGHT_CREATED, original=failed, origin=Origin.REDELIVERY)
        )
        PushFailure.objects.create(delivery=failed.pk)
        push_alerts.note_failures([project])
        assert not Alert.objects.exists()

    def test_a_redelivery_belongs_to_the_push_that_it_repeats(self, project):
        (failed,) = store(delivery(project, outcome=Outcome.DISCOVERY_FAILED))
        (again,) = store(
            delivery(project, 5, outcome=Outcome.FREIGHT_FAILED, original=failed, origin=Origin.REDELIVERY)
        )
        PushFailure.objects.bulk_create([PushFailure(delivery=row.pk) for row in (failed, again)])
        push_alerts.note_failures([project])
        assert Alert.objects.get().path == f"/pushes/{failed.push_id}"
        store(delivery(project, 9, outcome=Outcome.FREIGHT_CREATED, original=again, origin=Origin.REDELIVERY))
        push_alerts.end_recovered([project])
        assert Alert.objects.get().end == AlertEnd.RESOLVED

    def test_an_alert_ends_when_the_push_succeeds_and_expires_after_two_days(self, project):
        rows = store(
            *(delivery(project, number, outcome=Outcome.DISCOVERY_FAILED) for number in range(3)),
        )
        PushFailure.objects.bulk_create([PushFailure(delivery=row.pk) for row in rows])
        push_alerts.note_failures([project])
        assert Alert.objects.count() == 3
        succeeded, expired, _ = rows
        type(succeeded).objects.filter(pk=succeeded.pk).update(outcome=Outcome.FREIGHT_CREATED)
        old = timezone.now() - timedelta(days=3)
        Alert.objects.filter(key=f"push:{expired.push_id}").update(opened_at=old)
        push_alerts.end_recovered([project])
        ends = {alert.key: alert.end for alert in Alert.objects.all()}
        assert [ends[f"push:{row.push_id}"] for row in rows] == ["resolved", "expired", ""]


def finding(project: str, name: str = "hook", severity: Severity = Severity.URGENT, **fields: Any) -> Finding:
    values = {
        "check": Check.URL_WITHOUT_TLS,
        "subject": Subject.RECEIVER,
        "reason": "No TLS.",
        "remedy": "Use it.",
    }
    return Finding(severity, project=project, name=name, **(values | fields))


def report(*findings: Finding, muted: Finding | None = None) -> HealthReport:
    mutes = {muted.mute_key: Muted("ada", timezone.now(), "")} if muted else {}
    return HealthReport.build(timezone.now(), findings, mutes)


class TestFindings:
    def test_urgent_findings_and_warnings_begin_and_end_and_notes_do_not(self, project):
        steady = SteadyFindings(0)
        note = finding(project, "noted", Severity.NOTE)
        steady.compare(project, report(finding(project), finding(project, "b", Severity.WARNING), note))
        severities = dict(Alert.objects.values_list("title", "severity"))
        assert severities == {
            f"URLs without TLS: {project}/hook": "urgent",
            f"URLs without TLS: {project}/b": "warning",
        }
        steady.compare(project, report())
        assert set(Alert.objects.values_list("end", flat=True)) == {"resolved"}

    def test_a_finding_must_last_and_be_gone_as_long(self, project):
        patient, hasty = SteadyFindings(3600), SteadyFindings(0)
        patient.compare(project, report(finding(project)))
        assert not Alert.objects.exists()
        hasty.compare(project, report(finding(project)))
        patient.compare(project, report())
        assert Alert.objects.filter(ended_at=None).count() == 1

    def test_muted_findings_send_no_alerts_and_muting_ends_an_alert_silently(self, project):
        channel("http://127.0.0.1:1/", project)
        muted = finding(project)
        SteadyFindings(0).compare(project, report(muted, muted=muted))
        assert not Alert.objects.exists()
        SteadyFindings(0).compare(project, report(muted))
        assert AlertNotice.objects.count() == 1
        SteadyFindings(0).compare(project, report(muted, muted=muted))
        assert Alert.objects.get().end == AlertEnd.MUTED
        assert not AlertNotice.objects.exists()

    def test_a_finding_that_changes_replaces_its_alert(self, project):
        SteadyFindings(0).compare(project, report(finding(project, identity="a")))
        SteadyFindings(0).compare(project, report(finding(project, identity="b")))
        assert sorted(Alert.objects.values_list("end", flat=True)) == ["", "replaced"]

    def test_findings_of_one_cause_are_one_alert(self, project):
        shared: dict[str, Any] = {"identity": "registry", "common_cause": True}
        findings = [finding(project, f"hook-{number}", **shared) for number in range(5)]
        SteadyFindings(0).compare(project, report(*findings))
        alert = Alert.objects.get()
        assert alert.title.endswith("and 2 more")

    def test_a_quiet_receiver_has_a_kind_of_its_own(self, project):
        quiet = finding(project, severity=Severity.WARNING, check=Check.NO_RECENT_PUSH)
        SteadyFindings(0).compare(project, report(quiet))
        assert Alert.objects.get().kind == "quiet"

    def test_a_project_sees_only_its_part_of_a_finding_of_the_cluster(self, project):
        affected = ((project, "w"), ("secret-project", "w"))
        dead = finding(
            "", "default", check=Check.NO_CONTROLLER, subject=Subject.CONTROLLER, warehouses=affected
        )
        SteadyFindings(0).compare(project, report(dead))
        alert = Alert.objects.get()
        assert "secret-project" not in alert.title + alert.text
        SteadyFindings(0).compare("third", report(dead))
        assert Alert.objects.count() == 1

    def test_a_downtime_is_reported_once_as_resolved(self, project, sink):
        channel(sink.url)
        now = timezone.now()
        # Longer than any downtime that other tests cause.
        row = Downtime.objects.create(since=now - timedelta(minutes=400), until=now)
        try:
            finding_alerts.note_downtimes(now)
            finding_alerts.note_downtimes(now)
            outbox().work()
        finally:
            row.delete()
        mine = [each for each in sent(sink) if each[1] == "kargoweb received no pushes for 400 minutes"]
        assert mine == [("resolved", "kargoweb received no pushes for 400 minutes")]


class TestEncryption:
    def test_what_is_stored_does_not_contain_the_secret(self):
        stored = encrypt("https://example.com/hunter2")
        assert "hunter2" not in stored
        assert decrypt(stored) == "https://example.com/hunter2"
        assert (encrypt(""), decrypt("")) == ("", "")

    def test_a_fallback_decrypts_and_renewal_makes_it_unnecessary(self, settings):
        old_key, stored = settings.SECRET_KEY, encrypt("secret")
        with override_settings(SECRET_KEY=OTHER_KEY, SECRET_KEY_FALLBACKS=[old_key]):
            assert decrypt(stored) == "secret"
            new = renewed(stored)
            assert renewed(new) == new
        with override_settings(SECRET_KEY=OTHER_KEY, SECRET_KEY_FALLBACKS=[]):
            assert decrypt(new) == "secret"
            with pytest.raises(Undecryptable):
                decrypt(stored)

    def test_a_channel_with_another_key_says_so(self, project):
        target = channel("https://example.com/hunter2")
        with override_settings(SECRET_KEY=OTHER_KEY):
            assert "another KARGOWEB_SECRET_KEY" in destination_shown(target)
            assert "another KARGOWEB_SECRET_KEY" in outbox().send_test(target).answer


class TestContents:
    def test_the_signature_is_that_of_the_example_of_standard_webhooks(self):
        key = "whsec_plJ3nmyCDGBKInavdOK15jsl"
        body = b'{"event_type":"ping","data":{"success":true}}'
        message_id = "msg_loFOjxBNrRLzqYUf"
        assert signature(key, message_id, "1731705121", body) == (
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="
        )

    @pytest.mark.parametrize(
        "key", ["", "whsec_", "whsec_!", "secret", "whsec_" + base64.b64encode(b"short").decode()]
    )
    def test_invalid_keys_are_refused(self, key):
        with pytest.raises(ValueError, match="must be whsec_"):
            check_signing_key(key)

    def test_names_of_a_push_are_no_markup_in_slack(self):
        item = Item(
            uuid4(),
            "push",
            "urgent",
            "shop",
            "<!channel> a&b|c",
            "<https://evil|click>",
            BASE_URL,
            timezone.now(),
        )
        text = Bulletin.of(uuid4(), [item], BASE_URL).slack()["text"]
        assert "<!channel>" not in text
        assert "<https://evil" not in text
        assert "&lt;!channel&gt; a&amp;b" in text

    def test_a_message_names_some_alerts_and_counts_the_others(self):
        now = timezone.now()
        items = [
            Item(uuid4(), "push", "urgent", "shop", f"t{n}", "", BASE_URL, now) for n in range(MOST_ITEMS + 5)
        ]
        bulletin = Bulletin.of(uuid4(), items, BASE_URL)
        assert bulletin.webhook()["data"]["omitted"] == 5
        assert "And 5 more" in bulletin.text()
        assert bulletin.title == f"Urgent: t0 (and {MOST_ITEMS + 4} more)"

    @pytest.mark.parametrize(
        ("url", "refused"),
        [
            ("http://169.254.169.254/", True),
            ("http://[fe80::1]/", True),
            ("http://[::ffff:169.254.169.254]/", True),
            ("http://10.0.0.1/", False),
            ("http://kargoweb/dockerhub/" + "a" * 64, True),
            ("https://hooks.slack.com/", False),
        ],
    )
    def test_forbidden_addresses_are_refused_when_they_are_entered(self, url, refused):
        assert bool(refused_address(url)) is refused
