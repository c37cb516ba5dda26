"""Sends test pushes: what the provider would send, to the published receiver URL or straight to intake.

They are signed with today's Secret. The URL is always that of a receiver, never user input: otherwise users could make
kargoweb call arbitrary servers. Who may write a status can choose the host, but neither the path nor an address in
`forbidden_addresses`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from django.utils import timezone

from kargoweb import VERSION
from receivers.cluster.cache import ClusterCache
from receivers.cluster.secret_cache import SecretCache, SecretNotRead
from receivers.kargo.kinds import KINDS, InvalidBody, Refused, WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.resources import PublishedUrl, Receiver
from receivers.models import Delivery, new_id
from receivers.testfire import probe
from receivers.testfire.probe import ProbeError, ProbeResponse, ProbeStep, StepTime, TooManyProbes
from receivers.testfire.responder import describe_other_responder
from receivers.webhook.incoming import IncomingRequest
from receivers.webhook.intake import Intake
from receivers.webhook.signed_test_tokens import TestToken, issue

HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": f"kargoweb/{VERSION} (test)",
    "Connection": "close",
}
_OTHER_DATABASE: Final = (
    "A kargoweb with the same secret key but another database responded: the test isn't in this delivery log."
)
_NOT_A_RECEIVER_URL: Final = (
    "No test push was sent, because the published URL is not an HTTP URL with the path of this receiver."
)


class TargetNotTestable(ValueError):
    """The receiver can't receive test pushes; the text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class TestTarget:
    """A receiver that can receive test pushes. `project` is empty for a cluster receiver.

    `published` contains a credential. `spec` is the receiver's entry in the configuration.
    """

    project: str
    receiver: str
    kind: str
    published: PublishedUrl
    spec: Receiver


@dataclass(frozen=True, slots=True)
class TestRequest:
    """The push to send, the user who sends it and their address. A dry run evaluates the push only.

    The tag is a full reference, and `files` are the changed ones, if commits are pushed.
    """

    repository: str
    tag: str
    media_type: str
    user: str
    address: str = ""
    dry_run: bool = False
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TestResult:
    """The result of a test push. `delivery` is its id in the log if `recorded`; `problem` says what went wrong.

    `times` has the steps that were tried on the network, and `failed_step` the one that failed.
    """

    delivery: UUID
    recorded: bool
    problem: str
    times: tuple[StepTime, ...] = ()
    failed_step: ProbeStep | None = None


def find_target(cache: ClusterCache, project: str, receiver: str) -> TestTarget:
    """Return a receiver. Raises `LookupError` if it doesn't exist, and `TargetNotTestable`."""
    config = cache.config(project)
    spec = next((each for each in config.receivers if each.name == receiver), None) if config else None
    if config is None or spec is None:
        raise LookupError(receiver)
    if spec.kind not in KINDS:
        raise TargetNotTestable(f"kargoweb does not support {spec.kind} receivers.")
    published = next((url for url in config.published if url.name == receiver), None)
    if published is None or not published.digest:
        raise TargetNotTestable("Kargo has not published a URL for this receiver yet.")
    return TestTarget(project, receiver, spec.kind, published, spec)


def test_push(request: TestRequest) -> Push:
    """Return the push that a test sends; its commit is a random one."""
    return Push(
        request.repository,
        request.tag,
        request.media_type,
        request.user,
        timezone.now(),
        files=request.files,
        commit=f"{new_id().hex}{'0' * 8}",
    )


def as_received(kind: str, request: TestRequest) -> Push | None:
    """Return the push as a receiver of a kind reads it; None if it reads none."""
    push = test_push(request)
    try:
        event = KINDS[kind].read(KINDS[kind].composed(push, b""))
    except (InvalidBody, Refused):
        return None
    return event if isinstance(event, Push) else None


def send_test(
    target: TestTarget, request: TestRequest, secrets: SecretCache, intake: Intake | None = None
) -> TestResult:
    """Send a test push through the receiver URL, or straight to `intake`; return its result within seconds."""
    token = TestToken(new_id(), target.project, target.receiver, request.user, request.dry_run)
    kind = KINDS[target.kind]
    try:
        secret = secrets.read(target.project, target.spec) if kind.signs else b""
    except SecretNotRead as error:
        problem = f"No test push was sent, because it can't be signed: {error}."
        return TestResult(token.delivery, recorded=False, problem=problem)
    composed = kind.composed(test_push(request), secret)
    if not intake and not _is_receiver_url(target):
        return TestResult(token.delivery, recorded=False, problem=_NOT_A_RECEIVER_URL)
    times: tuple[StepTime, ...] = ()
    failed_step: ProbeStep | None = None
    try:
        if intake:
            response = _send_to_intake(target, composed, token, intake, request.address)
        else:
            headers = _headers(composed) | {"X-Kargoweb-Test": issue(token, composed.body)}
            response = probe.post(target.published.url, composed.body, headers)
        problem, times = _responder_problem(response, token), response.times
    except ProbeError as error:
        problem, times, failed_step = _probe_problem(target, error), error.times, error.step
    except TooManyProbes:
        problem = "Other test pushes are in progress. Try again in a few seconds."
    recorded = Delivery.objects.filter(pk=token.delivery).exists()
    problem = problem or ("" if recorded else _OTHER_DATABASE)
    if problem and times and failed_step is None:
        failed_step = ProbeStep.HTTP  # a response, but not the right one
    return TestResult(token.delivery, recorded, problem, times, failed_step)


def _headers(composed: WebhookRequest) -> dict[str, str]:
    """Return the headers of a request: those of the kind in place of ours."""
    return HEADERS | {name.title(): value for name, value in composed.headers.items()}


def _send_to_intake(
    target: TestTarget, composed: WebhookRequest, token: TestToken, intake: Intake, address: str
) -> ProbeResponse:
    """Pass the test to intake like the webhook endpoint does."""
    headers, body = _headers(composed), composed.body
    reply = intake.take(
        IncomingRequest(
            kind=target.kind,
            digest=target.published.digest,
            path=target.published.path,
            headers=[*headers.items()],
            client_address=address,
            user_agent=headers["User-Agent"],
            read_body=lambda: body,
            test_token=issue(token, body),
        )
    )
    return ProbeResponse(reply.answer.status, reply.answer.body.decode(), str(reply.delivery or ""))


def _probe_problem(target: TestTarget, error: ProbeError) -> str:
    """Return the step that failed, and why, as a sentence."""
    host = urlsplit(target.published.url).hostname
    failures = {
        ProbeStep.DNS: f"{host} doesn't resolve (DNS)",
        ProbeStep.CONNECT: f"Failed to connect to {host}",
        ProbeStep.TLS: f"Failed to establish a trusted connection to {host} (TLS)",
        ProbeStep.HTTP: f"{host} sent no valid response (HTTP)",
    }
    return f"{failures[error.step]}: {error}."


def _is_receiver_url(target: TestTarget) -> bool:
    """Return whether the published URL is an HTTP URL with the path of the receiver, and with nothing behind it."""
    try:
        parts = urlsplit(target.published.url)
        has_host = parts.hostname is not None and parts.port != 0
    except ValueError:  # an invalid port or IPv6 address
        return False
    return (
        parts.scheme in {"http", "https"}
        and has_host
        and "@" not in parts.netloc
        and parts.path.endswith(f"/{target.kind}/{target.published.digest}")
        and not parts.query
        and not parts.fragment
    )


def _responder_problem(response: ProbeResponse, token: TestToken) -> str:
    return describe_other_responder(
        response.status,
        response.body,
        delivery=response.delivery,
        expected=str(token.delivery),
        server=response.server,
        location=response.location,
    )
