"""No log line, page, response or stored row contains a digest, a Secret value or a token.

`Product.stop` also searches the log of every process that a test has started.
"""

from __future__ import annotations

import logging

import pytest
from django.apps import apps

from receivers.deliveries.redaction import RedactCredentials, redact, redact_body, redact_headers
from receivers.models import UnknownCall
from tests.clusters import until
from tests.delivery_rows import routed_project, wait_for_result
from tests.worlds import image, push_body

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"POST /dockerhub/{DIGEST} HTTP/1.1", "POST /dockerhub/[redacted]abcdef HTTP/1.1"),
        (DIGEST, "[redacted]abcdef"),
        (f"/a/{DIGEST}/?x={DIGEST}", "/a/[redacted]abcdef/?x=[redacted]abcdef"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer [redacted]"),
        ("Basic dXNlcjpwYXNz", "Basic [redacted]"),
        ("nothing to hide", "nothing to hide"),
        (DIGEST.upper(), "[redacted]ABCDEF"),
        (f"/x?next=%2fdockerhub%2f{DIGEST}", "/x?next=%2fdockerhub%[redacted]abcdef"),
        (DIGEST + "0", "[redacted]bcdef0"),
        (DIGEST[:-1], "[redacted]9abcde"),
        (DIGEST[1:] + "/", "[redacted]abcdef/"),
        ("a" * 40, "a" * 40),  # a Git commit
    ],
)
def test_digests_and_tokens_in_text_are_redacted(text, redacted):
    assert redact(text) == redacted


@pytest.mark.parametrize(
    ("body", "redacted"),
    [
        (b"", b""),
        (b'{"a":"' + DIGEST.encode() + b'"}', b'{"a":"[redacted]abcdef"}'),
        (b"\xff" + DIGEST.upper().encode() + b"f\xfe", b"\xff[redacted]ABCDEFf\xfe"),
        (b"sha256:" + b"0a" * 32, b"sha256:" + b"0a" * 32),  # the digest of an image
    ],
)
def test_only_the_own_digest_is_redacted_in_a_body(body, redacted):
    assert redact_body(body, DIGEST) == redacted


def test_values_of_headers_with_credentials_are_redacted():
    headers = [
        ("Authorization", "x"),
        ("Cookie", "a=b"),
        ("X-Gitlab-Token", "x"),
        ("X-Hub-Signature-256", "sha256=x"),
        ("X-Original-Uri", f"/dockerhub/{DIGEST}"),
        ("Accept", "*/*"),
    ]
    assert redact_headers(headers) == [
        ("Authorization", "[redacted]"),
        ("Cookie", "[redacted]"),
        ("X-Gitlab-Token", "[redacted]"),
        ("X-Hub-Signature-256", "[redacted]"),
        ("X-Original-Uri", "/dockerhub/[redacted]abcdef"),
        ("Accept", "*/*"),
    ]


def test_log_records_are_redacted_including_arguments_and_tracebacks(caplog):
    formatter = logging.Formatter("%(message)s")
    try:
        raise ValueError(DIGEST)
    except ValueError as error:
        record = logging.LogRecord(
            "x", 40, "x", 1, "at %s", (DIGEST,), (type(error), error, error.__traceback__)
        )
    RedactCredentials().filter(record)
    assert DIGEST not in formatter.format(record)
    assert "ValueError: [redacted]abcdef" in formatter.format(record)


def test_log_records_cannot_control_a_terminal():
    record = logging.LogRecord("x", 40, "x", 1, "at %s", ("a\x1b[2Jb\nc\u202e",), None)
    RedactCredentials().filter(record)
    assert record.getMessage() == "at a\\x1b[2Jb\\nc\\u202e"


def stored_values() -> str:
    """Return all values in all tables of the product as text."""
    parts: list[str] = []
    for model in apps.get_app_config("receivers").get_models():
        for row in model._default_manager.all().values_list():
            parts.extend(
                bytes(value).hex() if isinstance(value, memoryview | bytes) else str(value) for value in row
            )
    return "\n".join(parts)


def test_no_response_and_no_row_contains_a_digest_or_a_secret_value(product, world):
    project = routed_project(product, world, image("example/app"))
    digest = project.path().rpartition("/")[2]
    headers = {
        "Authorization": "Bearer very-secret-token",
        "Cookie": "sessionid=very-secret-token",
        "X-Forwarded-Uri": project.path(),
        "Referer": f"https://hooks.example.com{project.path()}",
        "X-Original-Uri": f"/a?next=%2fdockerhub%2f{digest.upper()}",
        "User-Agent": f"curl {digest}f",
        f"X-{digest}": "x",
    }
    repeated = push_body("example/app", digest, pusher=digest.upper(), callback_url=project.path())
    responses = [
        product.post(project.path(), push_body("example/app"), headers=headers),
        product.post(f"/prefix{project.path()}/?again={digest}", b"garbage", headers=headers),
        product.post(project.path(), repeated, headers=headers),
        product.post("/dockerhub/" + "0" * 64, repeated, headers=headers),
        product.post(project.path() + "x", b"garbage", headers=headers),
        product.post(project.path(), b"", headers=headers, method="GET"),
        product.get("/sign-in"),
        product.get("/no/such/page/" + digest + "x"),
        product.get("/readyz"),
    ]
    for response in responses:
        assert digest not in response.data.decode()
        assert digest not in str(response.headers)
    for response in responses[:3]:
        delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
        assert delivery.path.count("[redacted]") == len(delivery.path.split(digest[-6:])) - 1 > 0
    until("the unknown URL is counted", UnknownCall.objects.filter(url_suffix="000000").exists)
    stored = stored_values().lower()
    for secret in (digest, "very-secret-token", "s3cret"):
        assert secret not in stored
        assert secret.encode().hex() not in stored
