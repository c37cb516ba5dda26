"""Checks of one receiver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from receivers.health.checks import Check
from receivers.health.delivery_checks import OldUrlUse, failure_rate, old_url_findings
from receivers.health.finding import Finding, FindingFactory, Subject, condition_message
from receivers.health.provider_pages import PROVIDERS, ProviderPages
from receivers.health.push_frequency import Silence, unusual_silence
from receivers.health.secret_checks import SecretState
from receivers.health.shell_commands import allow_secret, describe_config, edit_config, refresh_config
from receivers.health.url_checks import url_findings
from receivers.kargo.kinds import KINDS
from receivers.kargo.quoting import lower_first, quoted
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.receiver_status import READY, RECONCILING
from receivers.kargo.resources import Condition, Receiver, ReceiverConfig
from receivers.kargo.scopes import scope_name
from receivers.models import Outcome

MIN_WRONG: Final = 3  # requests of the last day
_IF_IT_PERSISTS: Final = (
    "If this lasts longer than five minutes, check that Kargo's management controller is running and that its "
    "external webhooks server is enabled."
)
_STILL_SYNCING: Final = "SyncingWebhooks"  # the reason of `Ready` while Kargo hasn't finished


@dataclass(frozen=True, slots=True)
class ReceiverFacts:
    """The facts about one receiver from the delivery log and the cluster, apart from its configuration.

    `sharers` are the other receivers with the same digest, as `project/receiver`. `last_push` is the time of Docker
    Hub's last request in the delivery log. `pushed_days` says for each of the last days, the current one first,
    whether there was a request. `outcomes` counts recent deliveries by outcome. `old_urls` are the old URLs in use.
    `served_locally`: kargoweb's own base URL is on this machine. `passed_on`: Kargo's own server authenticates and
    processes the requests. `system_namespace` has the Secrets of cluster receivers.
    """

    secret: SecretState = SecretState.UNKNOWN
    sharers: tuple[str, ...] = ()
    last_push: datetime | None = None
    pushed_days: tuple[bool, ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict)
    old_urls: tuple[OldUrlUse, ...] = ()
    served_locally: bool = False
    passed_on: bool = False
    system_namespace: str = "kargo-system-resources"


def receiver_findings(config: ReceiverConfig, receiver: Receiver, facts: ReceiverFacts) -> Iterator[Finding]:
    """Yield the findings about one receiver of a configuration."""
    factory = FindingFactory(Subject.RECEIVER, config.project, receiver.name)
    if receiver.kind not in KINDS:
        yield _unsupported_kind(factory, receiver.kind)
        return
    yield from old_url_findings(factory, facts.old_urls, receiver.kind)
    published = next((url for url in config.published if url.name == receiver.name), None)
    if published is None:
        yield _without_url(factory, config, receiver)
        return
    if facts.sharers:
        yield _shared(factory, facts.sharers)
    if facts.secret is SecretState.DIFFERS:
        yield _secret_changed(factory, digest_suffix(published.digest))
    needs_secret = KINDS[receiver.kind].signs and not facts.passed_on
    if needs_secret and facts.secret in {SecretState.FORBIDDEN, SecretState.MISSING}:
        yield _secret_unreadable(factory, receiver, facts)
    yield from url_findings(factory, published.url, receiver.kind, served_locally=facts.served_locally)
    yield from _push_findings(factory, facts, PROVIDERS[receiver.kind])


def removed_receiver_findings(
    project: str, receiver: str, old_urls: Iterable[OldUrlUse]
) -> Iterator[Finding]:
    """Yield the findings about a receiver that no longer exists but whose URLs are still in use."""
    return old_url_findings(FindingFactory(Subject.RECEIVER, project, receiver), old_urls)


def _unsupported_kind(factory: FindingFactory, kind: str) -> Finding:
    return factory.note(
        Check.UNSUPPORTED_KIND,
        f"The receiver is of kind {quoted(kind)}, which kargoweb does not support.",
        "Route its webhooks to Kargo's external webhooks server. No other action is needed.",
        identity=kind,
    )


def _without_url(factory: FindingFactory, config: ReceiverConfig, receiver: Receiver) -> Finding:
    """Return why a receiver has no URL. Source: Kargo's `pkg/controller/management/projectconfigs`."""
    conditions = {condition.type: condition for condition in config.conditions}
    reconciling = RECONCILING in conditions and conditions[RECONCILING].status == "True"
    ready = conditions.get(READY)
    if ready and ready.status == "False" and ready.reason != _STILL_SYNCING:
        return _sync_failed(factory, ready, receiver, reconciling=reconciling)
    command = describe_config(factory.project)
    if reconciling:
        reason = "The receiver has no URL yet. Kargo is still reconciling it."
        return factory.note(
            Check.RECEIVER_WITHOUT_URL, reason, _IF_IT_PERSISTS, command=command, identity="reconciling"
        )
    reason = "The receiver has no URL, and Kargo reports no reason."
    return factory.warning(
        Check.RECEIVER_WITHOUT_URL, reason, _IF_IT_PERSISTS, command=command, identity="no reason"
    )


def _sync_failed(
    factory: FindingFactory, ready: Condition, receiver: Receiver, *, reconciling: bool
) -> Finding:
    message = condition_message(ready)
    retrying = " Kargo keeps retrying." if reconciling else ""
    key = KINDS[receiver.kind].secret_key
    return factory.urgent(
        Check.RECEIVER_WITHOUT_URL,
        f"The receiver has no URL, so it can't receive pushes. {ready.reason}: {message}.{retrying}",
        f"Fix the error above; usually Secret {quoted(receiver.secret_name)}, which must have the key {quoted(key)}. "
        "Then make Kargo reconcile immediately.",
        command=refresh_config(factory.project),
        identity=f"{ready.reason} {message}",
    )


def _shared(factory: FindingFactory, sharers: Sequence[str]) -> Finding:
    return factory.urgent(
        Check.URL_SHARED,
        f"The receiver shares its URL with {_names(factory.project, sharers)}. Neither Kargo nor kargoweb can tell "
        "which receiver a push is for, so both reject it with 404.",
        "Rename one of the receivers or give it another Secret, then register its new URL at the provider.",
        command=edit_config(factory.project),
        identity=" ".join(sorted([*sharers, f"{scope_name(factory.project)}/{factory.name}"])),
        common_cause=True,
    )


def _names(project: str, sharers: Sequence[str]) -> str:
    """Name the receivers of this project; only count the others, which the reader may not be allowed to see."""
    prefix = f"{scope_name(project)}/"
    own = [sharer for sharer in sharers if sharer.startswith(prefix)]
    count = len(sharers) - len(own)
    others = {0: [], 1: ["a receiver of another project"]}.get(
        count, [f"{count} receivers of other projects"]
    )
    return " and ".join([*own, *others])


def _secret_changed(factory: FindingFactory, suffix: str) -> Finding:
    return factory.warning(
        Check.SECRET_CHANGED,
        f"The Secret changed, but the URL that Kargo publishes (…{suffix}) is still derived from the old one. The URL "
        "stops working when Kargo reconciles next, within five minutes.",
        "Make Kargo reconcile immediately. Then replace the webhook URL at the provider with the current one.",
        command=refresh_config(factory.project),
        identity=suffix,
    )


def _secret_unreadable(factory: FindingFactory, receiver: Receiver, facts: ReceiverFacts) -> Finding:
    namespace, secret = factory.project or facts.system_namespace, receiver.secret_name
    kind = KINDS[receiver.kind]
    if facts.secret is SecretState.FORBIDDEN:
        problem, to_do = "kargoweb may not read it", "Let kargoweb read this Secret."
    else:
        problem = f"it does not exist, or lacks the key {quoted(kind.secret_key)}"
        to_do = f"Create the Secret, with the key {quoted(kind.secret_key)}."
    return factory.urgent(
        Check.SECRET_UNREADABLE,
        f"kargoweb rejects every push with 500, because it needs Secret {quoted(secret)} in namespace "
        f"{quoted(namespace)} to authenticate the requests of {kind.title}, and {problem}.",
        to_do,
        command=allow_secret(namespace, secret) if facts.secret is SecretState.FORBIDDEN else "",
        identity=f"{facts.secret} {secret}",
    )


def _push_findings(
    factory: FindingFactory, facts: ReceiverFacts, provider: ProviderPages
) -> Iterator[Finding]:
    if facts.last_push is None:
        yield _no_push_yet(factory, provider)
    elif silence := unusual_silence(facts.pushed_days):
        yield _no_recent_push(factory, silence, facts.last_push, provider)
    if finding := _wrong_signatures(factory, facts.outcomes, provider):
        yield finding
        return
    if finding := _only_pings(factory, facts.outcomes, provider):
        yield finding
    if finding := failure_rate(factory, facts.outcomes):
        yield finding


def _wrong_signatures(
    factory: FindingFactory, outcomes: Mapping[str, int], provider: ProviderPages
) -> Finding | None:
    """Return a finding if all recent requests, and at least three, had a wrong signature or token."""
    wrong = outcomes.get(Outcome.UNAUTHORIZED, 0)
    if wrong < MIN_WRONG or wrong != sum(outcomes.values()):
        return None
    return factory.urgent(
        Check.WRONG_SIGNATURES,
        f"The last {wrong} requests had a missing or wrong signature or token: the secret at {provider.name} differs "
        "from the receiver's Secret.",
        f"Enter the value of the receiver's Secret at {provider.name}, on {provider.page}, as {provider.credential}.",
    )


def _only_pings(
    factory: FindingFactory, outcomes: Mapping[str, int], provider: ProviderPages
) -> Finding | None:
    """Return a finding if all recent requests, and at least three, were events that refresh nothing."""
    ignored = outcomes.get(Outcome.IGNORED, 0) + outcomes.get(Outcome.UNSUPPORTED_EVENT, 0)
    if ignored < MIN_WRONG or ignored != sum(outcomes.values()):
        return None
    return factory.warning(
        Check.ONLY_PINGS,
        f"The last {ignored} requests were events that refresh nothing, such as pings.",
        f"At {provider.name}: {lower_first(provider.events)}.",
    )


def _no_push_yet(factory: FindingFactory, provider: ProviderPages) -> Finding:
    return factory.note(
        Check.NO_PUSH_YET, "No push has arrived yet.", f"{' '.join(provider.steps)} Then push something."
    )


def _no_recent_push(
    factory: FindingFactory, silence: Silence, last: datetime, provider: ProviderPages
) -> Finding:
    usual = "1 day" if silence.usual == 1 else f"{silence.usual} days"
    return factory.warning(
        Check.NO_RECENT_PUSH,
        f"No push has arrived for {silence.days} days. The last one arrived on {last:%Y-%m-%d %H:%M} UTC; the longest "
        f"gap before that was {usual}.",
        f"If there was a push since, check {provider.page} of the {provider.subject}: is the webhook still there? To "
        f"see what {provider.name} has sent, open {provider.recent}. To check that the URL works, send a test push "
        "from the receiver's page.",
        identity=f"{last:%Y-%m-%d}",
    )
