"""The filters of the list of deliveries as a form: what was typed, what is wrong with it, and addresses to share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from receivers.deliveries.filters import CLUSTER_WORDS, DeliveryFilter, InvalidFilter, named_artifact
from receivers.deliveries.outcomes import Tone
from receivers.models import Origin, Outcome

EVERY: Final = "every"
"""The parameter that asks for every delivery, where a push is otherwise shown once."""

TONES: Final = {
    Tone.BAD: "Needs somebody",
    Tone.OPEN: "Under way",
    Tone.GOOD: "As wished",
    Tone.PLAIN: "As configured",
}
_OUTCOMES: Final = tuple(Outcome.choices)
_ORIGINS: Final = tuple((one, one) for one in Origin.values)


@dataclass(frozen=True, slots=True)
class Question:
    """A field of the form: its parameter, its label, an example, and what it offers to choose from, if it does."""

    name: str
    label: str
    example: str = ""
    offered: tuple[tuple[str, str], ...] = ()


QUESTIONS: Final = (
    Question("text", "Search", "example/repo:1.2.3, or any text"),
    Question(
        "outcome", "Outcome", offered=(*((key.value, title) for key, title in TONES.items()), *_OUTCOMES)
    ),
    Question("project", "Project", "a name, or cluster"),
    Question("receiver", "Receiver"),
    Question("repository", "Repository", "example/repo"),
    Question("tag", "Tag", "1.2.3"),
    Question("warehouse", "Warehouse", "name, or project/name"),
    Question("origin", "Origin", offered=_ORIGINS),
    Question("status", "Code", "404, or 4xx"),
    Question("since", "Since", "2h, or 2026-03-01T09:30"),
    Question("until", "Until", "30m, or 2026-03-01T12:00"),
    Question("push", "Same push as"),
)
NAMES: Final = (*(one.name for one in QUESTIONS), EVERY)


@dataclass(frozen=True, slots=True)
class Field:
    """A field with what was typed into it and, if that is nothing it takes, a sentence."""

    question: Question
    value: str
    error: str = ""

    @property
    def offered(self) -> tuple[tuple[str, str], ...]:
        """Return what there is to choose from, with what an address asks for that is no single one of it."""
        known = {value for value, _ in self.question.offered}
        return (
            self.question.offered
            if not self.value or self.value in known
            else (*self.question.offered, (self.value, self.value))
        )


@dataclass(frozen=True, slots=True)
class Chip:
    """Something that is filtered by, and the query of the address without it."""

    label: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class FilterForm:
    """The form. `wanted` is None if something is wrong; `query` is what an address needs to ask for the same."""

    fields: tuple[Field, ...]
    wanted: DeliveryFilter | None
    values: Mapping[str, str]

    @property
    def query(self) -> str:
        """Return the query of the address: only what is filtered by, in a fixed order."""
        return urlencode(self.values)

    @property
    def every(self) -> bool:
        """Say whether every delivery is asked for, and not each push once."""
        return EVERY in self.values or bool(self.wanted and self.wanted.push)

    @property
    def chips(self) -> list[Chip]:
        """Return what is filtered by, each with the way to leave it out."""
        labels = {one.name: one.label for one in QUESTIONS} | {EVERY: "Every delivery"}
        return [
            Chip(labels[name], "" if name == EVERY else _title(name, value), self.without(name))
            for name, value in self.values.items()
        ]

    @property
    def tones(self) -> list[tuple[str, str, bool]]:
        """Return the quick filters by tone: title, query, whether it is the one in use."""
        current = self.values.get("outcome", "")
        quick = [("", "All"), *((key.value, title) for key, title in TONES.items())]
        return [(title, self.replaced(outcome=key), key == current) for key, title in quick]

    @property
    def is_narrowed(self) -> bool:
        """Say whether more is asked for than a repository or one of its tags."""
        return bool(self.values.keys() - {"repository", "tag", EVERY})

    @property
    def of_push(self) -> str:
        """Return the query for the repository and the tag alone."""
        return urlencode({name: self.values[name] for name in ("repository", "tag") if name in self.values})

    def without(self, *names: str) -> str:
        """Return the query without some parameters."""
        return urlencode({name: value for name, value in self.values.items() if name not in names})

    @property
    def without_tag(self) -> str:
        """Return the query for every tag."""
        return self.without("tag", "push")

    @property
    def at_any_time(self) -> str:
        """Return the query without a time range."""
        return self.without("since", "until")

    def replaced(self, **changes: str) -> str:
        """Return the query with other values; an empty one leaves the parameter out."""
        return urlencode(_ordered({**self.values, **changes}))


def read_form(given: Mapping[str, str]) -> FilterForm:
    """Read the parameters of an address. Every field that takes no such value says so; all keep what was typed."""
    values = _ordered({name: given.get(name, "").strip() for name in NAMES})
    fields = tuple(_field(one, values.get(one.name, "")) for one in QUESTIONS)
    wanted = None if any(one.error for one in fields) else DeliveryFilter.parse(values)
    return FilterForm(fields, wanted, values)


def tidy(given: Mapping[str, str]) -> str | None:
    """Return the query that asks for the same and is fit to be shared; None if it is already.

    A search for example/repo:1.2.3 becomes one by repository and tag, which is exact and has an index.
    """
    values = {name: given[name] for name in given if name in NAMES}
    changed = {name: value.strip() for name, value in values.items()}
    artifact = named_artifact(changed.get("text", ""))
    if artifact and not changed.get("repository") and not changed.get("tag"):
        changed |= {"text": "", "repository": artifact[0], "tag": artifact[1]}
    changed = _ordered(changed)
    return None if changed == values else urlencode(changed)


def _field(question: Question, value: str) -> Field:
    try:
        DeliveryFilter.parse({question.name: value})
    except InvalidFilter as error:
        return Field(question, value, str(error).removeprefix(f"{error.field} "))
    return Field(question, value)


def _ordered(values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name] for name in _order(values) if values[name]}


def _order(values: Iterable[str]) -> list[str]:
    return sorted(values, key=NAMES.index)


def _title(name: str, value: str) -> str:
    if name == "outcome" and value in {one.value for one in TONES}:
        return TONES[Tone(value)].lower()
    return "cluster receivers" if name == "project" and value in CLUSTER_WORDS else value
