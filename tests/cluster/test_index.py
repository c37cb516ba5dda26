"""The index is immutable, sorted, and cheap to change."""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from receivers.cluster.index import Index


class Item(NamedTuple):
    name: str
    keys: tuple[str, ...]
    version: int


def index() -> Index[Item, Item]:
    return Index(lambda item: ((key, item) for key in item.keys), attrgetter("name"))


key_tuples = st.lists(st.sampled_from("abcde"), max_size=3).map(tuple)
histories = st.lists(st.tuples(st.sampled_from(["x", "y", "z", "q"]), st.none() | key_tuples), max_size=40)


def changes_of(history):
    """Return the changes of a history, and the items that exist at its end."""
    current: dict[str, Item] = {}
    changes = []
    for version, (name, keys) in enumerate(history):
        new = None if keys is None else Item(name, keys, version)
        changes.append((current.pop(name, None), new))
        if new is not None:
            current[name] = new
    return changes, current


def expected(current):
    return {
        key: tuple(current[name] for name in sorted(current) if key in current[name].keys) for key in "abcde"
    }


@given(histories)
def test_single_and_combined_changes_result_in_the_same_index(history):
    changes, current = changes_of(history)
    stepwise = index()
    for change in changes:
        stepwise = stepwise.changed([change])
    combined = index().changed(changes)
    for key, items in expected(current).items():
        assert stepwise.get(key) == combined.get(key) == items
    assert sorted(stepwise.buckets()) == sorted(items for items in expected(current).values() if items)


@given(histories)
def test_an_index_is_immutable(history):
    changes, _ = changes_of(history)
    states = []
    latest = index()
    for change in changes:
        states.append((latest, [latest.get(key) for key in "abcde"]))
        latest = latest.changed([change])
    assert all([state.get(key) for key in "abcde"] == before for state, before in states)


def test_many_items_with_the_same_key_stay_sorted():
    items = [Item(f"{number:05}", ("a",), 0) for number in range(5_000)]
    full = index().changed((None, item) for item in reversed(items))
    assert full.get("a") == tuple(items)
    assert full.changed((item, None) for item in items[1::2]).get("a") == tuple(items[::2])
