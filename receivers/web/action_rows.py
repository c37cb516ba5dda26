"""The actions of a generic receiver, as the page of a delivery shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from receivers.deliveries.actions import actions_of
from receivers.deliveries.outcomes import Tone
from receivers.models import Delivery

_WORDS: Final[Mapping[str, tuple[Tone, str]]] = {
    "Success": (Tone.GOOD, "Refreshed"),
    "PartialSuccess": (Tone.BAD, "Partly refreshed"),
    "Failure": (Tone.BAD, "Not refreshed"),
    "NotApplicable": (Tone.PLAIN, "Not applicable"),
    "Error": (Tone.BAD, "Failed"),
}


@dataclass(frozen=True, slots=True)
class ActionRow:
    """An action: its position from 1, its tone and result in words, the problem, the targets, and how many more."""

    position: int
    action: str
    tone: Tone
    word: str
    problem: str
    targets: Sequence[Mapping[str, Any]]
    more: int


def action_rows(delivery: Delivery) -> list[ActionRow]:
    """Return the actions of a delivery; none unless its receiver is generic."""
    return [_row(action) for action in actions_of(delivery)]


def _row(action: Mapping[str, Any]) -> ActionRow:
    tone, word = _WORDS.get(action["result"], (Tone.PLAIN, "Unknown action"))
    if word == "Refreshed" and not action["targets"]:
        tone, word = Tone.PLAIN, "Nothing selected"
    return ActionRow(
        action["position"], action["action"], tone, word, action["problem"], action["targets"], action["more"]
    )
