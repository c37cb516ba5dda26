"""The health of one receiver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from receivers.deliveries.redaction import redact
from receivers.health.delivery_checks import RetiredCalls, error_rate, retired_calls
from receivers.health.finding import About, Finding, Subject
from receivers.health.push_frequency import Silence, unusual_silence
from receivers.health.secret_checks import SecretState
from receivers.health.shell_commands import describe_config, edit_config, refresh_config
from receivers.health.url_checks import url_findings
from receivers.kargo.kinds import KINDS
from receivers.kargo.quoting import listed, quoted
from receivers.kargo.receiver_status import READY, RECONCILING
from receivers.kargo.resources import Condition, Receiver, ReceiverConfig

LONGEST_MESSAGE: Final = 500  # characters of a condition's message; one with many receivers is long
_LASTING: Final = (
    "If this lasts for more than five minutes, see whether Kargo's management controller runs, with its external "
    "webhooks server enabled."
)
_STILL_SYNCING: Final = "SyncingWebhooks"  # the reason of `Ready` while Kargo has not come to an end


@dataclass(frozen=True, slots=True)
class ReceiverFacts:
    """What the log and the cluster say about one receiver, beside its configuration.

    `sharers` are the other receivers with the same digest, as `project/receiver`. `last_push` is when Docker Hub called
    last, as far as the log goes back; `pushed_days` says for each of the last days, the one that ends now first,
    whether it did. `outcomes` counts its recent deliveries by how they ended. `retired` are calls of former URLs.
    `at_home`: kargoweb itself is served on this machine only.
    """

    secret: SecretState = SecretState.NOT_KNOWN
    sharers: tuple[str, ...] = ()
    last_push: datetime | None = None
    pushed_days: tuple[bool, ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict)
    retired: tuple[RetiredCalls, ...] = ()
    at_home: bool = False


def receiver_findings(config: ReceiverConfig, receiver: Receiver, facts: ReceiverFacts) -> Iterator[Finding]:
    """Yield what there is to say about one receiver of a configuration."""
    about = About(Subject.RECEIVER, config.project, receiver.name)
    if receiver.kind not in KINDS:
        yield _unspoken(about, receiver.kind)
        return
    yield from retired_calls(about, facts.retired)
    published = next((url for url in config.published if url.name == receiver.name), None)
    if published is None:
        yield _absent(about, config, receiver)
        return
    if facts.sharers:
        yield _shared(about, facts.sharers)
    if facts.secret is SecretState.DIFFERS:
        yield _rotated(about, published.digest[-6:])
    yield from url_findings(about, published.url, at_home=facts.at_home)
    yield from _of_deliveries(about, facts)


def orphaned_calls(project: str, receiver: str, retired: Iterable[RetiredCalls]) -> Iterator[Finding]:
    """Yield what there is to say about calls of a receiver that is no longer there."""
    return retired_calls(About(Subject.RECEIVER, project, receiver), retired, gone=True)


def _unspoken(about: About, kind: str) -> Finding:
    spoken = listed([spoken.title for spoken in KINDS.values()])
    return about.note(
        "kind not spoken",
        f"It is of kind {quoted(kind)}; kargoweb speaks {spoken}.",
        "Leave its host name with Kargo's external webhooks server; nothing else has to be done.",
        matter=kind,
    )


def _absent(about: About, config: ReceiverConfig, receiver: Receiver) -> Finding:
    """Return why a receiver has no URL. Source: Kargo's `pkg/controller/management/projectconfigs`."""
    conditions = {condition.type: condition for condition in config.conditions}
    trying = RECONCILING in conditions and conditions[RECONCILING].status == "True"
    ready = conditions.get(READY)
    if ready and ready.status == "False" and ready.reason != _STILL_SYNCING:
        return _failed(about, ready, receiver, trying=trying)
    command = describe_config(about.project)
    if trying:
        reason = "It has no URL yet; Kargo is working on it."
        return about.note("absent", reason, _LASTING, command=command, matter="reconciling")
    reason = "It has no URL, and Kargo does not say why."
    return about.warning("absent", reason, _LASTING, command=command, matter="silent")


def _failed(about: About, ready: Condition, receiver: Receiver, *, trying: bool) -> Finding:
    message = redact(ready.message)[:LONGEST_MESSAGE].rstrip(".")
    again = " Kargo keeps trying." if trying else ""
    key = KINDS[receiver.kind].secret_key
    return about.urgent(
        "absent",
        f"It has no URL, so no push can reach it. {ready.reason}: {message}.{again}",
        f"Mend what the message says, most often Secret {quoted(receiver.secret_name)}, which needs the key "
        f"{quoted(key)}. Then let Kargo look again at once.",
        command=refresh_config(about.project),
        matter=f"{ready.reason} {message}",
    )


def _shared(about: About, sharers: Sequence[str]) -> Finding:
    return about.urgent(
        "shared URL",
        f"Its URL is also that of {_named(about.project, sharers)}: nobody can say which is meant, so pushes are "
        "refused.",
        "Rename one of them or give it another Secret, then put its new URL into Docker Hub.",
        command=edit_config(about.project),
        matter=" ".join(sharers),
    )


def _named(project: str, sharers: Sequence[str]) -> str:
    """Name receivers to somebody who may know this project and no other."""
    prefix = f"{project or 'cluster'}/"
    own = [one for one in sharers if one.startswith(prefix)]
    count = len(sharers) - len(own)
    others = {0: [], 1: ["a receiver of another project"]}.get(
        count, [f"{count} receivers of other projects"]
    )
    return ", ".join([*own, *others])


def _rotated(about: About, suffix: str) -> Finding:
    return about.warning(
        "Secret changed",
        f"The Secret was changed; the URL that Kargo publishes (…{suffix}) is still that of the old one. It stops "
        "working when Kargo looks again, within five minutes.",
        "Let Kargo look at once, then replace the URL in Docker Hub by the new one from the receiver's page.",
        command=refresh_config(about.project),
        matter=suffix,
    )


def _of_deliveries(about: About, facts: ReceiverFacts) -> Iterator[Finding]:
    if facts.last_push is None:
        yield _never(about)
    elif silence := unusual_silence(facts.pushed_days):
        yield _silent(about, silence, facts.last_push)
    if finding := error_rate(about, facts.outcomes):
        yield finding


def _never(about: About) -> Finding:
    return about.note(
        "no push yet",
        "No push has arrived so far.",
        "Register its URL in Docker Hub, for each repository: Webhooks tab, any name under Webhook name, the URL under "
        "Webhook URL, +; then push a tag.",
    )


def _silent(about: About, silence: Silence, last: datetime) -> Finding:
    return about.warning(
        "silent",
        f"No push has arrived for {silence.days} days, the last on {last:%Y-%m-%d %H:%M} UTC; until then they never "
        f"stayed away for more than {silence.usual}.",
        "If somebody has pushed since, look at the repository's Webhooks tab in Docker Hub: is the webhook there, and "
        "what does View history say? Fire a test from the receiver's page to see whether its URL works.",
        matter=f"{last:%Y-%m-%d}",
    )
