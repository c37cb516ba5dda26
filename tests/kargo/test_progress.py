"""Where a story stands, from what can be seen: `step` by tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receivers.kargo.artifacts import Artifact, Freight, decode_discovered
from receivers.kargo.freight_outcome import given_up
from receivers.kargo.outcomes import RefreshOutcome
from receivers.kargo.progress import is_fresh, is_handled, step
from receivers.kargo.progress_types import Cause, Ended, Looking, Lost, Need, Patience, Request, Seen, Waiting
from receivers.kargo.push import Push
from receivers.kargo.resources import Warehouse, decode_warehouse

ASKED = datetime(2026, 5, 5, 12, 0, 10, 500_000, tzinfo=UTC)
TOKEN = "2026-05-05T12:00:10.500000Z"
EARLIER, SAME, LATER = "2026-05-05T12:00:05Z", "2026-05-05T12:00:10Z", "2026-05-05T12:00:12Z"
CREATED, EXISTS = "FreightCreated=True/NewFreight", "FreightCreated=False/AlreadyExists"
DIGEST = "sha256:" + "1" * 64
PUSHED_AT = ASKED - timedelta(seconds=3)
PUSH = Push("example/repo", "1.2.3", pushed_at=PUSHED_AT)


def conditions(*given: str) -> list[dict[str, str]]:
    """Return conditions from texts such as `Ready=False/DiscoveryFailure: message`."""
    found = []
    for text in given:
        head, _, message = text.partition(": ")
        type_, _, rest = head.partition("=")
        status, _, reason = rest.partition("/")
        found.append({"type": type_, "status": status, "reason": reason, "message": message})
    return found


def warehouse(
    *given: str,
    handled: str = TOKEN,
    discovered: str = LATER,
    tags: tuple[str, ...] = (),
    last_freight: str = "",
    **spec: Any,
) -> tuple[Warehouse, Any]:
    """Return a Warehouse on example/repo, and what it has discovered."""
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
            "conditions": conditions(*given),
        },
    }
    return decode_warehouse(raw), decode_discovered(raw)


def request(**changes: Any) -> Request:
    return replace(Request(push=PUSH, received_at=ASKED, token=TOKEN, discovered_before=EARLIER), **changes)


def freight(
    name: str = "f1", tag: str = "1.2.3", digest: str = DIGEST, created_at: datetime | None = ASKED
) -> Freight:
    return Freight(
        "shop", name, f"alias-{name}", "main", created_at, (Artifact("image", "example/repo", tag, digest),)
    )


OLD = freight("old", created_at=ASKED - timedelta(days=1))


@pytest.mark.parametrize(
    ("last", "handled"),
    [
        ("", False),
        (TOKEN, True),
        ("2026-05-05T12:00:10.500001Z", True),
        ("2026-05-05T12:00:10Z", False),
        ("2026-05-05T14:00:11+02:00", True),
        ("some other text", False),
    ],
)
def test_a_token_is_handled_with_it_or_with_a_later_one(last: str, handled: bool) -> None:
    assert is_handled(request(), warehouse(handled=last)[0]) is handled


@pytest.mark.parametrize(
    ("discovered", "before", "witnessed", "fresh"),
    [
        ("", "", None, False),
        (EARLIER, EARLIER, None, False),
        (LATER, EARLIER, None, True),
        (SAME, EARLIER, None, True),
        (SAME, SAME, None, None),
        (EARLIER, EARLIER, False, False),
        (SAME, SAME, False, None),
        (EARLIER, SAME, True, True),  # Kargo's clock is slow: who saw it change needs none
    ],
)
def test_a_discovery_counts_if_it_is_newer_than_the_request(
    discovered: str, before: str, witnessed: bool | None, fresh: bool | None
) -> None:
    asked = request(discovered_before=before, witnessed=witnessed)
    assert is_fresh(asked, warehouse(discovered=discovered)[0]) is fresh


def test_before_it_is_handled_the_controller_is_waited_for_by_its_shard() -> None:
    stand = step(request(), Seen(warehouse(handled="", shard="eu")[0])).stand
    assert isinstance(stand, Waiting)
    assert stand.patience is Patience.HANDLING
    assert '"eu"' in stand.reason


def test_a_discovery_under_way_is_waited_for_longer() -> None:
    busy, _ = warehouse("Reconciling=True/ScheduledDiscovery", handled="")
    stand = step(request(), Seen(busy)).stand
    assert isinstance(stand, Waiting)
    assert stand.patience is Patience.DISCOVERY


RATE_LIMIT = 'failed "docker.io/example/repo": TOOMANYREQUESTS: You have reached your pull rate limit'


@pytest.mark.parametrize(
    ("given", "failure", "cause", "said"),
    [
        ((), "", Cause.DISCOVERY_FAILED, "keeps no reason"),
        (("Healthy=False/DiscoveryFailed: git 401",), "", Cause.DISCOVERY_FAILED, "git 401"),
        ((), "git 401", Cause.DISCOVERY_FAILED, "git 401"),
        (
            (f"Healthy=False/DiscoveryFailed: {RATE_LIMIT}",),
            "",
            Cause.RATE_LIMITED,
            '"docker.io/example/repo"',
        ),
        ((), "GET https://x: unexpected status code 429 Too Many Requests", Cause.RATE_LIMITED, "rate limit"),
    ],
)
def test_handled_without_a_discovery_is_lost(
    given: tuple[str, ...], failure: str, cause: Cause, said: str
) -> None:
    lost = step(request(failure=failure), Seen(warehouse(*given, discovered=EARLIER)[0])).stand
    assert isinstance(lost, Lost)
    assert (lost.cause, lost.outcome) == (cause, RefreshOutcome.DISCOVERY_FAILED)
    assert said in lost.reason


def test_freight_that_holds_the_push_ends_it_without_a_look_at_the_tags() -> None:
    taken = step(request(), Seen(warehouse(CREATED, last_freight="f1")[0], (OLD, freight())))
    assert taken.stand == Ended(
        RefreshOutcome.FREIGHT_CREATED, "Freight alias-f1 holds example/repo:1.2.3", freight()
    )
    assert (taken.handled, taken.discovered, taken.digest) == (True, True, DIGEST)


@pytest.mark.parametrize(
    ("given", "there"),
    [
        (CREATED, ()),
        (CREATED, (OLD,)),
        (CREATED, (freight(tag="1.2.4"),)),
        (EXISTS, (freight(),)),
    ],
    ids=["none known", "another one", "another tag", "nothing new"],
)
def test_without_such_freight_the_tags_are_looked_at(given: str, there: tuple[Freight, ...]) -> None:
    house, _ = warehouse(given, last_freight="f1")
    assert step(request(), Seen(house, there)).stand == Looking(Need.ARTIFACTS)


def test_freight_of_the_pushed_digest_counts_though_clocks_are_apart() -> None:
    a_moment_before = freight(created_at=PUSHED_AT - timedelta(seconds=2))
    assert stand_of((EXISTS,), ("1.2.3",), (a_moment_before,)).outcome == RefreshOutcome.FREIGHT_CREATED


def test_freight_does_not_count_before_the_refresh_is_handled() -> None:
    house, _ = warehouse(CREATED, handled="", last_freight="f1")
    assert isinstance(step(request(), Seen(house, (freight(),))).stand, Waiting)


def stand_of(
    given: tuple[str, ...], tags: tuple[str, ...], there: tuple[Freight, ...] = (), **more: Any
) -> Any:
    seen_only = {name: more.pop(name) for name in ("all_freight", "last_freight_gone") if name in more}
    asked = request(**more.pop("asked", {}))
    house, found = warehouse(*given, tags=tags, **more)
    return step(asked, Seen(house, there, found, **seen_only)).stand


@pytest.mark.parametrize(
    ("given", "tags", "more", "outcome", "said"),
    [
        ((), ("1.2.3",), {"freightCreationPolicy": "Manual"}, RefreshOutcome.MANUAL_CREATION_POLICY, "Manual"),
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
        ((EXISTS,), ("1.2.4", "1.2.3"), {"all_freight": True}, RefreshOutcome.NOT_NEWEST, '"1.2.4"'),
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
def test_a_discovered_push_without_freight_ends_by_what_the_warehouse_says(
    given: tuple[str, ...], tags: tuple[str, ...], more: dict[str, Any], outcome: RefreshOutcome, said: str
) -> None:
    stand = stand_of(given, tags, **more)
    assert isinstance(stand, Ended)
    assert stand.outcome == outcome
    assert said in stand.reason


@pytest.mark.parametrize(
    ("tags", "image", "said"),
    [
        ((), {}, "does not list it yet"),
        (("1.1.0",), {}, "does not list it yet"),
        ((), {"platform": "linux/arm64"}, "linux/arm64"),
        (("c", "b", "a"), {"imageSelectionStrategy": "NewestBuild"}, "built later"),
    ],
)
def test_a_tag_that_is_not_there_is_lost_with_what_may_be_the_cause(
    tags: tuple[str, ...], image: dict[str, Any], said: str
) -> None:
    stand = stand_of((), tags, image=image)
    assert isinstance(stand, Lost)
    assert stand.cause is Cause.NOT_VISIBLE
    assert said in stand.reason


@pytest.mark.parametrize(
    ("given", "there", "more", "need"),
    [
        ((EXISTS,), (), {}, Need.ALL_FREIGHT),
        ((CREATED,), (OLD,), {"last_freight": "f1"}, Need.LAST_FREIGHT),
    ],
)
def test_freight_that_is_not_known_is_looked_up(
    given: tuple[str, ...], there: tuple[Freight, ...], more: dict[str, Any], need: Need
) -> None:
    assert stand_of(given, ("1.2.3",), there, **more) == Looking(need)


def test_while_kargo_is_at_the_next_discovery_the_conditions_do_not_tell() -> None:
    stand = stand_of(("Ready=False/DiscoveryInProgress",), ("1.2.4", "1.2.3"), all_freight=True)
    assert isinstance(stand, Waiting)
    assert isinstance(stand.otherwise, Ended)
    assert stand.otherwise.outcome == RefreshOutcome.NOT_NEWEST


def test_new_freight_counts_whatever_the_clocks_say() -> None:
    stand = stand_of((CREATED,), ("1.2.3",), (OLD,), last_freight="old")
    assert (stand.outcome, stand.freight) == (RefreshOutcome.FREIGHT_CREATED, OLD)


def test_freight_of_the_same_content_is_asked_for_once_more_and_then_believed() -> None:
    lost = stand_of((EXISTS,), ("1.2.3",), (OLD,))
    assert (lost.cause, lost.outcome, lost.freight) == (
        Cause.SAME_CONTENT,
        RefreshOutcome.ALREADY_CURRENT,
        OLD,
    )
    assert given_up(request(), lost, (OLD,)) == Ended(RefreshOutcome.ALREADY_CURRENT, lost.reason, OLD)


def test_a_push_without_a_tag_is_content_with_what_there_is() -> None:
    stand = stand_of((EXISTS,), ("1.2.3",), (OLD,), asked={"push": replace(PUSH, tag="")})
    assert (stand.outcome, stand.freight) == (RefreshOutcome.ALREADY_CURRENT, OLD)


def test_giving_up_finds_freight_that_came_meanwhile() -> None:
    lost = Lost(Cause.NOT_HANDLED, RefreshOutcome.NOT_HANDLED, "no answer")
    assert given_up(request(), lost, (freight(),)).outcome == RefreshOutcome.FREIGHT_CREATED


@pytest.mark.parametrize(
    ("pushed_at", "since"),
    [
        (ASKED - timedelta(minutes=5), ASKED - timedelta(minutes=5)),
        (ASKED - timedelta(days=5), ASKED),
        (ASKED + timedelta(days=5), ASKED),
        (None, ASKED),
    ],
    ids=["just before", "days ago", "in the future", "unknown"],
)
def test_freight_counts_from_the_push_if_its_time_can_be_believed(
    pushed_at: datetime | None, since: datetime
) -> None:
    asked = request(push=replace(PUSH, pushed_at=pushed_at))
    assert asked.since == since.replace(microsecond=0)
