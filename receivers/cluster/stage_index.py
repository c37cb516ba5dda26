"""The Stages of each project, with an index of the Freight that they hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from receivers.kargo.stages import Stage


@dataclass(frozen=True, slots=True)
class ProjectStages:
    """The Stages of a project by name, and the names of the Stages that hold Freight, by its name. Immutable."""

    by_name: Mapping[str, Stage] = field(default_factory=dict)
    holders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def changed(self, changes: Iterable[tuple[Stage | None, Stage | None]]) -> ProjectStages:
        """Return the Stages after these changes."""
        by_name = dict(self.by_name)
        holders = defaultdict(set, {freight: set(names) for freight, names in self.holders.items()})
        for old, new in changes:
            if old is not None:
                by_name.pop(old.name, None)
                for freight in _held(old):
                    holders[freight].discard(old.name)
            if new is not None:
                by_name[new.name] = new
                for freight in _held(new):
                    holders[freight].add(new.name)
        return ProjectStages(
            by_name, {freight: tuple(sorted(names)) for freight, names in holders.items() if names}
        )


def _held(stage: Stage) -> Iterable[str]:
    return (freight.name for freight in stage.history[0].values()) if stage.history else ()
