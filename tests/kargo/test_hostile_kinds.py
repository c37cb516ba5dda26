"""Hostile requests to receivers of every kind are read or refused, whatever they contain."""

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from receivers.kargo.kinds import KINDS, Headers, InvalidBody, Refused, WebhookRequest
from receivers.kargo.kinds.events import NothingToDo, PullRequest
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
    max_leaves=15,
)
ACTIONS = [
    {
        "action": "Refresh",
        "whenExpression": "request.body.ref in ['', 'refs/heads/main'] || request.params('a') == 'b'",
        "targetSelectionCriteria": [{"kind": "Warehouse", "name": "${{ request.body.name }}"}],
    },
    {
        "action": "Refresh",
        "whenExpression": "any(request.body.commits, any(#.modified, # startsWith 'a/'))",
        "targetSelectionCriteria": [
            {
                "kind": "Warehouse",
                "labelSelector": {"matchLabels": {"tag": "x-${{ request.body?.repository?.tag }}"}},
            }
        ],
    },
    {
        "action": "Refresh",
        "targetSelectionCriteria": [
            {
                "kind": "Warehouse",
                "indexSelector": {
                    "matchIndices": [
                        {
                            "key": "subscribedURLs",
                            "operator": "Equals",
                            "value": "${{ normalizeGit(request.body.repository.url) }}",
                        }
                    ]
                },
            }
        ],
    },
    {
        "action": "Refresh",
        "targetSelectionCriteria": [{"kind": "Warehouse", "name": "${{ quote(request.body) }}"}],
    },
]
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
    options = {"actions": ACTIONS} if kind == "generic" else {}
    request = WebhookRequest(body, Headers([(header, value), *others.items()]), options)
    with suppress(Refused):
        KINDS[kind].authenticate(request, b"secret")
    try:
        event = KINDS[kind].read(request)
    except (InvalidBody, Refused):
        return None
    if isinstance(event, Push):
        verdicts(event, [WAREHOUSE])
        assert event.near_key is not None
    elif not isinstance(event, PullRequest | NothingToDo):
        event.targets([WAREHOUSE], tuple)
        json.loads(event.response((), ()).body)
        assert len(event.actions((), ())) == len(ACTIONS)
    return event


@pytest.mark.parametrize(("kind", "header", "value"), EVERY_EVENT)
@settings(max_examples=15)
@given(body=st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(kind, header, value, body):
    read(kind, header, value, body)


@pytest.mark.parametrize(("kind", "header", "value"), EVERY_EVENT)
@settings(max_examples=40)
@given(body=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
def test_fields_of_any_type_are_read_or_refused(kind, header, value, body):
    read(kind, header, value, json.dumps(body).encode())


PUSH = Push(
    "https://git.example.com/acme/app",
    "refs/heads/main",
    pushed_at=datetime(2026, 3, 2, tzinfo=UTC),
    commit="c" * 40,
    files=("a/b", "c"),
)


def places(value, path=()):
    """Yield the path of each value in a JSON document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def event_of(kind):
    """Return the header that a real request has: its name and its value."""
    sent = KINDS[kind].compose_headers(PUSH, b"", b"")
    name = EVENTS[kind][0] if kind in EVENTS else ""
    return name, sent.get(name, "")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(data=st.data(), wrong=VALUES)
def test_a_wrong_value_anywhere_in_a_real_body_is_read_or_refused(kind, data, wrong):
    document = {"": json.loads(KINDS[kind].compose(PUSH))}
    *path, last = data.draw(st.sampled_from([path for path in places(document) if path]))
    parent = document
    for key in path:
        parent = parent[key]
    parent[last] = wrong
    header, value = event_of(kind)
    read(kind, header, value, json.dumps(document[""]).encode())


@pytest.mark.parametrize(
    ("kind", "header", "value"), [event for event in EVERY_EVENT if KINDS[event[0]].signs]
)
@settings(max_examples=40)
@given(value_of_header=st.text(st.characters(max_codepoint=255), max_size=80))
def test_signatures_of_any_form_are_refused(kind, header, value, value_of_header):
    assume(value_of_header != "secret")
    names = [
        "X-Hub-Signature-256",
        "X-Hub-Signature",
        "X-Gitlab-Token",
        "Authorization",
        "X-JFrog-Event-Auth",
    ]
    request = WebhookRequest(b"{}", Headers([(header, value), *((name, value_of_header) for name in names)]))
    with pytest.raises(Refused):
        KINDS[kind].authenticate(request, b"secret")


# A quarter of what is accepted, which takes seconds: a cost that grows faster than the length shows at this one, too.
LENGTH = MAX_BODY // 4


def filled(start, piece, end):
    """Return a body of at most `LENGTH` bytes."""
    return start + piece * ((LENGTH - len(start) - len(end)) // len(piece)) + end


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
    "gitea commits": (
        "gitea",
        filled(
            b'{"ref":"refs/heads/main","repository":{"clone_url":"https://git.example.com/acme/app"},"commits":[{}',
            b',{"added":["a/b"]}',
            b"]}",
        ),
    ),
    "gitlab commits": (
        "gitlab",
        filled(
            b'{"ref":"refs/heads/main","repository":{"git_http_url":"https://git.example.com/acme/app"},"commits":[{}',
            b',{"added":["a/b"]}',
            b"]}",
        ),
    ),
    "dockerhub images": ("dockerhub", filled(b'{"push_data":{"images":["a"', b',"b"', b"]}}")),
    "generic commits": ("generic", filled(b'{"commits":[{"modified":["b"]}', b',{"modified":["c"]}', b"]}")),
    "generic text": ("generic", filled(b'{"name":"', rb"\u00e9", b'"}')),
    "generic members": ("generic", filled(b"{", b'"a":{},', b'"name":[]}')),
    "artifactory path": (
        "artifactory",
        filled(
            b'{"domain":"docker","event_type":"pushed","jpd_origin":"https://a.b","data":{"image_type":"oci","path":"',
            b"a/",
            b'b"}}',
        ),
    ),
}


DEEP = [b"[", b'{"a":', b'{"repository":', b'[{"commits":']


@pytest.mark.parametrize("opening", DEEP, ids=bytes.decode)
@pytest.mark.parametrize("kind", KINDS)
def test_large_bodies_that_nest_deeply_are_read_or_refused(kind, opening):
    # Once per kind: the events of a kind differ in what they read from a valid body, and these are none.
    header, value = event_of(kind)
    read(kind, header, value, filled(b"", opening, b""))


@pytest.mark.parametrize("opening", DEEP, ids=bytes.decode)
@pytest.mark.parametrize(("kind", "header", "value"), EVERY_EVENT)
def test_bodies_that_nest_deeply_are_read_or_refused(kind, header, value, opening):
    closing = bytes({ord("["): ord("]"), ord("{"): ord("}")}[each] for each in opening[::-1] if each in b"[{")
    for levels in (900, 9_000, 20_000):
        read(kind, header, value, opening * levels + b"1" + closing * levels)


def composed_with(kind, size):
    """Return a real body of a kind of about `size` bytes: every list in it is long."""

    def grown(value):
        if isinstance(value, dict):
            return {key: grown(item) for key, item in value.items()}
        if isinstance(value, list) and value:
            return value * (size // len(json.dumps(value)) + 1)
        return value

    document = grown(json.loads(KINDS[kind].compose(PUSH)))
    document["commits" if kind == "generic" else "unknown"] = [{"modified": ["b"]}] * (size // 20)
    return json.dumps(document).encode()


def calls_in(function):
    """Return how many functions a call calls, those of C included: a measure of its cost that is always the same."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_of_twice_the_length_costs_at_most_twice_as_much(kind):
    bodies = [composed_with(kind, size) for size in (20_000, 40_000)]
    header, value = event_of(kind)
    first, second = (calls_in(lambda body=body: read(kind, header, value, body)) for body in bodies)
    assert second <= 2.2 * first + 1_000


@pytest.mark.parametrize(("kind", "body"), LARGE.values(), ids=LARGE)
def test_large_bodies_are_read_or_refused(kind, body):
    header, values = EVENTS.get(kind, ("", [""]))
    read(kind, header, values[-1] if kind == "azure" else values[0], body)


def test_many_distinct_tags_are_all_compared():
    tags = [f"v{number}" for number in range(100_000)]
    body = json.dumps(
        {"docker_url": "registry.example.com/acme/app", "updated_tags": [*tags, "1.2.3"]}
    ).encode()
    push = read("quay", "", "", body)
    assert [verdict.result.value for verdict in verdicts(push, [WAREHOUSE])] == ["match"]
