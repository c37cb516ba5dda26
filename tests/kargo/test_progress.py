"""The state of a refresh, derived from the observed objects."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receivers.kargo.artifacts import Artifact, DiscoveryResult, Freight, decode_discovered
from receivers.kargo.freight_outcome import final_state
from receivers.kargo.progress import assess, is_handled, is_newly_discovered
from receivers.kargo.progress_states import (
    AttributedPush,
    Ended,
    Lookup,
    LookupNeeded,
    Observation,
    RefreshPhase,
    RefreshRequest,
    RetryNeeded,
    Waiting,
)
from receivers.kargo.push import Push
from receivers.kargo.refresh_outcomes import RefreshOutcome, RetryCause
from receivers.kargo.resources import Warehouse, decode_warehouse

REQUESTED_AT = datetime(2026, 5, 5, 12, 0, 10, 500_000, tzinfo=UTC)
TOKEN = "2026-05-05T12:00:10.500000Z"
EARLIER, SAME, LATER = "2026-05-05T12:00:05Z", "2026-05-05T12:00:10Z", "2026-05-05T12:00:12Z"
CREATED, EXISTS = "FreightCreated=True/NewFreight", "FreightCreated=False/AlreadyExists"
DIGEST = "sha256:" + "1" * 64
PUSHED_AT = REQUESTED_AT - timedelta(seconds=3)
PUSH = Push("example/repo", "1.2.3", pushed_at=PUSHED_AT)


def conditions(*texts: str) -> list[dict[str, str]]:
    """Parse conditions such as `Ready=False/DiscoveryFailure: message`."""
    parsed = []
    for text in texts:
        head, _, message = text.partition(": ")
        type_, _, rest = head.partition("=")
        status, _, reason = rest.partition("/")
        parsed.append({"type": type_, "status": status, "reason": reason, "message": message})
    return parsed


def warehouse(
    *condition_texts: str,
    handled: str = TOKEN,
    discovered: str = LATER,
    tags: tuple[str, ...] = (),
    last_freight: str = "",
    **spec: Any,
) -> tuple[Warehouse, Any]:
    """Return a Warehouse that subscribes to example/repo, and its discovery results."""
    image = {"repoURL": "docker.io/example/repo", "strictSemvers": True, "discoveryLimit": 3} | spec.pop(
        "image", {}
    )
    references = [{"tag": tag, "digest": DIGEST if tag == PUSH.tag else "sha256:other"} for tag in tags]
    raw = {
        "metadata": {
            "name": "main",
            "namespace": "shop",
            "uid": "1",
            "resourceVersion": "7",
            "generation": 1,
        },
        "spec": {"subscriptions": [{"image": image}], **spec},
        "status": {
            "lastHandledRefresh": handled,
            "lastFreightID": last_freight,
            "discoveredArtifacts": {
                "discoveredAt": discovered,
                "images": [{"repoURL": "docker.io/example/repo", "references": references}],
            },
            "conditions": conditions(*condition_texts),
        },
    }
    return decode_warehouse(raw), decode_discovered(raw)


def request(**changes: Any) -> RefreshRequest:
    return replace(
        RefreshRequest(push=PUSH, received_at=REQUESTED_AT, token=TOKEN, discovered_before=EARLIER), **changes
    )


def freight(
    name: str = "f1", tag: str = "1.2.3", digest: str = DIGEST, created_at: datetime | None = REQUESTED_AT
) -> Freight:
    return Freight(
        "shop", name, f"alias-{name}", "main", created_at, (Artifact("image", "example/repo", tag, digest),)
    )


OLD = freight("old", created_at=REQUESTED_AT - timedelta(days=1))


@pytest.mark.parametrize(
    ("last", "handled"),
    [
        ("", False),
        (TOKEN, True),
        ("2026-05-05T12:00:10.500001Z", True),
        ("2026-05-05T12:00:10Z", False),
        ("2026-05-05T14:00:11+02:00", True),
        ("not a time", False),
    ],
)
def test_a_token_is_handled_if_it_or_a_later_token_was_handled(last: str, handled: bool) -> None:
    assert is_handled(TOKEN, warehouse(handled=last)[0]) is handled


@pytest.mark.parametrize(
    ("discovered", "before", "rediscovered", "fresh"),
    [
        ("", "", None, False),
        (EARLIER, EARLIER, None, False),
        (LATER, EARLIER, None, True),
        (SAME, EARLIER, None, True),
        (SAME, SAME, None, None),
        (EARLIER, EARLIER, False, False),
        (SAME, SAME, False, None),
        (EARLIER, SAME, True, True),  # Kargo's clock is slow, but the change itself was observed
    ],
)
def test_a_discovery_counts_if_it_is_newer_than_the_request(
    discovered: str, before: str, rediscovered: bool | None, fresh: bool | None
) -> None:
    refresh_request = request(discovered_before=before, rediscovered=rediscovered)
    assert is_newly_discovered(refresh_request, warehouse(discovered=discovered)[0]) is fresh


def test_a_refresh_waits_for_the_controller_of_the_shard_until_it_is_handled() -> None:
    state = assess(request(), Observation(warehouse(handled="", shard="eu")[0])).state
    assert isinstance(state, Waiting)
    assert state.phase is RefreshPhase.HANDLING
    assert '"eu"' in state.reason


def test_a_running_discovery_is_a_separate_phase() -> None:
    discovering, _ = warehouse("Reconciling=True/ScheduledDiscovery", handled="")
    state = assess(request(), Observation(discovering)).state
    assert isinstance(state, Waiting)
    assert state.phase is RefreshPhase.DISCOVERY


RATE_LIMIT = 'failed "docker.io/example/repo": TOOMANYREQUESTS: You have reached your pull rate limit'


@pytest.mark.parametrize(
    ("condition_texts", "failure", "cause", "words"),
    [
        ((), "", RetryCause.DISCOVERY_FAILED, "recorded no reason"),
        (("Healthy=False/DiscoveryFailed: git 401",), "", RetryCause.DISCOVERY_FAILED, "git 401"),
        ((), "git 401", RetryCause.DISCOVERY_FAILED, "git 401"),
        (
            (f"Healthy=False/DiscoveryFailed: {RATE_LIMIT}",),
            "",
            RetryCause.RATE_LIMITED,
            '"docker.io/example/repo"',
        ),
        (
            (),
            "GET https://x: unexpected status code 429 Too Many Requests",
            RetryCause.RATE_LIMITED,
            "rate limit",
        ),
    ],
)
def test_a_refresh_handled_without_discovery_needs_a_retry(
    condition_texts: tuple[str, ...], failure: str, cause: RetryCause, words: str
) -> None:
    retry = assess(
        request(failure=failure), Observation(warehouse(*condition_texts, discovered=EARLIER)[0])
    ).state
    assert isinstance(retry, RetryNeeded)
    assert (retry.cause, retry.outcome) == (cause, RefreshOutcome.DISCOVERY_FAILED)
    assert words in retry.reason


def test_freight_that_contains_the_push_ends_the_refresh_without_a_lookup() -> None:
    before = freight("before", digest="sha256:before", created_at=OLD.created_at)
    progress = assess(request(), Observation(warehouse(CREATED, last_freight="f1")[0], (before, freight())))
    assert progress.state == Ended(
        RefreshOutcome.FREIGHT_CREATED, "Freight alias-f1 contains example/repo:1.2.3", freight()
    )
    assert (progress.handled, progress.discovered, progress.digest) == (True, True, DIGEST)


@pytest.mark.parametrize(
    ("condition_texts", "freight_known"),
    [
        (CREATED, ()),
        (CREATED, (OLD,)),
        (CREATED, (freight(tag="1.2.4"),)),
        (EXISTS, (freight(),)),
    ],
    ids=["no Freight", "other Freight", "another tag", "condition without new Freight"],
)
def test_without_such_freight_the_artifacts_are_looked_up(
    condition_texts: str, freight_known: tuple[Freight, ...]
) -> None:
    main, _ = warehouse(condition_texts, last_freight="f1")
    assert assess(request(), Observation(main, freight_known)).state == LookupNeeded(Lookup.ARTIFACTS)


def attributed(
    pushed_at: datetime | None = PUSHED_AT, received_at: datetime = REQUESTED_AT, tag: str = PUSH.tag
) -> AttributedPush:
    return AttributedPush(PUSH.repository, tag, pushed_at, received_at)


A_SECOND = timedelta(seconds=1)
JUST_BEFORE = freight(created_at=PUSHED_AT - 2 * A_SECOND)
SINCE = freight(created_at=PUSHED_AT + A_SECOND)
EARLIER_PUSH = attributed(PUSHED_AT - 5 * A_SECOND, REQUESTED_AT - 5 * A_SECOND)


@pytest.mark.parametrize(
    ("existing", "pushes", "counts"),
    [
        (JUST_BEFORE, (), False),
        (JUST_BEFORE, (attributed(),), True),
        (JUST_BEFORE, (attributed(tag="other"),), False),
        (SINCE, (), True),
        (SINCE, (EARLIER_PUSH,), False),
        (SINCE, (EARLIER_PUSH, attributed()), True),
        (SINCE, (replace(EARLIER_PUSH, tag="other"),), True),
        (SINCE, (attributed(PUSHED_AT + A_SECOND, REQUESTED_AT + A_SECOND),), True),
    ],
    ids=[
        "older than the push",
        "older by another clock, and of another delivery of the push",
        "older, and of another tag's push",
        "since the push",
        "since the push, and of an earlier push of the tag",
        "of both",
        "since the push, and of another tag's push",
        "since the push, and of a later push",
    ],
)
def test_existing_freight_is_that_of_the_push_by_its_content_and_not_by_the_clock(
    existing: Freight, pushes: tuple[AttributedPush, ...], counts: bool
) -> None:
    state = state_after((EXISTS,), ("1.2.3",), (existing,), attributions={existing.name: pushes})
    if counts:
        assert (state.outcome, state.freight) == (RefreshOutcome.FREIGHT_CREATED, existing)
    else:
        assert (state.cause, state.freight) == (RetryCause.SAME_CONTENT, existing)


def test_new_freight_with_content_from_before_the_push_is_retried() -> None:
    """Another artifact is new. What was pushed may not be visible yet."""
    state = state_after((CREATED,), ("1.2.3",), (OLD, freight()), last_freight="f1", attributions={})
    assert (state.cause, state.freight) == (RetryCause.SAME_CONTENT, OLD)
    assert final_state(request(), state, (OLD, freight())).freight == freight()


def test_freight_does_not_count_before_the_refresh_is_handled() -> None:
    main, _ = warehouse(CREATED, handled="", last_freight="f1")
    assert isinstance(assess(request(), Observation(main, (freight(),))).state, Waiting)


OBSERVED = ("listed", "last_freight_gone", "attributions")


def state_after(
    condition_texts: tuple[str, ...],
    tags: tuple[str, ...],
    freight_known: tuple[Freight, ...] = (),
    **fields: Any,
) -> Any:
    """Return the state after the artifacts were looked up.

    `fields` belong to the Warehouse, the observation or the request.
    """
    observed = {name: fields.pop(name) for name in OBSERVED if name in fields}
    refresh_request = request(**fields.pop("request", {}))
    main, results = warehouse(*condition_texts, tags=tags, **fields)
    return assess(refresh_request, Observation(main, freight_known, results, **observed)).state


@pytest.mark.parametrize(
    ("condition_texts", "tags", "fields", "outcome", "words"),
    [
        (
            (),
            ("1.2.3",),
            {"freightCreationPolicy": "Manual", "listed": True},
            RefreshOutcome.MANUAL_CREATION_POLICY,
            "Manual",
        ),
        (
            ("FreightCreationCriteriaSatisfied=False/CriteriaNotSatisfied",),
            ("1.2.3",),
            {"freightCreationCriteria": {"expression": "a == b"}},
            RefreshOutcome.CRITERIA_NOT_MET,
            "a == b",
        ),
        (
            ("Ready=False/CriteriaEvaluationFailed: cannot compile",),
            ("1.2.3",),
            {},
            RefreshOutcome.CRITERIA_NOT_MET,
            "cannot compile",
        ),
        (
            ('Ready=False/MissingCommits: No commits for "git"',),
            ("1.2.3",),
            {},
            RefreshOutcome.ARTIFACTS_MISSING,
            "No commits",
        ),
        ((EXISTS,), ("1.2.4", "1.2.3"), {"listed": True}, RefreshOutcome.NOT_NEWEST, '"1.2.4"'),
        ((), ("1.5.0", "1.4.0", "1.3.0"), {}, RefreshOutcome.BEYOND_DISCOVERY_LIMIT, '"1.3.0"'),
        (
            (),
            ("b", "a", "Z"),
            {"image": {"imageSelectionStrategy": "Lexical"}},
            RefreshOutcome.BEYOND_DISCOVERY_LIMIT,
            '"Z"',
        ),
        ((), (), {"image": {"constraint": "^2.0.0"}}, RefreshOutcome.NO_LONGER_SELECTED, "changed"),
        (
            (CREATED,),
            ("1.2.3",),
            {"last_freight": "f9", "last_freight_gone": True},
            RefreshOutcome.FREIGHT_CREATED,
            "f9",
        ),
    ],
)
def test_a_discovered_push_without_freight_ends_with_the_reason_of_the_warehouse(
    condition_texts: tuple[str, ...],
    tags: tuple[str, ...],
    fields: dict[str, Any],
    outcome: RefreshOutcome,
    words: str,
) -> None:
    state = state_after(condition_texts, tags, **fields)
    assert isinstance(state, Ended)
    assert state.outcome == outcome
    assert words in state.reason


@pytest.mark.parametrize(
    ("tags", "image", "words"),
    [
        ((), {}, "does not list it yet"),
        (("1.1.0",), {}, "does not list it yet"),
        ((), {"platform": "linux/arm64"}, "linux/arm64"),
        (("c", "b", "a"), {"imageSelectionStrategy": "NewestBuild"}, "newest builds"),
    ],
)
def test_a_missing_tag_needs_a_retry_and_names_the_likely_cause(
    tags: tuple[str, ...], image: dict[str, Any], words: str
) -> None:
    state = state_after((), tags, image=image)
    assert isinstance(state, RetryNeeded)
    assert state.cause is RetryCause.NOT_VISIBLE
    assert words in state.reason


@pytest.mark.parametrize(
    ("condition_texts", "freight_known", "fields", "lookup"),
    [
        ((EXISTS,), (), {}, Lookup.ALL_FREIGHT),
        ((CREATED,), (OLD,), {"last_freight": "f1"}, Lookup.LAST_FREIGHT),
        ((EXISTS,), (SINCE,), {}, Lookup.ATTRIBUTIONS),
    ],
)
def test_unknown_freight_is_looked_up(
    condition_texts: tuple[str, ...],
    freight_known: tuple[Freight, ...],
    fields: dict[str, Any],
    lookup: Lookup,
) -> None:
    assert state_after(condition_texts, ("1.2.3",), freight_known, **fields) == LookupNeeded(lookup)


def test_conditions_do_not_count_during_the_next_discovery() -> None:
    state = state_after(("Ready=False/DiscoveryInProgress",), ("1.2.4", "1.2.3"), listed=True)
    assert isinstance(state, Waiting)
    assert isinstance(state.on_timeout, Ended)
    assert state.on_timeout.outcome == RefreshOutcome.NOT_NEWEST


def test_new_freight_counts_despite_any_clock_skew() -> None:
    state = state_after((CREATED,), ("1.2.3",), (OLD,), last_freight="old")
    assert (state.outcome, state.freight) == (RefreshOutcome.FREIGHT_CREATED, OLD)


def test_freight_with_the_same_content_is_retried_before_it_is_accepted() -> None:
    retry = state_after((EXISTS,), ("1.2.3",), (OLD,))
    assert (retry.cause, retry.outcome, retry.freight) == (
        RetryCause.SAME_CONTENT,
        RefreshOutcome.ALREADY_CURRENT,
        OLD,
    )
    assert final_state(request(), retry, (OLD,)) == Ended(RefreshOutcome.ALREADY_CURRENT, retry.reason, OLD)


@pytest.mark.parametrize(
    ("tags", "spec"),
    [(("1.2.4", "1.2.3"), {}), (("1.2.3",), {"freightCreationPolicy": "Manual"})],
    ids=["not the newest", "manual creation policy"],
)
def test_existing_freight_comes_before_why_there_is_no_new_freight(
    tags: tuple[str, ...], spec: dict[str, Any]
) -> None:
    assert state_after((EXISTS,), tags, **spec) == LookupNeeded(Lookup.ALL_FREIGHT)
    state = state_after((EXISTS,), tags, (OLD,), **spec)
    assert (state.cause, state.outcome, state.freight) == (
        RetryCause.SAME_CONTENT,
        RefreshOutcome.ALREADY_CURRENT,
        OLD,
    )


@pytest.mark.parametrize(
    ("strategy", "built_at", "words"),
    [
        ("Lexical", {}, "ranks higher"),
        ("NewestBuild", {"b": LATER, "a": EARLIER}, "built later"),
        ("NewestBuild", {"b": SAME, "a": SAME}, "built at the same time"),
        ("NewestBuild", {}, "built later"),
    ],
)
def test_the_reason_says_what_decided_the_order(strategy: str, built_at: dict[str, str], words: str) -> None:
    main, _ = warehouse(EXISTS, image={"imageSelectionStrategy": strategy})
    artifacts = tuple(
        Artifact("image", "example/repo", tag, f"sha256:{tag}", built_at.get(tag, "")) for tag in ("b", "a")
    )
    results = (DiscoveryResult("image", "example/repo", "", artifacts),)
    state = assess(request(push=replace(PUSH, tag="a")), Observation(main, (), results, listed=True)).state
    assert isinstance(state, Ended)
    assert state.outcome == RefreshOutcome.NOT_NEWEST
    assert words in state.reason


def test_a_push_without_a_tag_accepts_existing_freight() -> None:
    state = state_after((EXISTS,), ("1.2.3",), (OLD,), request={"push": replace(PUSH, tag="")})
    assert (state.outcome, state.freight) == (RefreshOutcome.ALREADY_CURRENT, OLD)


@pytest.mark.parametrize(
    ("condition_texts", "fields", "outcome", "words"),
    [
        ((CREATED,), {"last_freight": "f1"}, RefreshOutcome.FREIGHT_CREATED, "Freight alias-f1"),
        ((CREATED,), {"last_freight": "old"}, RefreshOutcome.ALREADY_CURRENT, "nothing new"),
        (
            (CREATED,),
            {"last_freight": "f9", "last_freight_gone": True},
            RefreshOutcome.FREIGHT_CREATED,
            "Freight f9",
        ),
        ((EXISTS,), {}, RefreshOutcome.ALREADY_CURRENT, "nothing new"),
        ((), {"freightCreationPolicy": "Manual"}, RefreshOutcome.MANUAL_CREATION_POLICY, "Manual"),
        (
            ('Ready=False/MissingCommits: No commits for "git"',),
            {},
            RefreshOutcome.ARTIFACTS_MISSING,
            "No commits",
        ),
    ],
)
def test_a_refresh_without_a_push_ends_with_whatever_kargo_creates(
    condition_texts: tuple[str, ...], fields: dict[str, Any], outcome: RefreshOutcome, words: str
) -> None:
    unnamed = {"push": Push("", "")}
    state = state_after(condition_texts, (), (OLD, freight()), request=unnamed, **fields)
    assert isinstance(state, Ended)
    assert state.outcome == outcome
    assert words in state.reason


def test_a_refresh_without_a_push_waits_for_freight_and_looks_up_what_it_does_not_know() -> None:
    unnamed = {"push": Push("", "")}
    assert isinstance(state_after((), (), request=unnamed), Waiting)
    state = state_after((CREATED,), (), request=unnamed, last_freight="f9")
    assert state == LookupNeeded(Lookup.LAST_FREIGHT)
    assert isinstance(
        state_after((), (), request={**unnamed, "failure": "refused"}, discovered=SAME), Waiting
    )


def test_freight_created_during_the_retries_counts_when_they_end() -> None:
    retry = RetryNeeded(RetryCause.NOT_HANDLED, RefreshOutcome.NOT_HANDLED, "no response")
    assert final_state(request(), retry, (freight(),)).outcome == RefreshOutcome.FREIGHT_CREATED


@pytest.mark.parametrize(
    ("pushed_at", "since"),
    [
        (REQUESTED_AT - timedelta(minutes=5), REQUESTED_AT - timedelta(minutes=5)),
        (REQUESTED_AT - timedelta(days=5), REQUESTED_AT),
        (REQUESTED_AT + timedelta(days=5), REQUESTED_AT),
        (None, REQUESTED_AT),
    ],
    ids=["just before", "days ago", "in the future", "unknown"],
)
def test_freight_counts_from_the_time_of_the_push_if_it_is_plausible(
    pushed_at: datetime | None, since: datetime
) -> None:
    refresh_request = request(push=replace(PUSH, pushed_at=pushed_at))
    assert refresh_request.since == since.replace(microsecond=0)
