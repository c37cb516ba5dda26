"""Bodies from the field get Kargo's status, and those of other senders are recognized."""

import json

import pytest

from receivers.kargo.kinds import KINDS, InvalidBody, WebhookRequest
from receivers.kargo.kinds.senders import resembled_sender
from tests.cases import body_of, cases

BODIES = {case["id"]: case for case in cases("bodies")}


@pytest.mark.parametrize("case", BODIES.values(), ids=BODIES)
def test_a_body_is_valid_where_kargo_accepts_it(case):
    try:
        KINDS["dockerhub"].read(WebhookRequest(body_of(case)))
    except InvalidBody:
        assert case["status"] == 400
    else:
        assert case["status"] == 200


@pytest.mark.parametrize(
    ("case", "sender"),
    [
        ("b05-acr", "Azure Container Registry"),
        ("b06-aliyun", "Alibaba Cloud"),
        ("b19-ghcr", "a package event from GitHub"),
        ("b20-github-ping", "a ping from GitHub"),
        ("b22-harbor", "Harbor"),
        ("b24-gitlab-push", "GitLab"),
        ("b30-form", "a form from GitHub or Gitea"),
    ],
)
def test_the_body_of_another_sender_is_recognized(case, sender):
    assert sender in resembled_sender(body_of(BODIES[case]))


@pytest.mark.parametrize(
    ("body", "sender"),
    [
        ({"events": [{"action": "push", "target": {"repository": "app", "tag": "1"}}]}, "Distribution"),
        ({"name": "app", "repository": "x/app", "docker_url": "quay.io/x/app", "homepage": "y"}, "Quay"),
        ({"domain": "docker", "event_type": "pushed", "data": {"repo_key": "x"}}, "Artifactory"),
        ({"ref": "refs/heads/main", "repository": {"full_name": "x/app"}}, "a push event from GitHub"),
        ({"ref": "x", "compare_url": "y", "repository": {"full_name": "x/app"}}, "a push event from Gitea"),
        ({"push": {"changes": []}, "repository": {}}, "Bitbucket"),
        ({"object_kind": "push"}, "GitLab"),
        ({"specversion": "1.0", "type": "harbor.artifact.pushed", "source": "/x"}, "a CloudEvent"),
    ],
)
def test_the_documented_shape_of_another_sender_is_recognized(body, sender):
    assert sender in resembled_sender(json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"x",
        b'{"push_data":{"tag":"1"}}',
        b"[" * 100_000,
        b"\xff",
        b'{"events":[]}',
    ],
)
def test_other_bodies_resemble_no_sender(body):
    assert resembled_sender(body) == ""


def test_docker_hubs_own_bodies_resemble_no_other_sender():
    own = [case for case in BODIES.values() if case["answer"] == '{"msg":"refreshed 1 warehouse(s)"}']
    assert len(own) > 10
    assert {resembled_sender(body_of(case)) for case in own} == {""}
