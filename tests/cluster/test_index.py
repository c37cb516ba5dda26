"""The index is immutable, sorted, and cheap to change."""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from receivers.cluster.index import Index


class Thing(NamedTuple):
    name: str
    keys: tuple[str, ...]
    version: int


def index() -> Index[Thing, Thing]:
    return Index(lambda thing: ((key, thing) for key in thing.keys), attrgetter("name"))


some_keys = st.lists(st.sampled_from("abcde"), max_size=3).map(tuple)
histories = st.lists(st.tuples(st.sampled_from(["x", "y", "z", "q"]), st.none() | some_keys), max_size=40)


def changes_of(history):
    """Return the states of some things as changes, and where they end."""
    there: dict[str, Thing] = {}
    changes = []
    for version, (name, keys) in enumerate(history):
        new = None if keys is None else Thing(name, keys, version)
        changes.append((there.pop(name, None), new))
        if new is not None:
            there[name] = new
    return changes, there


def expected(there):
    return {key: tuple(there[name] for name in sorted(there) if key in there[name].keys) for key in "abcde"}


@given(histories)
def test_single_and_combined_changes_lead_to_the_same_index(history):
    changes, there = changes_of(history)
    stepwise = index()
    for change in changes:
        stepwise = stepwise.changed([change])
    at_once = index().changed(changes)
    for key, things in expected(there).items():
        assert stepwise.get(key) == at_once.get(key) == things
    assert sorted(stepwise.buckets()) == sorted(things for things in expected(there).values() if things)


@given(histories)
def test_an_index_is_immutable(history):
    changes, _ = changes_of(history)
    seen = []
    now = index()
    for change in changes:
        seen.append((now, [now.get(key) for key in "abcde"]))
        now = now.changed([change])
    assert all([each.get(key) for key in "abcde"] == before for each, before in seen)


def test_many_items_under_one_key_stay_sorted():
    things = [Thing(f"{number:05}", ("a",), 0) for number in range(5_000)]
    full = index().changed((None, thing) for thing in reversed(things))
    assert full.get("a") == tuple(things)
    assert full.changed((thing, None) for thing in things[1::2]).get("a") == tuple(things[::2])
