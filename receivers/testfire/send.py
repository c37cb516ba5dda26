"""Fires tests: what a sender would send, to the receiver URL as it is published, or straight to intake.

The URL is that of a receiver and never one that a person gives: nobody can have us call what he likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.utils import timezone

from kargoweb import VERSION
from receivers.cluster.cache import ClusterCache
from receivers.kargo.kinds import KINDS
from receivers.kargo.push import Push
from receivers.kargo.resources import PublishedUrl
from receivers.models import Delivery, new_id
from receivers.testfire import probe
from receivers.testfire.probe import Heard, NotReached, Step, TooManyCalls
from receivers.testfire.responder import not_ours
from receivers.webhook.intake import Intake
from receivers.webhook.recording import IncomingRequest
from receivers.webhook.test_tokens import TestToken, issue

HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": f"kargoweb/{VERSION} (test)",
    "Connection": "close",
}
STEPS: Final = {
    Step.NAME: "The URL cannot be reached: its host name cannot be resolved",
    Step.CONNECT: "The URL cannot be reached: no connection",
    Step.TLS: "The URL cannot be reached: no trusted connection (TLS)",
    Step.HTTP: "The URL cannot be reached: no answer (HTTP)",
}
ELSEWHERE: Final = (
    "A kargoweb with our secret key answered, and the test is not in our log: it has another database."
)


class NotFireable(ValueError):
    """A receiver that no test can be fired at; the text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A receiver that tests can be fired at. `project` is empty for a cluster receiver; `published` is a credential."""

    project: str
    receiver: str
    kind: str
    published: PublishedUrl


@dataclass(frozen=True, slots=True)
class Shot:
    """One test: which push, fired by whom (a user's name) from which address, and whether it only tries out."""

    repository: str
    tag: str
    media_type: str
    user: str
    address: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of a test. `delivery` is the id it has in our log, if `recorded`; `problem` says what went wrong."""

    delivery: UUID
    recorded: bool
    problem: str


def aim_at(cache: ClusterCache, project: str, receiver: str) -> Aim:
    """Return the receiver. Raises `LookupError` if there is none of that name, `NotFireable`."""
    config = cache.config(project)
    kinds = {one.name: one.kind for one in config.receivers} if config else {}
    if config is None or receiver not in kinds:
        raise LookupError(receiver)
    if kinds[receiver] not in KINDS:
        raise NotFireable(f"kargoweb does not speak {kinds[receiver]}.")
    published = next((url for url in config.published if url.name == receiver), None)
    if published is None or not published.digest:
        raise NotFireable("Kargo has not published a URL for this receiver yet.")
    return Aim(project, receiver, kinds[receiver], published)


def fire(aim: Aim, shot: Shot, inside: Intake | None = None) -> Fired:
    """Fire a test through the receiver URL, or straight to `inside`, and say what became of it within seconds."""
    ticket = TestToken(new_id(), aim.project, aim.receiver, shot.user, shot.dry_run)
    push = Push(shot.repository, shot.tag, shot.media_type, shot.user, timezone.now())
    body = KINDS[aim.kind].compose(push)
    try:
        heard = _take(aim, body, ticket, inside, shot.address) if inside else _call(aim, body, ticket)
        problem = _problem(heard, ticket)
    except NotReached as error:
        problem = f"{STEPS[error.step]}: {error}."
    except TooManyCalls:
        problem = "Other tests are under way. Try again in a few seconds."
    recorded = Delivery.objects.filter(pk=ticket.delivery).exists()
    return Fired(ticket.delivery, recorded, problem or ("" if recorded else ELSEWHERE))


def _call(aim: Aim, body: bytes, ticket: TestToken) -> Heard:
    headers = {**HEADERS, "X-Kargoweb-Test": issue(ticket, body)}
    return probe.post(aim.published.url, body, headers)


def _take(aim: Aim, body: bytes, ticket: TestToken, intake: Intake, address: str) -> Heard:
    """Hand the test to intake as the HTTP edge would."""
    reply = intake.take(
        IncomingRequest(
            kind=aim.kind,
            digest=aim.published.digest,
            path=aim.published.path,
            headers=[*HEADERS.items()],
            client_address=address,
            user_agent=HEADERS["User-Agent"],
            read_body=lambda: body,
            test_token=issue(ticket, body),
        )
    )
    return Heard(reply.answer.status, reply.answer.body.decode(), str(reply.delivery or ""))


def _problem(heard: Heard, ticket: TestToken) -> str:
    return not_ours(
        heard.status,
        heard.body,
        delivery=heard.delivery,
        expected=str(ticket.delivery),
        server=heard.server,
        location=heard.location,
    )
