"""The sentence about a push: is it Freight, in which Stages, and what it waits for; or why it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from receivers.deliveries.outcomes import NOT_EVALUATED, Tone, lower_label, tone
from receivers.deliveries.push_names import name_in_sentence
from receivers.deliveries.push_record import PushRecord
from receivers.deliveries.remedies import remedy
from receivers.kargo.quoting import lower_first
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.stage_states import StageNode, StageState
from receivers.models import Delivery, Outcome
from receivers.web import kargo_links, stage_sentences
from receivers.web.delivery_summary import sentence, summarize
from receivers.web.phrases import Phrase, Piece, phrase
from receivers.web.push_results import PushResults, WarehouseResult

MOST_NAMED: Final = 2  # Warehouses whose Stages the sentence describes separately
_REJECTED: Final = frozenset({Outcome.NO_MATCH, Outcome.INVALID_SUBSCRIPTION})
_LIVE: Final = "Live in "
_PROMOTED_MANUALLY: Final = frozenset(
    {
        StageState.FAILED, StageState.ABORTED, StageState.AWAITING_PROMOTION, StageState.HELD, StageState.SUPERSEDED,
        StageState.SOAK_CUT_SHORT,
    }
)  # fmt: skip
_TROUBLED: Final = frozenset({StageState.VERIFICATION_FAILED, StageState.UNHEALTHY})


@dataclass(frozen=True, slots=True)
class OpenIssue:
    """Why the push is not everywhere yet: one Stage or Warehouse, the cause, and the next step.

    `message` are the words of Kargo, empty if there are none; `url` leads to where one can act, empty if that is
    unknown, and `action` is its label.
    """

    tone: str
    title: Phrase
    message: str
    text: Phrase
    url: str = ""
    action: str = ""


def push_sentence(record: PushRecord, results: PushResults, zone: tzinfo) -> Phrase:
    """Return the sentence at the head of the page."""
    row = record.decisive
    name, subject = name_in_sentence(row), name_in_sentence(row, starts=True)
    if results.with_freight and row.outcome != Outcome.TEST_PASSED:
        return _with_freight(subject, results)
    if row.outcome == Outcome.PENDING and not record.refreshes:
        waiting = "Waiting for Kargo's own server" if row.passed_on else "Matching Warehouses"
        return phrase(f"{subject} was received. {waiting} …")
    if row.outcome in _REJECTED and row.reason:
        return phrase(
            f"No subscription matches {name}: {row.reason}", "" if row.reason.endswith(".") else "."
        )
    if any(result.is_open for result in results.shown):
        return _in_progress(name, results)
    if record.refreshes and tone(row.outcome) is not Tone.GOOD:
        return phrase(f"No Freight from {name}", _cause(row, record, several=results.total > 1))
    summary = summarize(row, record.refreshes, zone)
    what = ""
    if row.outcome == Outcome.FORWARDED:
        what = f"{subject} was passed on."
    elif row.outcome in NOT_EVALUATED and tone(row.outcome) is Tone.BAD:
        what = f"{subject} was rejected."
    return phrase(" ".join(filter(None, (what, summary.happened, summary.why))))


def _cause(row: Delivery, record: PushRecord, *, several: bool) -> str:
    """Return why there is no Freight, as the end of a sentence; of several Warehouses, the one that decides."""
    decisive = [refresh for refresh in record.refreshes if refresh.outcome == row.outcome]
    reasons = (refresh.reason for refresh in decisive if refresh.reason)
    cause = next(reasons, "") or row.reason or remedy(row.outcome).means
    end = "" if cause.endswith((".", "!", "?")) else "."
    return f". {decisive[0].warehouse}: {cause}{end}" if several and decisive else f": {cause}{end}"


def _with_freight(name: str, results: PushResults) -> Phrase:
    with_freight = results.with_freight
    aliases = {result.freight for result in with_freight}
    freight = f' "{aliases.pop()}"' if len(aliases) == 1 else ""
    where = ""
    if results.total > 1:
        whole = len(with_freight) == results.total
        where = (
            f" in {results.total} Warehouses"
            if whole
            else f" in {len(with_freight)} of {results.total} Warehouses"
        )
    if all(result.deleted for result in with_freight):
        return phrase(f"{name} was Freight{freight}{where}, which has been deleted.")
    with_stages = [result for result in with_freight if result.has_stages]
    return phrase(f"{name} is Freight{freight}{where}", _stages(with_stages))


def _stages(results: Sequence[WarehouseResult]) -> Phrase:
    if not results:
        return phrase(".")
    if len(results) == 1:
        return _continued(_summary(results[0]))
    if len(results) <= MOST_NAMED:
        parts = (phrase(" ", f"{result.warehouse}: ", _uncapitalized(_summary(result))) for result in results)
        return phrase(".", *parts)
    nodes = [node for result in results if result.journey for node in result.journey.nodes]
    live = sum(node.progress.is_live for node in nodes)
    return phrase(f", live in {live} of {len(nodes)} Stages.")


def _summary(result: WarehouseResult) -> Phrase:
    return stage_sentences.summary(result.journey) if result.journey else phrase()


def _continued(summary: Phrase) -> Phrase:
    """Return a summary as the continuation of a sentence: `, live in test.`, or `. prod waits.`"""
    if not summary:
        return phrase(".")
    return (
        phrase(", ", _uncapitalized(summary)) if summary[0].text.startswith(_LIVE) else phrase(". ", summary)
    )


def _uncapitalized(summary: Phrase) -> Phrase:
    if not summary or not summary[0].text.startswith((_LIVE, "The ", "Replaced ")):
        return summary
    first = summary[0]
    return Phrase((Piece(lower_first(first.text), first.at, first.code), *summary[1:]))


def _in_progress(name: str, results: PushResults) -> Phrase:
    waiting = [result.refresh for result in results.shown if result.is_open]
    retries = [refresh.next_attempt_at for refresh in waiting if refresh.next_attempt_at]
    if len(retries) == len(waiting):
        return phrase(f"No Freight from {name} yet. Next retry at ", min(retries), ".")
    if all(refresh.discovered_at for refresh in waiting):
        return phrase(f"Kargo found {name} and is creating Freight.")
    count = len(results.shown) + results.left_out
    where = f" in {count} Warehouses" if count > 1 else f" in Warehouse {results.shown[0].warehouse}"
    return phrase(f"Kargo is looking for {name}{where}.")


def open_issues(results: PushResults) -> list[OpenIssue]:
    """Return what is missing until the push is in the last Stages, or until it is Freight: what failed comes first."""
    several = len(results.shown) > 1
    issues = []
    for result in results.shown:
        prefix = f"{result.warehouse}, " if several else ""
        issues += _of_stages(result, prefix) if result.refresh.freight else _of_warehouse(result)
    return sorted(issues, key=lambda issue: _ORDER.get(issue.tone, len(_ORDER)))


_ORDER: Final = {"bad": 0, "open": 1, "run": 2}


def _of_stages(result: WarehouseResult, prefix: str) -> list[OpenIssue]:
    if result.journey is None:
        return []
    troubled = [node for node in result.journey.nodes if node.progress.state in _TROUBLED]
    issues = []
    for node in (*troubled, *stage_sentences.unfinished(result.journey)):
        why = stage_sentences.explanation(node.progress)
        url, action = _action(result, node)
        issues.append(
            OpenIssue(
                why.tone, phrase(f"{prefix}{node.name}: ", why.title), why.message, why.text, url, action
            )
        )
    return issues


def _action(result: WarehouseResult, node: StageNode) -> tuple[str, str]:
    """Return where one can act on a Stage, and the label of the link."""
    progress = node.progress
    if progress.state in _PROMOTED_MANUALLY:
        return kargo_links.promote_url(result.project, result.refresh.freight, node.name), "Promote in Kargo"
    if progress.promotion:
        return kargo_links.promotion_url(result.project, progress.promotion), "Promotion"
    return kargo_links.stage_url(result.project, node.name), "Stage"


def _of_warehouse(result: WarehouseResult) -> list[OpenIssue]:
    refresh = result.refresh
    url = kargo_links.warehouse_url(result.project, result.warehouse)
    if not refresh.outcome:
        text = phrase("Next retry ", refresh.next_attempt_at, ".") if refresh.next_attempt_at else phrase()
        title = phrase(f"{result.warehouse}: no Freight yet")
        kind = "open" if refresh.next_attempt_at else "run"
        return [OpenIssue(kind, title, "", phrase(sentence(refresh.reason), " ", text), url, "Warehouse")]
    if tone(refresh.outcome) is Tone.GOOD:
        return []
    means = remedy(refresh.outcome)
    title = phrase(f"{result.warehouse}: ", lower_label(refresh.outcome))
    # Kargo's message is code; a sentence of kargoweb's is not.
    is_message = refresh.outcome in {RefreshOutcome.DISCOVERY_FAILED, RefreshOutcome.FREIGHT_FAILED}
    message = refresh.reason if is_message else ""
    why = sentence(means.means) if is_message or not refresh.reason else sentence(refresh.reason)
    text = phrase(" ".join(filter(None, (why, sentence(means.to_do)))))
    return [OpenIssue(tone(refresh.outcome).value, title, message, text, url, "Warehouse")]
