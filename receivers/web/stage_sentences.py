"""What pages say about Freight in a Stage: a word, a tone, a phrase for a stop, and an explanation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from receivers.kargo.quoting import upper_first
from receivers.kargo.stage_states import StageJourney, StageNode, StageProgress, StageState
from receivers.web.durations import duration
from receivers.web.phrases import Part, Phrase, Piece, code, listed, long_duration, phrase

RESYNC: Final = "5 minutes"
"""Kargo looks at a Stage at least this often."""
MOST_CLAUSES: Final = 4  # of a summary; further Stages are counted

Wording = Callable[[StageProgress], Phrase]


def tone(progress: StageProgress) -> str:
    """Return the tone of a stop: `good`, `bad`, `open`, `run`, `gone` or `plain`."""
    return _WORDS[progress.state][0]


def word(progress: StageProgress) -> str:
    """Return the word that a stop starts with."""
    return _WORDS[progress.state][1]


def sentence(progress: StageProgress) -> Phrase:
    """Return what follows the word of a stop: `since 13:31`."""
    return _SENTENCES[progress.state](progress)


def detail(progress: StageProgress) -> Phrase:
    """Return the second line of a stop: `verified 13:33`, `step 2 of 4: git-commit`, or nothing."""
    wording = _DETAILS.get(progress.state)
    words = wording(progress) if wording else phrase()
    again = _AGAIN.get(progress.again) if progress.again else None
    return phrase(words, ", " if words and again else None, again)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why Freight is not in a Stage: a title without the Stage's name, Kargo's message if any, and what to do."""

    tone: str
    title: Phrase
    message: str
    text: Phrase


def explanation(progress: StageProgress) -> Explanation:
    """Return why the Freight is not in the Stage, and what to do."""
    title, text = _EXPLANATIONS[progress.state]
    # Kargo starts the message with the step, which the title names.
    message = progress.message.removeprefix(f'step "{progress.step_alias}": ')
    return Explanation(tone(progress), title(progress), message, text(progress))


def summary(journey: StageJourney) -> Phrase:
    """Return one sentence or two: where the Freight is live, and how far it is in the Stages that it hasn't reached.

    Empty if the Warehouse has no Stages.
    """
    live = [node for node in journey.nodes if node.progress.is_live]
    waiting = unfinished(journey)
    groups: dict[tuple[object, ...], list[StageProgress]] = {}
    for progress in (node.progress for node in waiting):
        groups.setdefault((progress.state, progress.upstreams, progress.until), []).append(progress)
    clauses = [clause(group) for group in list(groups.values())[:MOST_CLAUSES]]
    if rest := sum(map(len, list(groups.values())[MOST_CLAUSES:])):
        clauses.append(phrase(f"{rest} more {'Stages wait' if rest > 1 else 'Stage waits'}"))
    first = phrase()
    if live:
        since = _since(live[0].progress, " since ") if len(live) == 1 else phrase()
        first = phrase(f"Live in {listed([node.name for node in live], 'and')}", since, ".")
    elif journey.nodes and not waiting:
        first = phrase("Replaced in all Stages.")
    return phrase(first, " " if first and clauses else None, _joined(clauses))


def clause(group: Sequence[StageProgress]) -> Phrase:
    """Return how far the Freight is in Stages that it has not reached, all in the same state, as a clause."""
    subject = _Subject(tuple(progress.stage for progress in group))
    return _CLAUSES[group[0].state](group[0], subject)


@dataclass(frozen=True, slots=True)
class _Subject:
    """The Stages that a clause is about."""

    stages: tuple[str, ...]

    def __str__(self) -> str:
        return listed(self.stages, "and")

    def does(self, verb: str) -> str:
        """Return the Stages with a verb."""
        return f"{self} {verb}" if len(self.stages) > 1 else f"{self} {verb}s"

    @property
    def are(self) -> str:
        """Return the Stages with "is" or "are"."""
        return f"{self} {'are' if len(self.stages) > 1 else 'is'}"


def unfinished(journey: StageJourney) -> tuple[StageNode, ...]:
    """Return the Stages that the Freight has not reached, without those that only wait for another one of them."""
    return tuple(
        node
        for node in journey.nodes
        if not node.progress.is_reached
        and not (
            node.progress.state is StageState.NOT_REACHED
            and any(not cause.is_reached for cause in node.progress.causes)
        )
    )


def _joined(clauses: Sequence[Phrase]) -> Phrase:
    """Return clauses as a sentence."""
    parts: list[Part] = []
    for number, text in enumerate(clauses):
        if not number:
            parts.append(_capitalized(text))
        elif number == len(clauses) - 1:
            parts += [", and " if number > 1 else " and ", text]
        else:
            parts += [", ", text]
    return phrase(*parts, "." if parts else None)


def _capitalized(words: Phrase) -> Phrase:
    """Return a clause as the start of a sentence. The name of a Stage keeps its spelling."""
    first = words[0]
    if not first.text.startswith(("the ", "auto-promotion ")):
        return words
    return Phrase((Piece(upper_first(first.text)), *words[1:]))


def _fixed(*parts: Part) -> Wording:
    """Return a wording that is the same for all Freight."""
    fixed = phrase(*parts)
    return lambda _: fixed


def _with(before: str, at: datetime | None) -> Phrase:
    """Return a time with words before it, or nothing if it is unknown."""
    return phrase(before, at) if at else phrase()


def _since(progress: StageProgress, before: str = "since ") -> Phrase:
    return _with(before, progress.since)


def _at(progress: StageProgress) -> Phrase:
    return phrase(progress.since)


def _step_name(progress: StageProgress) -> Phrase:
    return phrase(" at step ", code(progress.step_alias)) if progress.step_alias else phrase()


def _step(progress: StageProgress) -> Phrase:
    if not progress.step:
        return phrase()
    return phrase(f"step {progress.step} of {progress.steps}: ", code(progress.step_alias))


def _short(time: timedelta) -> str:
    return duration(time.total_seconds())


def _upstreams(progress: StageProgress) -> str:
    return listed(progress.upstreams, "and" if progress.all_upstreams else "or")


def _by_actor(progress: StageProgress) -> str:
    return f" by {progress.actor}" if progress.actor else ""


def _other(progress: StageProgress) -> str:
    return progress.other.label if progress.other else "newer Freight"


def _by_other(progress: StageProgress) -> str:
    return f"by {progress.other.label}" if progress.other else ""


def _name(progress: StageProgress) -> str:
    return progress.freight.alias or progress.freight.label


_WORDS: Final[Mapping[StageState, tuple[str, str]]] = {
    StageState.NOT_REQUESTED: ("plain", "Not requested"),
    StageState.NOT_REACHED: ("plain", "Not yet"),
    StageState.WAITING_FOR_VERIFICATION: ("open", "Waiting"),
    StageState.WAITING_FOR_SOAK: ("open", "Waiting"),
    StageState.SOAK_CUT_SHORT: ("plain", "Not available"),
    StageState.SOAK_IMPOSSIBLE: ("bad", "Blocked"),
    StageState.AWAITING_PROMOTION: ("open", "Ready"),
    StageState.HELD: ("open", "Paused"),
    StageState.SUPERSEDED: ("gone", "Superseded"),
    StageState.RECONCILE_ERROR: ("bad", "Blocked"),
    StageState.WINDOW_CLOSED: ("open", "Waiting"),
    StageState.IMMINENT: ("run", "Pending"),
    StageState.QUEUED: ("run", "Queued"),
    StageState.PROMOTING: ("run", "Promoting"),
    StageState.WAITING_FOR_PULL_REQUEST: ("open", "Waiting"),
    StageState.FAILED: ("bad", "Failed"),
    StageState.ABORTED: ("bad", "Aborted"),
    StageState.ARRIVING: ("run", "Arriving"),
    StageState.VERIFYING: ("run", "Live"),
    StageState.VERIFICATION_FAILED: ("bad", "Live"),
    StageState.UNHEALTHY: ("bad", "Unhealthy"),
    StageState.CURRENT: ("good", "Live"),
    StageState.REPLACED: ("gone", "Replaced"),
    StageState.PASSED: ("good", "Passed"),
}
"""Tone and word by state."""

_SENTENCES: Final[Mapping[StageState, Wording]] = {
    StageState.NOT_REQUESTED: _fixed(),
    StageState.NOT_REACHED: lambda it: phrase(f"verified in {_upstreams(it)}"),
    StageState.WAITING_FOR_VERIFICATION: lambda it: phrase(f"for verification in {_upstreams(it)}"),
    StageState.WAITING_FOR_SOAK: lambda it: phrase(
        f"for soak time in {_upstreams(it)}", _with(" until ", it.until)
    ),
    StageState.SOAK_CUT_SHORT: lambda it: phrase(
        f"left {_upstreams(it)} after {_short(it.soaked)} of {_short(it.soak)} soak time"
    ),
    StageState.SOAK_IMPOSSIBLE: lambda it: phrase(f"soak time never passes in {_upstreams(it)}"),
    StageState.AWAITING_PROMOTION: _fixed("for manual promotion"),
    StageState.HELD: lambda it: phrase(f"auto-promotion{_by_actor(it)}", _since(it, " since ")),
    StageState.SUPERSEDED: lambda it: phrase(_by_other(it)),
    StageState.RECONCILE_ERROR: _fixed("by an error in Kargo"),
    StageState.WINDOW_CLOSED: lambda it: phrase("for the promotion window", _with(" at ", it.until)),
    StageState.IMMINENT: _fixed("promotion starts shortly"),
    StageState.QUEUED: _since,
    StageState.PROMOTING: _since,
    StageState.WAITING_FOR_PULL_REQUEST: lambda it: phrase("for its pull request", _since(it, " since ")),
    StageState.FAILED: lambda it: phrase(_at(it), _step_name(it)),
    StageState.ABORTED: _at,
    StageState.ARRIVING: _at,
    StageState.VERIFYING: _since,
    StageState.VERIFICATION_FAILED: _since,
    StageState.UNHEALTHY: lambda it: _since(it, "live since "),
    StageState.CURRENT: _since,
    StageState.REPLACED: lambda it: phrase(_by_other(it), _with(" at " if it.other else "at ", it.until)),
    StageState.PASSED: _at,
}


def _verified(progress: StageProgress) -> Phrase:
    verified = _with("verified ", progress.verified_at)
    failed = progress.failed_other
    return (
        phrase(verified, f"{', ' if verified else ''}{failed.label} failed to replace it")
        if failed
        else verified
    )


def _queue(progress: StageProgress) -> Phrase:
    if progress.other:
        return phrase(f"after {progress.other.label}")
    return phrase(f"until {progress.in_stage.label} is verified") if progress.in_stage else phrase()


def _newer_is_live(progress: StageProgress) -> Phrase:
    return phrase(f"newer {progress.other.label} is live" if progress.other else None)


def _stay(progress: StageProgress) -> Phrase:
    verified = "verified" if progress.verified_at else "never verified"
    if progress.since and progress.until and progress.until > progress.since:
        return phrase(f"live for {_short(progress.until - progress.since)}, {verified}")
    return phrase(verified)


_DETAILS: Final[Mapping[StageState, Wording]] = {
    StageState.AWAITING_PROMOTION: _newer_is_live,
    StageState.FAILED: _newer_is_live,
    StageState.ABORTED: _newer_is_live,
    StageState.QUEUED: _queue,
    StageState.PROMOTING: _step,
    StageState.WAITING_FOR_PULL_REQUEST: _step,
    StageState.VERIFYING: lambda it: phrase("can't be verified" if it.stuck else "being verified"),
    StageState.VERIFICATION_FAILED: _fixed("verification failed"),
    StageState.CURRENT: _verified,
    StageState.REPLACED: _stay,
}


_AGAIN: Final[Mapping[StageState, str]] = {
    StageState.QUEUED: "queued to be promoted again",
    StageState.PROMOTING: "being promoted again",
    StageState.WAITING_FOR_PULL_REQUEST: "being promoted again",
    StageState.FAILED: "promoting it again failed",
    StageState.ABORTED: "promoting it again was aborted",
}
"""What happens, or happened, to Freight that is already in the Stage."""


def _lost(progress: StageProgress) -> bool:
    """Return whether the Freight was replaced upstream before it was verified."""
    return any(cause.state is StageState.REPLACED for cause in progress.causes)


def _wait_for_upstream(progress: StageProgress) -> Phrase:
    name, upstreams = _name(progress), _upstreams(progress)
    if _lost(progress):
        text = f"{name} was replaced in {upstreams} before it was verified. It won't get here automatically."
        return phrase(text)
    return phrase(f"{name} must be verified in {upstreams} first.")


def _wait_for_verification(progress: StageProgress) -> Phrase:
    name, upstreams = _name(progress), _upstreams(progress)
    if progress.stuck:
        text = f"The verification of {name} in {upstreams} doesn't continue. To skip it, approve {name} for this Stage."
        return phrase(text)
    return phrase(f"{name} is in {upstreams}, where it isn't verified yet. {_afterwards(progress)}")


def _afterwards(progress: StageProgress) -> str:
    if progress.automatic:
        return f"Promotion is automatic and starts within {RESYNC} after that."
    return "After that, you can promote it in Kargo."


def _wait_for_soak(progress: StageProgress) -> Phrase:
    stay = f"{_name(progress)} must stay in {_upstreams(progress)} for {long_duration(progress.soak)}."
    return phrase(f"{stay} {_afterwards(progress)}")


def _soak_cut_short(progress: StageProgress) -> Phrase:
    name, upstreams = _name(progress), _upstreams(progress)
    stay = (
        f"{name} was in {upstreams} for {long_duration(progress.soaked)} of {long_duration(progress.soak)}."
    )
    return phrase(f"{stay} Promote it to {upstreams} again, or approve it for this Stage.")


def _unless_newer(text: Wording) -> Wording:
    """Return what to do about Freight that isn't in the Stage, unless newer Freight is."""
    return lambda it: (
        phrase(f"This Stage already has {it.other.label}, which is newer.") if it.other else text(it)
    )


def _promote_manually(progress: StageProgress) -> Phrase:
    return phrase(
        f"{_name(progress)} is available. Auto-promotion is off for this Stage; promote it in Kargo."
    )


def _held(progress: StageProgress) -> Phrase:
    pinned = f" with {progress.other.label} in this Stage" if progress.other else ""
    paused = phrase(f"It was paused{_by_actor(progress)}{pinned}", _with(" at ", progress.since), ". ")
    return phrase(paused, "Resume it in Kargo, or promote manually.")


def _queued(progress: StageProgress) -> Phrase:
    if progress.other:
        return phrase(f"It starts after the promotion of {progress.other.label}.")
    if progress.in_stage:
        return phrase(f"It starts after the verification of {progress.in_stage.label}.")
    return phrase("It starts shortly.")


def _running(progress: StageProgress) -> Phrase:
    if not progress.step:
        return phrase("It has started.")
    return phrase(f"Step {progress.step} of {progress.steps}, ", code(progress.step_alias), ".")


_EXPLANATIONS: Final[Mapping[StageState, tuple[Wording, Wording]]] = {
    StageState.NOT_REQUESTED: (
        _fixed("not requested"),
        _fixed("This Stage doesn't take Freight of this Warehouse."),
    ),
    StageState.NOT_REACHED: (lambda it: phrase(f"waiting for {_upstreams(it)}"), _wait_for_upstream),
    StageState.WAITING_FOR_VERIFICATION: (
        lambda it: phrase(f"waiting for verification in {_upstreams(it)}"),
        _wait_for_verification,
    ),
    StageState.WAITING_FOR_SOAK: (lambda it: phrase("soak time until ", it.until), _wait_for_soak),
    StageState.SOAK_CUT_SHORT: (_fixed("soak time not reached"), _soak_cut_short),
    StageState.SOAK_IMPOSSIBLE: (
        _fixed("soak time can't be reached"),
        lambda it: phrase(
            f"{_upstreams(it)} is a control flow Stage, where Freight never stays. Remove the soak time."
        ),
    ),
    StageState.AWAITING_PROMOTION: (
        _fixed("ready for manual promotion"),
        _unless_newer(_promote_manually),
    ),
    StageState.HELD: (_fixed("auto-promotion is paused"), _held),
    StageState.SUPERSEDED: (
        lambda it: phrase(f"superseded by {_other(it)}"),
        lambda it: phrase(f"Kargo promotes {_other(it)}. You can still promote {_name(it)} manually."),
    ),
    StageState.RECONCILE_ERROR: (
        _fixed("Kargo can't promote"),
        _fixed("Kargo keeps trying. Fix the error above."),
    ),
    StageState.WINDOW_CLOSED: (
        lambda it: phrase("promotion window closed", _with(" until ", it.until)),
        _fixed("Promotion starts when the window opens."),
    ),
    StageState.IMMINENT: (_fixed("promotion starts shortly"), _fixed(f"Kargo promotes within {RESYNC}.")),
    StageState.QUEUED: (_fixed("promotion queued"), _queued),
    StageState.PROMOTING: (_fixed("promotion in progress"), _running),
    StageState.WAITING_FOR_PULL_REQUEST: (
        _fixed("the pull request waits for approval"),
        _fixed("Approve and merge the pull request to continue."),
    ),
    StageState.FAILED: (
        lambda it: phrase("the promotion failed", _step_name(it)),
        _unless_newer(_fixed("Kargo does not retry a failed promotion. Fix the cause, then promote again.")),
    ),
    StageState.ABORTED: (
        _fixed("the promotion was aborted"),
        _unless_newer(_fixed("Kargo does not retry an aborted promotion. Promote again to continue.")),
    ),
    StageState.ARRIVING: (_fixed("promotion succeeded"), _fixed("The Stage shows it in a moment.")),
    StageState.VERIFYING: (lambda it: _since(it, "live since "), _fixed("It is not verified yet.")),
    StageState.VERIFICATION_FAILED: (
        _fixed("verification failed"),
        _fixed("Fix the cause, then verify again in Kargo."),
    ),
    StageState.UNHEALTHY: (_fixed("unhealthy"), lambda it: phrase(_since(it, "Live since "), ".")),
    StageState.CURRENT: (lambda it: _since(it, "live since "), _verified),
    StageState.REPLACED: (lambda it: phrase("replaced ", _by_other(it)), _stay),
    StageState.PASSED: (lambda it: _since(it, "passed "), _fixed("")),
}
"""Title and text by state."""

_CLAUSES: Final[Mapping[StageState, Callable[[StageProgress, _Subject], Phrase]]] = {
    StageState.NOT_REQUESTED: lambda _, who: phrase(f"{who.are} of other Warehouses"),
    StageState.NOT_REACHED: lambda it, who: phrase(f"{who.does('wait')} for {_upstreams(it)}"),
    StageState.WAITING_FOR_VERIFICATION: lambda it, who: phrase(
        f"{who.does('wait')} for verification in {_upstreams(it)}"
    ),
    StageState.WAITING_FOR_SOAK: lambda it, who: phrase(who.does("wait"), _with(" until ", it.until)),
    StageState.SOAK_CUT_SHORT: lambda it, who: phrase(f"{who.does('lack')} soak time in {_upstreams(it)}"),
    StageState.SOAK_IMPOSSIBLE: lambda it, who: phrase(f"{who.does('lack')} soak time in {_upstreams(it)}"),
    StageState.AWAITING_PROMOTION: lambda _, who: phrase(f"{who.are} ready for manual promotion"),
    StageState.HELD: lambda _, who: phrase(f"auto-promotion to {who} is paused"),
    StageState.SUPERSEDED: lambda it, who: phrase(f"{who.does('take')} {_other(it)} instead"),
    StageState.RECONCILE_ERROR: lambda _, who: phrase(f"{who.are} blocked by an error"),
    StageState.WINDOW_CLOSED: lambda _, who: phrase(f"{who.does('wait')} for the promotion window"),
    StageState.IMMINENT: lambda _, who: phrase(f"{who.does('follow')} shortly"),
    StageState.QUEUED: lambda _, who: phrase(f"the promotion to {who} is queued"),
    StageState.PROMOTING: lambda _, who: phrase(f"{who.are} being promoted"),
    StageState.WAITING_FOR_PULL_REQUEST: lambda _, who: phrase(f"{who.does('wait')} for a pull request"),
    StageState.FAILED: lambda _, who: phrase(f"the promotion to {who} failed"),
    StageState.ABORTED: lambda _, who: phrase(f"the promotion to {who} was aborted"),
}
"""How far Freight is in Stages that it has not reached, as a clause of a summary."""
