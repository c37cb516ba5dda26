"""Renders a delivery as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from receivers.deliveries.outcomes import headline, label
from receivers.deliveries.remedies import remedy
from receivers.management.console import receiver_name, table
from receivers.management.delivery_progress import event_label, event_text

MAX_BODY_SHOWN: Final = (
    16_384  # characters; Docker Hub's bodies are shorter, and `--json` shows all of a longer one
)


def as_text(delivery: dict[str, Any]) -> list[str]:
    """Return the lines for what `DeliveryDetailsSerializer` returns, without escaping control characters."""
    return [
        *_facts(delivery),
        *_section("Refreshes", (line for refresh in delivery["refreshes"] for line in _refresh(refresh))),
        *_section("Matching", _verdicts(delivery["verdicts"])),
        *_section("Request", _request(delivery["request"])),
    ]


def _facts(delivery: dict[str, Any]) -> Iterator[str]:
    request, duration = delivery["request"], delivery["duration_ms"]
    sender = [delivery["received_at"], request["client_address"], request["user_agent"]]
    response = f"{delivery['status']} {delivery['answer']}" if delivery["status"] is not None else ""
    words = headline(delivery["outcome"], delivery["with_freight"], delivery["warehouses"])
    facts = {
        "delivery": delivery["id"],
        "received": " ".join(filter(None, sender)),
        "receiver": f"{receiver_name(delivery['project'], delivery['receiver'])} ({delivery['kind']})",
        "origin": " by ".join(filter(None, [delivery["origin"], delivery["actor"]])),
        "original": delivery["original"],
        "push": f"{delivery['repository']}:{delivery['tag']}".strip(":"),
        "media type": delivery["media_type"],
        "pushed": " by ".join(filter(None, [delivery["pushed_at"], delivery["pusher"]])),
        "push id": delivery["push_id"],
        "response": response + (f" in {duration:.1f} ms" if response and duration is not None else ""),
        "outcome": ": ".join(filter(None, [words, delivery["reason"]])),
        "what to do": remedy(delivery["outcome"]).to_do,
        "ended": delivery["ended_at"],
        "redelivered": ", ".join(delivery["redeliveries"]),
    }
    return (f"{name:<12}{value}" for name, value in facts.items() if value)


def _refresh(refresh: dict[str, Any]) -> Iterator[str]:
    freight = refresh["freight_alias"] or refresh["freight"]
    state = label(refresh["outcome"]) or refresh["state"]
    result = " ".join(filter(None, [state, freight]))
    yield ": ".join(
        filter(None, [f"{refresh['project']}/{refresh['warehouse']}  {result}", refresh["reason"]])
    )
    for step, seconds in refresh["seconds"].items():
        yield f"  {step:<12}{refresh[f'{step}_at']}  {seconds:+.3f} s"
    if refresh["history"]:
        yield "  history"
    for entry in refresh["history"]:
        yield f"    {entry['at']}  {event_label(entry['event'])}  {event_text(refresh, entry)}".rstrip()
    if refresh["attempts"] > 1:
        yield f"  {refresh['attempts']} attempts"


def _verdicts(verdicts: list[dict[str, Any]]) -> list[str]:
    headers = ("WAREHOUSE", "SUBSCRIPTION", "VERDICT", "RULE", "REASON")
    rows = [
        (
            f"{verdict['project']}/{verdict['warehouse']}",
            f"{verdict['position']} {verdict['kind']} {verdict['repo_url']}",
            verdict["result"],
            verdict["rule"],
            verdict["reason"],
        )
        for verdict in verdicts
    ]
    return table(headers, rows) if rows else []


def _request(request: dict[str, Any]) -> Iterator[str]:
    yield f"POST {request['path']}"
    for name, value in request["headers"]:
        yield f"{name}: {value}"
    body = request["body"]
    if request["body_dropped"]:
        size = request["body_size"]
        yield f"(the body of {size} bytes was dropped because of its age or the quota for stored bodies)"
    elif body is None:
        yield f"(binary content, base64) {request['body_base64'][:MAX_BODY_SHOWN]}"
    elif body:
        yield ""
        yield from body[:MAX_BODY_SHOWN].splitlines()
        if len(body) > MAX_BODY_SHOWN:
            yield f"... {len(body) - MAX_BODY_SHOWN} more characters; --json shows all"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    indented = [f"  {line}" for line in lines]
    return ["", title, *indented] if indented else []
