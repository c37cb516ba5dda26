"""An immutable index. A change creates a new index that shares most of its data with the previous one.

A reader that holds an index sees one state of the cluster, takes no lock and is not affected by writers. A change
copies one of `SHARDS` small dictionaries for each key it touches, which takes microseconds with 10,000 Warehouses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, Self, TypeVar

# About the square root of the number of keys in a large cluster, so that copying either level costs the same.
SHARDS: Final = 256

Source = TypeVar("Source")
Item = TypeVar("Item")
Entries = Callable[[Source], Iterable[tuple[str, Item]]]
Bucket = tuple[Item, ...]
Edit = tuple[Item, bool]  # the item, and whether to add (True) or remove it


class Index(Generic[Source, Item]):
    """Items by key. The items of a key are a sorted tuple without duplicates.

    `entries` yields the keys of a source object, each with the item to store under it. `order` returns the sort key of
    an item; items with the same sort key are duplicates.
    """

    __slots__ = ("_entries", "_order", "_shards")

    def __init__(
        self,
        entries: Entries[Source, Item],
        order: Callable[[Item], Any],
        shards: tuple[dict[str, Bucket[Item]], ...] = ({},) * SHARDS,
    ) -> None:
        self._entries = entries
        self._order = order
        self._shards = shards

    def get(self, key: str) -> Bucket[Item]:
        """Return the items of `key`, sorted; an empty tuple if there are none."""
        return self._shards[hash(key) % SHARDS].get(key, ())

    def buckets(self) -> Iterator[Bucket[Item]]:
        """Yield the items of every key, in arbitrary order."""
        for shard in self._shards:
            yield from shard.values()

    def changed(self, changes: Iterable[tuple[Source | None, Source | None]]) -> Self:
        """Return the index after these changes, each a pair of the source object before and after (or None)."""
        edits: dict[int, dict[str, list[Edit[Item]]]] = defaultdict(lambda: defaultdict(list))
        for old, new in changes:
            for key, edit in self._edits(old, new):
                edits[hash(key) % SHARDS][key].append(edit)
        if not edits:
            return self
        shards = list(self._shards)
        for number, by_key in edits.items():
            shards[number] = self._edited_shard(shards[number], by_key)
        return type(self)(self._entries, self._order, tuple(shards))

    def _edits(self, old: Source | None, new: Source | None) -> Iterable[tuple[str, Edit[Item]]]:
        # Removals first, so that an item that stays under its key is replaced instead of removed.
        if old is not None:
            yield from ((key, (item, False)) for key, item in self._entries(old))
        if new is not None:
            yield from ((key, (item, True)) for key, item in self._entries(new))

    def _edited_shard(
        self, shard: dict[str, Bucket[Item]], edits: dict[str, list[Edit[Item]]]
    ) -> dict[str, Bucket[Item]]:
        shard = shard.copy()
        for key, of_key in edits.items():
            bucket = self._edited_bucket(shard.get(key, ()), of_key)
            if bucket:
                shard[key] = bucket
            else:
                shard.pop(key, None)
        return shard

    def _edited_bucket(self, bucket: Bucket[Item], edits: list[Edit[Item]]) -> Bucket[Item]:
        items = list(bucket)
        for item, added in edits:
            place = self._order(item)
            at = bisect_left(items, place, key=self._order)
            present = at < len(items) and self._order(items[at]) == place
            items[at : at + present] = [item] if added else []
        return tuple(items)
