"""The stops of a journey, as its template draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from receivers.web.phrases import Phrase

NOTHING: Final = Phrase()
_ICONS: Final = {"test": "flask"}
STANDS_NOW: Final = frozenset({"bad", "open", "run"})
"""The tones of stops at which something waits, moves or failed: the eye lands there."""


@dataclass(frozen=True, slots=True)
class Meter:
    """Progress towards an end. `label` is for screen readers."""

    value: float
    most: float
    label: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop of the journey: what it is, its name, its state as a word in a tone, and two lines about it.

    `url` is empty if there is no page for it. `on`: the push went on from here. `last`: nothing follows. `ended`: the
    push ends here, for a reason that isn't a failure. `provider` is the receiver kind whose icon it has, if any.
    """

    kind: str
    name: str
    tone: str
    word: str
    text: Phrase = NOTHING
    detail: Phrase = NOTHING
    url: str = ""
    on: bool = False
    last: bool = False
    ended: bool = False
    provider: str = ""
    meter: Meter | None = None

    @property
    def form(self) -> str:
        """Return the form of times: with seconds up to the Freight, which takes few of them."""
        return "minutes" if self.kind.endswith("Stage") else "seconds"

    @property
    def icon(self) -> str:
        """Return the symbol of the tone."""
        return _ICONS.get(self.tone, self.tone)

    @property
    def classes(self) -> str:
        """Return the classes of its element."""
        flags = {"on": self.on, "end": self.last, "now": self.is_now, "rest": self.last and not self.name}
        return " ".join(["stop", *(name for name, is_set in flags.items() if is_set)])

    @property
    def is_now(self) -> bool:
        """Return whether the push stands here: it is tinted."""
        return self.ended or self.tone in STANDS_NOW


@dataclass(frozen=True, slots=True)
class JourneyLane:
    """The way through a Warehouse, or a part of it: columns in order, each with one stop, or several that branch off.

    A branch with successors is a lane of its own. `name` identifies it for screen readers.
    """

    name: str
    columns: tuple[tuple[Stop | JourneyLane, ...], ...]
