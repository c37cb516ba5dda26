"""The checks of receivers: pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from receivers.health.delivery_checks import OldUrlUse
from receivers.health.finding import Finding
from receivers.health.provider_pages import PROVIDERS
from receivers.health.push_frequency import Silence, unusual_silence
from receivers.health.receiver_checks import ReceiverFacts, receiver_findings, removed_receiver_findings
from receivers.health.secret_checks import SecretState
from receivers.kargo.kinds import KINDS
from receivers.kargo.resources import decode_config

DIGEST = "5d611cdf067a398156062773bb89d36e45a278388688479861a578e56db0c4c0"
VALID_URL = f"https://hooks.example.com/dockerhub/{DIGEST}"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PUSHED = ReceiverFacts(last_push=NOON)


def findings_for(
    facts: ReceiverFacts = PUSHED,
    *,
    url: str = VALID_URL,
    kind: str = "dockerhub",
    conditions=(),
    project: str = "shop",
) -> dict[str, Finding]:
    """Return the findings about a receiver by check. An empty `url` means that Kargo has not published it."""
    metadata = {"name": project or "cluster", "namespace": project}
    spec = {"webhookReceivers": [{"name": "hook", kind: {"secretRef": {"name": "hooks"}}}]}
    published = [{"name": "hook", "url": url, "path": f"/dockerhub/{DIGEST}"}] if url else []
    raw = {
        "metadata": metadata,
        "spec": spec,
        "status": {"webhookReceivers": published, "conditions": conditions},
    }
    config = decode_config(raw)
    return {finding.check: finding for finding in receiver_findings(config, config.receivers[0], facts)}


def condition(type_: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": message}


FAILED = condition(
    "Ready", "False", "SyncWebhookReceiversFailed", 'Failed to sync: secrets "hooks" not found'
)
SYNCING = condition("Ready", "False", "SyncingWebhooks", "Syncing WebhookReceivers")
RECONCILING = condition("Reconciling", "True", "SyncingWebhooks", "Syncing WebhookReceivers")


def test_a_healthy_receiver_has_no_findings():
    assert findings_for() == {}


def test_a_receiver_whose_requests_are_passed_on_needs_no_secret_here():
    facts = ReceiverFacts(last_push=NOON, secret=SecretState.FORBIDDEN)
    assert "secret_unreadable" in findings_for(facts, kind="github")
    assert "secret_unreadable" not in findings_for(replace(facts, passed_on=True), kind="github")


@pytest.mark.parametrize(
    ("conditions", "severity", "words"),
    [
        ([FAILED, RECONCILING], "urgent", 'secrets "hooks" not found. Kargo keeps retrying.'),
        ([FAILED], "urgent", 'SyncWebhookReceiversFailed: Failed to sync: secrets "hooks" not found.'),
        ([SYNCING, RECONCILING], "note", "Kargo is still reconciling it"),
        ([condition("Ready", "True", "Synced")], "warning", "Kargo reports no reason"),
        ([], "warning", "Kargo reports no reason"),
    ],
    ids=["failed and retried", "failed", "syncing", "ready without a URL", "no conditions"],
)
def test_a_receiver_without_a_url_is_reported_with_the_reason(conditions, severity, words):
    (finding,) = findings_for(url="", conditions=conditions).values()
    assert (finding.check, finding.severity) == ("receiver_without_url", severity)
    assert words in finding.reason


def test_the_remedy_for_a_failed_receiver_names_the_secret_the_key_and_the_command():
    finding = findings_for(url="", conditions=[FAILED])["receiver_without_url"]
    assert 'Secret "hooks", which must have the key "secret"' in finding.remedy
    assert finding.command == "kargo refresh projectconfig --project=shop"


def test_commands_for_cluster_receivers_use_the_clusterconfig():
    finding = findings_for(url="", conditions=[FAILED], project="")["receiver_without_url"]
    assert finding.command == "kargo refresh clusterconfig"


def test_a_digest_in_a_message_of_kargo_is_redacted():
    failed = condition("Ready", "False", "SyncWebhookReceiversFailed", f"cannot serve /dockerhub/{DIGEST}")
    assert DIGEST not in findings_for(url="", conditions=[failed])["receiver_without_url"].reason


def test_an_unsupported_kind_is_the_only_finding():
    findings = findings_for(ReceiverFacts(), url="", kind="ecr", conditions=[FAILED])
    assert [(finding.check, finding.severity) for finding in findings.values()] == [
        ("unsupported_kind", "note")
    ]


@pytest.mark.parametrize(("kind", "expected"), [("github", True), ("quay", False), ("dockerhub", False)])
@pytest.mark.parametrize("state", [SecretState.FORBIDDEN, SecretState.MISSING])
def test_a_secret_that_authenticates_requests_must_be_readable(state, kind, expected):
    findings = findings_for(ReceiverFacts(secret=state, last_push=NOON), kind=kind)
    assert ("secret_unreadable" in findings) is expected
    if expected and state is SecretState.FORBIDDEN:
        command = findings["secret_unreadable"].command
        assert "--resource=secrets --resource-name=hooks" in command
        assert "--serviceaccount=kargoweb:kargoweb" in command


def test_wrong_signatures_in_a_row_say_that_the_secrets_differ():
    facts = ReceiverFacts(last_push=NOON, outcomes={"unauthorized": 3})
    finding = findings_for(facts, kind="github")["wrong_signatures"]
    assert "the secret at GitHub differs from" in finding.reason
    assert "high_failure_rate" not in findings_for(facts, kind="github")
    for outcomes in ({"unauthorized": 2}, {"unauthorized": 3, "refreshed": 1}):
        facts = ReceiverFacts(last_push=NOON, outcomes=outcomes)
        assert "wrong_signatures" not in findings_for(facts, kind="github")


def test_a_receiver_that_gets_only_pings_is_reported():
    facts = ReceiverFacts(last_push=NOON, outcomes={"ignored": 2, "unsupported_event": 1})
    assert "Just the push event" in findings_for(facts, kind="github")["only_pings"].remedy
    facts = ReceiverFacts(last_push=NOON, outcomes={"ignored": 3, "no_match": 1})
    assert "only_pings" not in findings_for(facts, kind="github")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_says_where_to_register_its_url(kind):
    remedy = findings_for(ReceiverFacts(), kind=kind)["no_push_yet"].remedy
    assert PROVIDERS[kind].page in remedy
    assert bool(PROVIDERS[kind].credential) is KINDS[kind].signs


@pytest.mark.parametrize(
    ("state", "expected"),
    [(SecretState.DIFFERS, True), (SecretState.MATCHES, False), (SecretState.UNKNOWN, False)],
)
def test_only_a_secret_that_differs_is_reported(state, expected):
    assert ("secret_changed" in findings_for(ReceiverFacts(secret=state, last_push=NOON))) is expected


UNREACHABLE = [
    "localhost",
    "LOCALHOST",
    "hooks.localhost",
    "127.0.0.1",
    "127.8.9.1",
    "[::1]",
    "kargo-hooks",
    "kargo.kargo.svc",
    "kargo.kargo.svc.cluster.local",
    "box.local",
    "box.internal",
    "host.docker.internal",
    "nas.home.arpa",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.1.1",
    "100.64.0.1",
    "100.127.255.254",
    "0.0.0.0",
    "[fe80::1]",
    "[fd00::1]",
    "[::ffff:10.0.0.1]",
    "192.0.2.1",
    "224.0.0.1",
    "kargo.svc.cluster.local.",
]
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
def test_a_host_that_docker_hub_cannot_reach_is_urgent(host):
    findings = findings_for(url=f"https://{host}:8443/dockerhub/{DIGEST}")
    assert list(findings) == ["url_unreachable"]
    assert findings["url_unreachable"].severity == "urgent"


def test_a_host_that_only_its_own_network_reaches_may_be_right_for_other_providers():
    finding = findings_for(url=f"https://hooks.svc.cluster.local/gitea/{DIGEST}", kind="gitea")[
        "url_unreachable"
    ]
    assert finding.reason.startswith("A provider on the internet can't reach the URL")
    assert finding.remedy.startswith("Mute this if the provider is in the same network.")


def test_only_docker_hub_limits_the_length_of_urls():
    path = "/" + "x" * 300
    assert list(findings_for(url=f"https://hooks.example.com{path}", kind="quay")) == []


@pytest.mark.parametrize(("kind", "name"), [("dockerhub", "Docker Hub"), ("github", "GitHub")])
def test_an_old_url_in_use_names_the_provider(kind, name):
    facts = ReceiverFacts(last_push=NOON, old_urls=(OldUrlUse("c0ffee", 1, NOON),))
    finding = findings_for(facts, kind=kind)["old_url_in_use"]
    assert finding.reason.startswith(f"{name} still uses an old URL")
    assert f"At {name}, " in finding.remedy


@pytest.mark.parametrize("host", REACHABLE)
def test_a_host_that_docker_hub_may_reach_is_not_reported(host):
    assert findings_for(url=f"https://{host}/dockerhub/{DIGEST}") == {}


@pytest.mark.parametrize(
    ("served_locally", "host", "expected"),
    [
        (True, "localhost:8000", []),
        (True, "127.0.0.1", []),
        (True, "box.internal", ["url_unreachable"]),
        (True, "hooks.example.com", ["url_without_tls"]),
        (False, "localhost:8000", ["url_unreachable"]),
    ],
)
def test_a_local_url_is_not_reported_if_kargoweb_is_also_local(served_locally, host, expected):
    facts = ReceiverFacts(last_push=NOON, served_locally=served_locally)
    assert list(findings_for(facts, url=f"http://{host}/dockerhub/{DIGEST}")) == expected


def test_a_url_without_a_host_is_unreachable():
    assert list(findings_for(url=f"https:///dockerhub/{DIGEST}")) == ["url_unreachable"]
    assert list(findings_for(url=f"https://[::1/dockerhub/{DIGEST}")) == ["url_unreachable"]


@pytest.mark.parametrize(("length", "expected"), [(255, []), (256, ["url_too_long"])])
def test_a_url_longer_than_255_characters_is_reported(length, expected):
    base = "https://hooks.example.com/"
    url = base + "a" * (length - len(base) - len(f"/dockerhub/{DIGEST}")) + f"/dockerhub/{DIGEST}"
    assert len(url) == length
    assert list(findings_for(url=url)) == expected


def test_plain_http_is_a_warning_unless_the_url_is_unreachable():
    assert findings_for(url=VALID_URL.replace("https", "http"))["url_without_tls"].severity == "warning"
    assert list(findings_for(url=f"http://localhost/dockerhub/{DIGEST}")) == ["url_unreachable"]


def test_no_finding_contains_the_digest():
    facts = ReceiverFacts(
        secret=SecretState.DIFFERS,
        sharers=("a/b",),
        old_urls=(OldUrlUse("abcdef", 3, NOON),),
        outcomes={"not_handled": 9},
    )
    findings = [
        *findings_for(facts).values(),
        *findings_for(facts, url=f"http://h/{'a' * 300}/dockerhub/{DIGEST}").values(),
    ]
    assert len(findings) >= 10
    assert DIGEST not in repr(findings)


@pytest.mark.parametrize(
    ("sharers", "named"),
    [
        (("shop/ab",), "its URL with shop/ab."),
        (("team/ab",), "its URL with a receiver of another project."),
        (("shop/ab", "team/ab", "cluster/x"), "its URL with shop/ab and 2 receivers of other projects."),
    ],
    ids=["same project", "another project", "both"],
)
def test_receivers_of_other_projects_that_share_the_url_are_counted_but_not_named(sharers, named):
    finding = findings_for(ReceiverFacts(sharers=sharers, last_push=NOON))["url_shared"]
    assert finding.severity == "urgent"
    assert named in finding.reason


class TestOldUrls:
    def test_requests_are_counted_and_dated(self):
        facts = ReceiverFacts(last_push=NOON, old_urls=(OldUrlUse("abcdef", 3, NOON),))
        finding = findings_for(facts)["old_url_in_use"]
        assert "…abcdef" in finding.reason
        assert "3 requests recently, the last on 2026-03-02 12:00 UTC" in finding.reason
        assert "receiver hook from the page of project shop" in finding.remedy

    def test_the_key_depends_on_the_url_but_not_on_the_number_of_requests(self):
        uses = [
            OldUrlUse("abcdef", 3, NOON),
            OldUrlUse("abcdef", 4, NOON),
            OldUrlUse("012345", 3, NOON),
        ]
        keys = [
            findings_for(ReceiverFacts(last_push=NOON, old_urls=(use,)))["old_url_in_use"].key for use in uses
        ]
        assert keys[0] == keys[1] != keys[2]

    def test_requests_are_also_reported_for_receivers_without_a_url_and_removed_receivers(self):
        old_urls = (OldUrlUse("abcdef", 1, NOON),)
        assert "old_url_in_use" in findings_for(ReceiverFacts(old_urls=old_urls), url="")
        (finding,) = removed_receiver_findings("shop", "old", old_urls)
        assert (finding.name, finding.check) == ("old", "old_url_in_use")
        assert "no longer exists" in finding.remedy


def days(text: str) -> tuple[bool, ...]:
    """Return whether each day had pushes (`x`), newest first."""
    return tuple(char == "x" for char in text)


GAPS = [
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


@pytest.mark.parametrize(("pushed", "expected"), GAPS)
def test_a_gap_is_unusual_after_twice_the_longest_earlier_gap(pushed, expected):
    assert unusual_silence(days(pushed)) == expected


def test_an_unusual_gap_is_a_warning_whose_key_is_the_same_until_the_next_push():
    facts = ReceiverFacts(last_push=NOON, pushed_days=days("...xxxxxx"))
    finding = findings_for(facts)["no_recent_push"]
    assert finding.severity == "warning"
    assert "for 3 days. The last one arrived on 2026-03-02 12:00 UTC" in finding.reason
    longer = ReceiverFacts(last_push=NOON, pushed_days=days("....xxxxxx"))
    assert findings_for(longer)["no_recent_push"].key == finding.key


def test_a_receiver_without_a_push_is_a_note():
    finding = findings_for(ReceiverFacts())["no_push_yet"]
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
def test_the_severity_depends_on_the_share_of_failures(outcomes, severity):
    finding = findings_for(ReceiverFacts(last_push=NOON, outcomes=outcomes)).get("high_failure_rate")
    assert (finding and finding.severity) == severity


def test_the_failure_rate_names_the_most_frequent_outcome():
    outcomes = {"freight_created": 2, "discovery_failed": 3, "failed": 1}
    finding = findings_for(ReceiverFacts(last_push=NOON, outcomes=outcomes))["high_failure_rate"]
    assert finding.reason == '4 of the last 6 pushes failed: most often "Discovery failed" (3).'
