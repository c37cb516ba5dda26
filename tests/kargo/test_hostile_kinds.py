"""Hostile requests to receivers of every kind are read or refused, whatever they contain."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receivers.kargo.kinds import KINDS, Headers, InvalidBody, Refused, WebhookRequest
from receivers.kargo.matching import verdicts
from receivers.kargo.push import Push
from receivers.kargo.resources import decode_warehouse
from receivers.kargo.responses import MAX_BODY

EVENTS = {
    "bitbucket": ("X-Event-Key", ["repo:push", "repo:refs_changed", "pullrequest:fulfilled", "pr:merged"]),
    "gitea": ("X-Gitea-Event", ["push", "pull_request"]),
    "github": ("X-GitHub-Event", ["push", "package", "registry_package", "ping", "pull_request"]),
    "gitlab": ("X-Gitlab-Event", ["Push Hook", "Tag Push Hook", "Merge Request Hook"]),
    "azure": ("User-Agent", ["AzureContainerRegistry/1", "VSServices/1"]),
}
EVERY_EVENT = [
    (kind, *event)
    for kind in KINDS
    if kind != "generic"
    for event in ([(EVENTS[kind][0], value) for value in EVENTS[kind][1]] if kind in EVENTS else [("", "")])
]
NAMES = [
    "action", "after", "actor", "changes", "clone", "clone_url", "commits", "container_metadata", "data", "docker_url",
    "domain", "event_data", "event_type", "eventType", "head_commit", "host", "href", "html", "html_url", "image_type",
    "jpd_origin", "links", "_links", "manifest", "mediaType", "modified", "name", "new", "object_attributes", "package",
    "package_type", "package_url", "package_version", "path", "push", "push_data", "pull_request", "pullrequest", "ref",
    "refUpdates", "remoteUrl", "repo_key", "repository", "request", "resource", "resource_url", "resources", "ssh_url",
    "status", "tag", "target", "timestamp", "total_commits_count", "type", "updated_tags", "url", "git_http_url",
]  # fmt: skip
TEXTS = [
    "",
    "push",
    "closed",
    "published",
    "PUSH_ARTIFACT",
    "docker",
    "pushed",
    "git.push",
    "refs/heads/main",
    "//",
    "%zz",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(TEXTS)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=40,
)
WAREHOUSE = decode_warehouse(
    {
        "spec": {
            "subscriptions": [
                {"git": {"repoURL": "https://git.example.com/acme/app", "includePaths": ["glob:a/**"]}},
                {"image": {"repoURL": "registry.example.com/acme/app"}},
            ]
        }
    }
)


def read(kind, header, value, body, **others):
    """Return what a request asks for; None if it is refused."""
    request = WebhookRequest(body, Headers([(header, value), *others.items()]))
    with suppress(Refused):
        KINDS[kind].authenticate(request, b"secret")
    try:
        event = KINDS[kind].read(request)
    except (InvalidBody, Refused):
        return None
    if isinstance(event, Push):
        verdicts(event, [WAREHOUSE])
        assert event.near_key is not None
    return event


@pytest.mark.parametrize(("kind", "header", "value"), EVERY_EVENT)
@settings(max_examples=40)
@given(body=st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(kind, header, value, body):
    read(kind, header, value, body)


@pytest.mark.parametrize(("kind", "header", "value"), EVERY_EVENT)
@settings(max_examples=40)
@given(body=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
def test_fields_of_any_type_are_read_or_refused(kind, header, value, body):
    read(kind, header, value, json.dumps(body).encode())


@pytest.mark.parametrize(("kind", "header", "value"), EVERY_EVENT)
@settings(max_examples=40)
@given(value_of_header=st.text(st.characters(max_codepoint=255), max_size=80))
def test_signatures_of_any_form_are_refused(kind, header, value, value_of_header):
    names = [
        "X-Hub-Signature-256",
        "X-Hub-Signature",
        "X-Gitlab-Token",
        "Authorization",
        "X-JFrog-Event-Auth",
    ]
    if KINDS[kind].signs and value_of_header != "secret":
        request = WebhookRequest(
            b"{}", Headers([(header, value), *((name, value_of_header) for name in names)])
        )
        with pytest.raises(Refused):
            KINDS[kind].authenticate(request, b"secret")


def filled(start, piece, end):
    """Return a body of at most `MAX_BODY` bytes."""
    return start + piece * ((MAX_BODY - len(start) - len(end)) // len(piece)) + end


LARGE = {
    "quay tags": (
        "quay",
        filled(b'{"docker_url":"registry.example.com/acme/app","updated_tags":["a"', b',"b"', b"]}"),
    ),
    "harbor resources": (
        "harbor",
        filled(
            b'{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"resource_url":"registry.example.com/acme/app"}',
            b',{"tag":"a"}',
            b"]}}",
        ),
    ),
    "github files": (
        "github",
        filled(
            b'{"ref":"refs/heads/main","repository":{"clone_url":"https://git.example.com/acme/app"},'
            b'"commits":[{"added":["a/b"',
            b',"c"',
            b"]}]}",
        ),
    ),
    "github commits": ("github", filled(b'{"commits":[{}', b",{}", b"]}")),
    "nested repositories": ("github", filled(b"", b'{"repository":', b"")),
    "bitbucket changes": ("bitbucket", filled(b'{"push":{"changes":[{}', b',{"new":{"name":"a"}}', b"]}}")),
    "azure updates": (
        "azure",
        filled(b'{"eventType":"git.push","resource":{"refUpdates":[{}', b',{"name":"a"}', b"]}}"),
    ),
    "artifactory path": (
        "artifactory",
        filled(
            b'{"domain":"docker","event_type":"pushed","jpd_origin":"https://a.b","data":{"image_type":"oci","path":"',
            b"a/",
            b'b"}}',
        ),
    ),
}


@pytest.mark.parametrize(("kind", "body"), LARGE.values(), ids=LARGE)
def test_bodies_of_the_maximum_length_are_read_or_refused(kind, body):
    header, values = EVENTS.get(kind, ("", [""]))
    read(kind, header, values[-1] if kind == "azure" else values[0], body)


def test_many_distinct_tags_are_all_compared():
    tags = [f"v{number}" for number in range(100_000)]
    body = json.dumps(
        {"docker_url": "registry.example.com/acme/app", "updated_tags": [*tags, "1.2.3"]}
    ).encode()
    push = read("quay", "", "", body)
    assert [verdict.result.value for verdict in verdicts(push, [WAREHOUSE])] == ["match"]
