"""The annotation that tells the controller how to misbehave."""

from __future__ import annotations

import pytest

from demo.controller.behaviours import Behaviour, parse_behaviour, without_fail_once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Behaviour()),
        ("slow", Behaviour(slow=5.0)),
        ("slow=0.5", Behaviour(slow=0.5)),
        ("slow=often", Behaviour(slow=5.0)),
        ("lag=-1", Behaviour()),
        ("lag = 7", Behaviour()),
        ("lag=7, fail-discovery-once", Behaviour(lag=7.0, fails_once=True)),
        ("fail-discovery", Behaviour(fails=True)),
        ("dead", Behaviour(dead=True)),
        ("alive,well", Behaviour()),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_words_are_understood_and_others_passed_over(text: str, expected: Behaviour) -> None:
    assert parse_behaviour(text) == expected


def test_the_word_for_one_failure_is_taken_out_after_it() -> None:
    assert without_fail_once("slow=2, fail-discovery-once ,lag") == "slow=2,lag"
