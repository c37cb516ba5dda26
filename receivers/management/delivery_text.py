"""Everything about one delivery, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from receivers.deliveries.remedies import remedy
from receivers.management.console import place, table

LONGEST_BODY: Final = 16_384  # characters of a body that are shown; Docker Hub's have fewer, `--json` has all


def as_text(told: dict[str, Any]) -> list[str]:
    """Return the lines that tell what `plain.everything` holds. Not yet safe for a terminal."""
    return [
        *_facts(told),
        *_section("Refreshes", (line for one in told["refreshes"] for line in _refresh(one))),
        *_section("Verdicts", _verdicts(told["verdicts"])),
        *_section("Request", _request(told["request"])),
    ]


def _facts(told: dict[str, Any]) -> Iterator[str]:
    request, duration = told["request"], told["duration_ms"]
    came = " ".join(filter(None, [told["received_at"], request["client_address"], request["user_agent"]]))
    answer = f"{told['status']} {told['answer']}" if told["status"] is not None else ""
    facts = {
        "delivery": told["id"],
        "received": came,
        "receiver": f"{place(told['project'], told['receiver'])} ({told['kind']})",
        "origin": " by ".join(filter(None, [told["origin"], told["actor"]])),
        "original": told["original"],
        "push": f"{told['repository']}:{told['tag']}".strip(":"),
        "media type": told["media_type"],
        "pushed": " by ".join(filter(None, [told["pushed_at"], told["pusher"]])),
        "push id": told["push_id"],
        "answer": answer + (f" in {duration:.1f} ms" if answer and duration is not None else ""),
        "outcome": ": ".join(filter(None, [told["outcome"], told["reason"]])),
        "what to do": remedy(told["outcome"]).to_do,
        "ended": told["ended_at"],
        "sent again": ", ".join(told["redeliveries"]),
    }
    return (f"{name:<12}{value}" for name, value in facts.items() if value)


def _refresh(told: dict[str, Any]) -> Iterator[str]:
    freight = told["freight_alias"] or told["freight"]
    end = " ".join(filter(None, [told["outcome"] or told["state"], freight]))
    yield ": ".join(filter(None, [f"{told['project']}/{told['warehouse']}  {end}", told["reason"]]))
    for step, seconds in told["seconds"].items():
        yield f"  {step:<12}{told[f'{step}_at']}  {seconds:+.3f} s"
    if told["story"]:
        yield "  story"
    for entry in told["story"]:
        yield f"    {entry['at']}  {entry['event']}  {entry['text']}".rstrip()
    if told["attempts"] > 1:
        yield f"  asked {told['attempts']} times"


def _verdicts(verdicts: list[dict[str, Any]]) -> list[str]:
    heads = ("WAREHOUSE", "SUBSCRIPTION", "VERDICT", "RULE", "REASON")
    rows = [
        (
            f"{one['project']}/{one['warehouse']}",
            f"{one['position']} {one['kind']} {one['repo_url']}",
            one["result"],
            one["rule"],
            one["reason"],
        )
        for one in verdicts
    ]
    return table(heads, rows) if rows else []


def _request(request: dict[str, Any]) -> Iterator[str]:
    yield f"POST {request['path']}"
    for name, value in request["headers"]:
        yield f"{name}: {value}"
    body = request["body"]
    if body is None:
        yield f"(no text; in base64) {request['body_base64'][:LONGEST_BODY]}"
    elif body:
        yield ""
        yield from body[:LONGEST_BODY].splitlines()
        if len(body) > LONGEST_BODY:
            yield f"... and {len(body) - LONGEST_BODY} characters more; --json has all"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = [f"  {line}" for line in lines]
    return ["", title, *found] if found else []
