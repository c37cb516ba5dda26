"""The annotation that injects failures into the controller."""

from __future__ import annotations

import pytest

from demo.controller.behaviors import Behavior, parse_behavior, without_fail_once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Behavior()),
        ("slow", Behavior(slow=5.0)),
        ("slow=0.5", Behavior(slow=0.5)),
        ("slow=often", Behavior(slow=5.0)),
        ("lag=-1", Behavior()),
        ("lag = 7", Behavior()),
        ("lag=7, fail-discovery-once", Behavior(lag=7.0, fails_once=True)),
        ("fail-discovery", Behavior(fails=True)),
        ("dead", Behavior(dead=True)),
        ("alive,well", Behavior()),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_known_words_are_parsed_and_unknown_words_are_ignored(text: str, expected: Behavior) -> None:
    assert parse_behavior(text) == expected


def test_the_word_for_a_single_failure_can_be_removed() -> None:
    assert without_fail_once("slow=2, fail-discovery-once ,lag") == "slow=2,lag"
