"""The checks of receivers, as pure functions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from receivers.health.delivery_checks import RetiredCalls
from receivers.health.finding import Finding
from receivers.health.push_frequency import Silence, unusual_silence
from receivers.health.receiver_checks import ReceiverFacts, orphaned_calls, receiver_findings
from receivers.health.secret_checks import SecretState
from receivers.kargo.resources import decode_config

DIGEST = "5d611cdf067a398156062773bb89d36e45a278388688479861a578e56db0c4c0"
GOOD = f"https://hooks.example.com/dockerhub/{DIGEST}"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PUSHED = ReceiverFacts(last_push=NOON)


def found(
    facts: ReceiverFacts = PUSHED,
    *,
    url: str = GOOD,
    kind: str = "dockerhub",
    conditions=(),
    project: str = "shop",
) -> dict[str, Finding]:
    """Return by check what is found about a receiver, published at `url` if there is one."""
    metadata = {"name": project or "cluster", "namespace": project}
    spec = {"webhookReceivers": [{"name": "hook", kind: {"secretRef": {"name": "hooks"}}}]}
    published = [{"name": "hook", "url": url, "path": f"/dockerhub/{DIGEST}"}] if url else []
    raw = {
        "metadata": metadata,
        "spec": spec,
        "status": {"webhookReceivers": published, "conditions": conditions},
    }
    config = decode_config(raw)
    return {one.check: one for one in receiver_findings(config, config.receivers[0], facts)}


def condition(type_: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": message}


FAILED = condition(
    "Ready", "False", "SyncWebhookReceiversFailed", 'Failed to sync: secrets "hooks" not found'
)
SYNCING = condition("Ready", "False", "SyncingWebhooks", "Syncing WebhookReceivers")
RECONCILING = condition("Reconciling", "True", "SyncingWebhooks", "Syncing WebhookReceivers")


def test_nothing_is_said_of_a_good_receiver():
    assert found() == {}


@pytest.mark.parametrize(
    ("conditions", "severity", "words"),
    [
        ([FAILED, RECONCILING], "urgent", 'secrets "hooks" not found. Kargo keeps trying.'),
        ([FAILED], "urgent", 'SyncWebhookReceiversFailed: Failed to sync: secrets "hooks" not found.'),
        ([SYNCING, RECONCILING], "note", "Kargo is working on it"),
        ([condition("Ready", "True", "Synced")], "warning", "Kargo does not say why"),
        ([], "warning", "Kargo does not say why"),
    ],
    ids=["failed and tried again", "failed", "being synced", "ready without it", "nobody looked"],
)
def test_a_receiver_without_a_url(conditions, severity, words):
    (finding,) = found(url="", conditions=conditions).values()
    assert (finding.check, finding.severity) == ("receiver.absent", severity)
    assert words in finding.reason


def test_the_remedy_for_a_failed_receiver_names_secret_key_and_command():
    finding = found(url="", conditions=[FAILED])["receiver.absent"]
    assert 'Secret "hooks", which needs the key "secret"' in finding.remedy
    assert finding.command == "kargo refresh projectconfig --project=shop"


def test_commands_for_cluster_receivers_name_the_clusterconfig():
    finding = found(url="", conditions=[FAILED], project="")["receiver.absent"]
    assert finding.command == "kargo refresh clusterconfig"


def test_a_digest_in_a_message_is_cut():
    failed = condition("Ready", "False", "SyncWebhookReceiversFailed", f"cannot serve /dockerhub/{DIGEST}")
    assert DIGEST not in found(url="", conditions=[failed])["receiver.absent"].reason


def test_of_a_kind_that_is_not_spoken_nothing_else_is_said():
    findings = found(ReceiverFacts(), url="", kind="github", conditions=[FAILED])
    assert [(one.check, one.severity) for one in findings.values()] == [("receiver.kind not spoken", "note")]


@pytest.mark.parametrize(
    ("state", "expected"),
    [(SecretState.DIFFERS, True), (SecretState.MATCHES, False), (SecretState.NOT_KNOWN, False)],
)
def test_only_a_secret_that_is_known_to_differ_is_told(state, expected):
    assert ("receiver.Secret changed" in found(ReceiverFacts(secret=state, last_push=NOON))) is expected


UNREACHABLE = [
    "localhost", "LOCALHOST", "hooks.localhost", "127.0.0.1", "127.8.9.1", "[::1]", "kargo-hooks", "kargo.kargo.svc",
    "kargo.kargo.svc.cluster.local", "box.local", "box.internal", "host.docker.internal", "nas.home.arpa", "10.1.2.3",
    "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "100.127.255.254", "0.0.0.0", "[fe80::1]", "[fd00::1]",
    "[::ffff:10.0.0.1]", "192.0.2.1", "224.0.0.1", "kargo.svc.cluster.local.",
]  # fmt: skip
REACHABLE = [
    "hooks.example.com",
    "8.8.8.8",
    "100.63.0.1",
    "100.128.0.1",
    "172.32.0.1",
    "[2606:4700::1]",
    "localhost.example.com",
]


@pytest.mark.parametrize("host", UNREACHABLE)
def test_docker_hub_cannot_reach(host):
    findings = found(url=f"https://{host}:8443/dockerhub/{DIGEST}")
    assert list(findings) == ["receiver.unreachable"]
    assert findings["receiver.unreachable"].severity == "urgent"


@pytest.mark.parametrize("host", REACHABLE)
def test_docker_hub_may_reach(host):
    assert found(url=f"https://{host}/dockerhub/{DIGEST}") == {}


@pytest.mark.parametrize(
    ("at_home", "host", "expected"),
    [
        (True, "localhost:8000", []),
        (True, "127.0.0.1", []),
        (True, "box.internal", ["receiver.unreachable"]),
        (True, "hooks.example.com", ["receiver.plain HTTP"]),
        (False, "localhost:8000", ["receiver.unreachable"]),
    ],
)
def test_that_a_url_is_on_this_machine_is_told_unless_kargoweb_is_there_too(at_home, host, expected):
    facts = ReceiverFacts(last_push=NOON, at_home=at_home)
    assert list(found(facts, url=f"http://{host}/dockerhub/{DIGEST}")) == expected


def test_a_url_without_a_host_is_unreachable():
    assert list(found(url=f"https:///dockerhub/{DIGEST}")) == ["receiver.unreachable"]
    assert list(found(url=f"https://[::1/dockerhub/{DIGEST}")) == ["receiver.unreachable"]


@pytest.mark.parametrize(("length", "expected"), [(255, []), (256, ["receiver.URL too long"])])
def test_docker_hub_stores_255_characters(length, expected):
    base = "https://hooks.example.com/"
    url = base + "a" * (length - len(base) - len(f"/dockerhub/{DIGEST}")) + f"/dockerhub/{DIGEST}"
    assert len(url) == length
    assert list(found(url=url)) == expected


def test_plain_http_is_a_warning_and_told_only_where_it_matters():
    assert found(url=GOOD.replace("https", "http"))["receiver.plain HTTP"].severity == "warning"
    assert list(found(url=f"http://localhost/dockerhub/{DIGEST}")) == ["receiver.unreachable"]


def test_no_finding_holds_the_digest():
    facts = ReceiverFacts(
        secret=SecretState.DIFFERS,
        sharers=("a/b",),
        retired=(RetiredCalls("abcdef", 3, NOON),),
        outcomes={"not_handled": 9},
    )
    findings = [
        *found(facts).values(),
        *found(facts, url=f"http://h/{'a' * 300}/dockerhub/{DIGEST}").values(),
    ]
    assert len(findings) >= 10
    assert DIGEST not in repr(findings)


@pytest.mark.parametrize(
    ("sharers", "named"),
    [
        (("shop/ab",), "that of shop/ab:"),
        (("team/ab",), "that of a receiver of another project:"),
        (("shop/ab", "team/ab", "cluster/x"), "that of shop/ab, 2 receivers of other projects:"),
    ],
    ids=["one's own", "another's", "both"],
)
def test_who_shares_the_url_is_named_to_who_may_know_him(sharers, named):
    finding = found(ReceiverFacts(sharers=sharers, last_push=NOON))["receiver.shared URL"]
    assert finding.severity == "urgent"
    assert named in finding.reason


class TestRetiredUrls:
    def test_calls_are_told_with_number_and_time(self):
        facts = ReceiverFacts(last_push=NOON, retired=(RetiredCalls("abcdef", 3, NOON),))
        finding = found(facts)["receiver.retired URL"]
        assert "…abcdef" in finding.reason
        assert "3 times, the last time on 2026-03-02 12:00 UTC" in finding.reason
        assert "receiver hook on the page of project shop" in finding.remedy

    def test_another_call_of_the_same_url_is_the_same_finding(self):
        calls = [
            RetiredCalls("abcdef", 3, NOON),
            RetiredCalls("abcdef", 4, NOON),
            RetiredCalls("012345", 3, NOON),
        ]
        keys = [
            found(ReceiverFacts(last_push=NOON, retired=(one,)))["receiver.retired URL"].key for one in calls
        ]
        assert keys[0] == keys[1] != keys[2]

    def test_they_are_told_too_of_a_receiver_that_has_no_url_or_is_gone(self):
        retired = (RetiredCalls("abcdef", 1, NOON),)
        assert "receiver.retired URL" in found(ReceiverFacts(retired=retired), url="")
        (finding,) = orphaned_calls("shop", "old", retired)
        assert (finding.name, finding.check) == ("old", "receiver.retired URL")
        assert "no longer there" in finding.remedy


def days(text: str) -> tuple[bool, ...]:
    """Return days, the newest first, from a text in which `x` is a day with pushes."""
    return tuple(char == "x" for char in text)


SILENCES = [
    ("xxxxxxxxxx", None),
    ("..xxxxxxxxxx", None),
    ("...xxxxxxxxxx", Silence(3, 1)),
    ("......xxxxx..xxxxx..xxxxx", None),
    (".......xxxxx..xxxxx..xxxxx", Silence(7, 3)),
    ("....................xxxx....", None),
    ("....................xxxxx...", Silence(20, 1)),
    ("x...........................", None),
    ("............................", None),
    ("", None),
    ("....x.x.x.x.x", None),
    (".....x.x.x.x.x", Silence(5, 2)),
]


@pytest.mark.parametrize(("pushed", "expected"), SILENCES)
def test_silence_is_unusual_only_after_twice_the_longest_one_before(pushed, expected):
    assert unusual_silence(days(pushed)) == expected


def test_a_receiver_that_fell_silent_is_a_warning_until_the_next_push():
    facts = ReceiverFacts(last_push=NOON, pushed_days=days("...xxxxxx"))
    finding = found(facts)["receiver.silent"]
    assert finding.severity == "warning"
    assert "for 3 days, the last on 2026-03-02 12:00 UTC" in finding.reason
    longer = ReceiverFacts(last_push=NOON, pushed_days=days("....xxxxxx"))
    assert found(longer)["receiver.silent"].key == finding.key


def test_a_receiver_that_was_never_called_is_a_note():
    finding = found(ReceiverFacts())["receiver.no push yet"]
    assert finding.severity == "note"
    assert "Webhooks tab" in finding.remedy


RATES = [
    ({}, None),
    ({"freight_created": 10}, None),
    ({"freight_created": 1, "not_handled": 2}, None),
    ({"freight_created": 13, "not_handled": 3}, None),
    ({"freight_created": 12, "not_handled": 3}, "warning"),
    ({"freight_created": 3, "not_handled": 3}, "urgent"),
    ({"no_match": 100, "already_current": 4}, None),
    ({"retired_url": 50, "collision": 50, "freight_created": 1}, None),
    ({"pending": 3, "refreshed": 3, "failed": 2}, None),
]


@pytest.mark.parametrize(("outcomes", "severity"), RATES)
def test_the_share_of_bad_outcomes(outcomes, severity):
    finding = found(ReceiverFacts(last_push=NOON, outcomes=outcomes)).get("receiver.error rate")
    assert (finding and finding.severity) == severity


def test_the_error_rate_names_the_outcome_that_is_most_frequent():
    outcomes = {"freight_created": 2, "discovery_failed": 3, "failed": 1}
    finding = found(ReceiverFacts(last_push=NOON, outcomes=outcomes))["receiver.error rate"]
    assert finding.reason == '4 of its last 6 deliveries ended badly, most often "discovery failed" (3).'
